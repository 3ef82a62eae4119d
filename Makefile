# Poseline: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Each process starts servers of its own.
TEST_PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types unit soak bench lock clean

help:  ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY)  ## Install everything into .venv, nothing outside the checkout.

# --no-deps because the lock is whole, and because rtmlib asks for two OpenCV builds that need libGL.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Poseline needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## Start the local stack and find the people in the bundled clip.
	@$(BIN)/poseline demo

test: lint types unit  ## Run every check and every test against real servers.

lint: $(READY)  ## Check style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types.
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

soak: $(READY)  ## Run the long tests: 20,000 damaged files, an hour of video, 2,000 drawn ones, every clip.
	POSELINE_SOAK=2000 $(BIN)/python -m pytest --timeout 7200 tests/soak tests/unit/video/test_properties.py tests/integration/services/test_bytes_read.py tests/acceptance/test_exactness.py

bench: $(READY)  ## Measure this machine; takes half an hour, and writes docs/benchmarks.md.
	@$(BIN)/python -m tests.benchmarks

lock:  ## Renew requirements.lock from pyproject.toml (needs uv).
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command 'make lock' --output-file requirements.lock

clean:  ## Stop the local stack and remove what was installed (its data in .poseline/ stays).
	@test ! -x $(BIN)/poseline || $(BIN)/poseline down
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
