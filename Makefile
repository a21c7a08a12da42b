# Two commands do all the set-up on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help quickstart browser test ray lint docs format clean

help:  ## Show this list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# The stamp is remade when the dependencies change.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

quickstart: $(VENV)/.installed  ## Install, then the main job on drawn faces: teacher, two students, a table.
	$(BIN)/python tools/quickstart.py --out quickstart

test: $(VENV)/.installed  ## Install, then all tests.
	$(BIN)/python -m pytest

ray: $(VENV)/.installed  ## Install Ray, and test sharing work over a cluster with it.
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
	$(BIN)/python -m pytest tests/data/test_cluster.py

browser:  ## Install Chromium for the tests of the page, where apt-get may; they are skipped without it.
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
		apt-get install -qq -y chromium >/dev/null; } || echo 'no chromium here: the tests of the page will be skipped'

lint: $(VENV)/.installed docs  ## Style, types, and the documentation.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed  ## Build the documentation into site/; a broken link is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

format: $(VENV)/.installed  ## Mend what the linter can mend.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment, the quickstart's results and the built documentation.
	rm -rf $(VENV) quickstart site
