# What a developer needs; each target calls tools that pyproject.toml configures.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# For each law of `make fuzz`.
SECONDS ?= 600

.PHONY: help setup lint test test-registry test-nightly fuzz bench docs build image demo clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## Make the virtual environment

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $(READY)

lint: $(READY) ## Check style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/imgsync validate mirrors.d --registries registries.example.yaml

test: $(READY) tools ## Run every test, installing what they need
	$(BIN)/python -m pytest --numprocesses auto

test-registry: $(READY) tools ## Run only the tests against real registries
	$(BIN)/python -m pytest --numprocesses auto tests/registry tests/cli

test-nightly: $(READY) tools ## Look for hours: kills, storms, loads; write docs/reliability.md
	rm -f tests/.figures.jsonl
	IMGSYNC_TEST_EFFORT=nightly IMGSYNC_FIGURES=$(CURDIR)/tests/.figures.jsonl $(BIN)/python -m pytest --numprocesses auto -m 'nightly or only_nightly'
	$(BIN)/python -m tests.figures tests/.figures.jsonl

fuzz: $(READY) ## Look for what breaks a parser, SECONDS (600) for each law, guided by coverage
	$(BIN)/python -m pip install --quiet --group fuzz
	IMGSYNC_FIGURES=$(CURDIR)/tests/.figures.jsonl $(BIN)/python -m fuzz.run --seconds $(SECONDS) $(LAWS)

.PHONY: tools
tools:
	@sh tests/install-tools.sh

bench: $(READY) tools ## Measure beside every peer on PATH (an hour), and write docs/performance.md
	$(BIN)/python -m pip install --quiet --group bench
	rm -f benchmarks/.figures.json
	$(BIN)/python -m benchmarks.run --output benchmarks/.figures.json
	$(BIN)/python -m benchmarks.page benchmarks/.figures.json

docs: $(READY) ## Make the generated parts of the reference anew, and the site into site/
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

build: $(READY) ## Build the sdist and the wheel into dist/
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build

image: ## Build the container image
	docker build --tag imgsync \
		--build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' imgsync/__init__.py)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" --build-arg CREATED="$$(date -u +%Y-%m-%dT%H:%M:%SZ)" .

demo: $(READY) ## Show the main job on two embedded registries
	$(BIN)/imgsync demo

clean: ## Remove what the other targets made
	rm -rf $(VENV) dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
