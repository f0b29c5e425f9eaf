# From a fresh clone `make smoke` and `make test` set up all they need, whichever comes first.
# PYTHON names the interpreter to build .venv with; it must be 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup up smoke loadtest test lint bench demo lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready .venv/.tools ## Build .venv, find or get a browser and a Pushgateway

up: setup ## Start the service, with a demo for the shipped runbooks, until Ctrl-C
	@$(BIN)/python -m demo.up

smoke: setup ## Check, test and run the shipped runbooks end to end
	@$(BIN)/python -m demo.smoke

loadtest: setup ## Run the load test of a shipped runbook with k6, for five minutes, on a service of its own
	@$(BIN)/python -m demo.loadtest $(ARGS)

test: setup lint ## Lint, then run every test
	@$(BIN)/pytest -n 2

lint: .venv/.ready ## Check style, types and which package may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## Measure (ARGS=growth for a part of it)
	@$(BIN)/python -m benchmarks $(ARGS)

demo: .venv/.ready ## Start the demo upstream on port 3000
	@$(BIN)/python -m demo

lock: .venv/.ready ## Rewrite requirements.lock from pyproject.toml (ARGS=--upgrade for newer versions)
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --extra dev \
		--no-strip-extras --allow-unsafe --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock $(ARGS) pyproject.toml

clean: ## Remove .venv and all caches; recorded executions in .runbook stay
	@rm -rf .venv build dist *.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: requirements.lock pyproject.toml scripts/venv
	@scripts/venv "$(PYTHON)"
	@touch $@

# Neither tool is a reason to stop here: what needs it says so, and the rest still runs.
.venv/.tools: .venv/.ready scripts/apt scripts/browser scripts/pushgateway
	@scripts/browser && found=yes; scripts/pushgateway && [ "$$found" ] && touch $@ || true
