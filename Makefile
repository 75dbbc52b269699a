# Everything that a newcomer needs: `make demo` and `make test` set themselves up in .venv.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-all faults lint format types schemas results docs docs-serve clean

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## set up, then run the whole thing on real bundled data
	@$(BIN)/bpkd demo $(ARGS)

test: $(INSTALLED) ## set up, then run the tests, but for slow ones
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow" $(ARGS)

test-all: $(INSTALLED) ## set up, then run all tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup $(ARGS)

faults: $(INSTALLED) ## kill every stage many times, and compare what it ends in (minutes)
	@BPKD_KILLS=48 $(BIN)/python -m pytest -q tests/faults $(ARGS)

lint: $(INSTALLED) ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(INSTALLED) ## mend style and formatting
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(INSTALLED) ## check types
	@$(BIN)/mypy

schemas: $(INSTALLED) ## write the JSON Schemas of config and manifest anew
	@$(BIN)/python -m schemas.generate

results: $(INSTALLED) ## put what benchmarks have measured into docs/results.md
	@$(BIN)/python benchmarks/results.py

# Not --quiet: mkdocs would not count its warnings then, and --strict would let them pass.
docs: $(INSTALLED) ## build the site of docs/ in site/; open site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: $(INSTALLED) ## show the site, and build it anew while you write
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

clean: ## remove .venv and caches
	@rm -rf .venv build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bpkd needs Python 3.11 or newer, this is " \
		+ sys.version.split()[0] + "; name another one: make PYTHON=python3.12 ...")'
	@echo "installing into .venv (once; PyTorch is large)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) torch
	@$(PIP) -e '.[demo,dev,docs]'
	@touch $@
