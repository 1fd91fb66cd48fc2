"""Shoppers played through the real HTTP endpoints of a system of their own, and what must come of it."""
