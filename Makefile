# Every target installs what it needs into .venv first, which takes no time when nothing changed.
PYTHON ?= python3
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help install demo up down status test check lint types manifests bench chaos sdk lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: ## Install the locked packages into .venv
	@$(PYTHON) .ci/install.py

demo: install ## Start everything, play shoppers through it, show their mails; exits non-zero if one is missed
	@$(BIN)/python -m services.local demo

up: install ## Start everything and keep it running; prints the addresses
	@$(BIN)/python -m services.local up

down: install ## Stop what "make up" started; the data stays in .beckon
	@$(BIN)/python -m services.local down

status: install ## What runs, and where
	@$(BIN)/python -m services.local status

test: install ## Every test, and the share of lines they reach
	CHAOS_ROUNDS=1 $(BIN)/python -m pytest -n 4 --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90

check: lint types manifests test ## Format, lint, types, import rules, manifests, Dockerfile, then the tests

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: install
	$(BIN)/mypy

manifests: install
	.ci/manifests

bench: install ## Measure the whole path beside its floors; a table, and JSON in build
	$(BIN)/python -m tests.bench

chaos: install ## Kill and pause every service under load, several rounds; prints the counts, JSON in build
	CHAOS_ROUNDS=5 $(BIN)/python -m pytest -m chaos --capture=no tests/chaos

sdk: install ## Write the browser SDK as it is served from its source
	$(BIN)/python -m tests.support.sdk

lock: install ## Write the lock files anew from pyproject.toml
	$(COMPILE) --extra dev --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --constraints requirements-dev.lock --output-file requirements.lock pyproject.toml
