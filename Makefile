# Everything here works in a private virtual environment, which the first target that needs it makes.
# What is installed is installed again only when pyproject.toml changes: a second run needs no network.

PYTHON ?= python3
VENV ?= .venv
SITE ?= site
PARALLEL = -n 2 --dist worksteal

IN_VENV = $(VENV)/bin/python -m
INSTALL = $(IN_VENV) pip install --quiet --disable-pip-version-check

# One pip at a time in one environment, also under `make -j`.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name what; do \
		printf '  make %-12s %s\n' "$$name" "$$what"; done

.PHONY: demo
demo: $(VENV)/.has-cli ## fetch 90 days of insights of 25 projects from a local CircleCI; DEMO="--projects 50" for more
	@$(IN_VENV) aiocircle demo $(DEMO)

.PHONY: test
test: $(VENV)/.has-test ## run the tests on two cores; TESTS="-k pager" for a part of them
	$(IN_VENV) pytest $(PARALLEL) -m 'not checks' $(TESTS)

.PHONY: thorough
thorough: $(VENV)/.has-test ## run them in asyncio's debug mode and at length, some minutes; AIOCIRCLE_SEED=1 to repeat
	AIOCIRCLE_THOROUGH=1 $(IN_VENV) pytest $(PARALLEL) -m 'not checks' $(TESTS)

.PHONY: environments
environments: $(VENV)/.has-test ## run tests with other terminals, locales, time zones, directories …, and print a table
	$(IN_VENV) tests.environments $(ENVIRONMENTS)

.PHONY: floors
floors: $(VENV)/.has-test ## test the lowest versions of the dependencies, and audit them
	$(IN_VENV) tests.floors

.PHONY: fuzz
fuzz: $(VENV)/.has-test ## decode a million damaged responses, for ten minutes at most
	$(IN_VENV) tests.support.fuzz $(FUZZ)

.PHONY: soak
soak: $(VENV)/.has-test ## run 200 streams under faults for SECONDS=600
	$(IN_VENV) tests.support.soak --seconds $(or $(SECONDS),600) $(SOAK)

.PHONY: mutants
mutants: $(VENV)/.has-mutants ## change the core in thousands of ways: do the tests notice? an hour
	$(IN_VENV) tests.mutants

.PHONY: check
check: $(VENV)/.has-test ## check imports, lint, format, types and language, build packages
	$(VENV)/bin/lint-imports --no-cache
	$(IN_VENV) ruff check .
	$(IN_VENV) ruff format --check .
	$(IN_VENV) mypy
	@# pyright would ask the registry for its latest version on every run.
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(IN_VENV) pyright --pythonpath $(VENV)/bin/python
	$(IN_VENV) tests.language
	$(IN_VENV) pytest $(PARALLEL) -m checks

.PHONY: format
format: $(VENV)/.has-test ## mend what lint and format can mend by themselves
	$(IN_VENV) ruff check --fix-only .
	$(IN_VENV) ruff format .

.PHONY: docs
docs: $(VENV)/.has-docs ## build the documentation into site/
	@# Not --quiet: mkdocs then logs no warnings, and --strict counts only those that are logged.
	@# The variable silences the notice of mkdocs-material's end of life, which pyproject.toml records.
	NO_MKDOCS_2_WARNING=1 $(IN_VENV) mkdocs build --strict --site-dir $(SITE)

.PHONY: bench
bench: ## measure against the bare floor and other clients, some 20 minutes; BENCH=--quick to see that it works
	@$(MAKE) --no-print-directory VENV=$(VENV)-bench $(VENV)-bench/.has-bench
	@$(MAKE) --no-print-directory VENV=$(VENV)-peer $(VENV)-peer/.has-peer
	$(VENV)-bench/bin/python -m benchmarks --async-peer $(VENV)-peer/bin/python $(BENCH)

.PHONY: count
count: ## count instructions over the bare floor's, a minute; needs valgrind; COUNT="--profile build/callgrind"
	@$(MAKE) --no-print-directory VENV=$(VENV)-bench $(VENV)-bench/.has-bench
	$(VENV)-bench/bin/python -m benchmarks.instructions $(COUNT)

.PHONY: clean
clean: ## remove the environment and all that was built
	rm -rf $(VENV) $(VENV)-bench $(VENV)-peer .venv-ci-* site build dist mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c '' || { echo 'There is no working "$(PYTHON)". Name another: make PYTHON=python3.13' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'aiocircle needs Python 3.11 or newer, and "$(PYTHON)" is' \
			"$$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'The virtual environment could not be made; on Debian, python3-venv may be missing.' >&2; exit 1; }

# Stamps: which extras the environment has. `test` and `docs` bring `cli` along.
$(VENV)/.has-cli: pyproject.toml | $(VENV)/bin/python
	@echo 'Setting up $(VENV) ...'
	@$(INSTALL) -e '.[cli]'
	@touch $@

$(VENV)/.has-test: pyproject.toml | $(VENV)/bin/python
	@echo 'Setting up $(VENV) for tests and checks ...'
	@$(INSTALL) -e '.[test]'
	@touch $(VENV)/.has-cli $@

$(VENV)/.has-mutants: pyproject.toml | $(VENV)/bin/python
	@echo 'Setting up $(VENV) for mutation tests ...'
	@$(INSTALL) -e '.[test,mutants]'
	@touch $(VENV)/.has-cli $(VENV)/.has-test $@

$(VENV)/.has-docs: pyproject.toml | $(VENV)/bin/python
	@echo 'Setting up $(VENV) for the documentation ...'
	@$(INSTALL) -e '.[docs]'
	@touch $(VENV)/.has-cli $@

$(VENV)/.has-bench: pyproject.toml | $(VENV)/bin/python
	@echo 'Setting up $(VENV) for measuring ...'
	@$(INSTALL) -e '.[bench]'
	@touch $@

# pycircleci-async needs an httpx of 2022, so it has an environment of its own.
$(VENV)/.has-peer: | $(VENV)/bin/python
	@echo 'Setting up $(VENV) for pycircleci-async ...'
	@$(INSTALL) pycircleci-async==0.1.1
	@touch $@
