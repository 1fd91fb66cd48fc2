"""Serves the sample shop, ``examples/shop``: for trying Beckon out, no part of it in production."""
