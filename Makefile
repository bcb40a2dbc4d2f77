# What a developer needs; each target calls tools that pyproject.toml configures.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RELEASE := .venv-release
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' imgsync/__init__.py)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock'
# Known and answered for, with why in SECURITY.md.
ACCEPTED := CVE-2025-69872

# For each law of `make fuzz`.
SECONDS ?= 600

.PHONY: help setup lint test test-registry test-shaken test-nightly fuzz mutants bench docs lock build audit image demo clean

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
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-registry: $(READY) tools ## Run only the tests against real registries
	$(BIN)/python -m pytest --numprocesses auto tests/registry tests/cli

test-shaken: $(READY) tools ## Run every test with pauses at random, so that what passes by chance fails
	IMGSYNC_TEST_SHAKEN=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-nightly: $(READY) tools ## Look for hours: kills, storms, loads; write docs/reliability.md
	rm -f tests/.nightly.jsonl
	IMGSYNC_TEST_EFFORT=nightly IMGSYNC_FIGURES=$(CURDIR)/tests/.nightly.jsonl $(BIN)/python -m pytest --numprocesses auto --dist worksteal -m 'nightly or only_nightly'
	$(BIN)/python -m tests.figures nightly tests/.nightly.jsonl

fuzz: $(READY) ## Look for what breaks a parser, SECONDS (600) for each law, guided by coverage
	$(BIN)/python -m pip install --quiet --group fuzz
	IMGSYNC_FIGURES=$(CURDIR)/.fuzz/figures.jsonl $(BIN)/python -m fuzz.run --seconds $(SECONDS) $(LAWS)

.PHONY: tools
tools:
	@sh tests/install-tools.sh

mutants: $(READY) ## Put small faults into what decides, and see whether its tests notice (an hour)
	$(BIN)/python -m pip install --quiet --group mutants
	rm -f .mutants.jsonl
	IMGSYNC_FIGURES=$(CURDIR)/.mutants.jsonl $(BIN)/python -m tests.mutants
	$(BIN)/python -m tests.figures mutants .mutants.jsonl

bench: $(READY) tools ## Measure beside every peer on PATH (an hour), and write docs/performance.md
	$(BIN)/python -m pip install --quiet --group bench
	rm -f benchmarks/.figures.json
	$(BIN)/python -m benchmarks.run --output benchmarks/.figures.json
	$(BIN)/python -m benchmarks.page benchmarks/.figures.json

docs: $(READY) ## Make the generated parts of the reference anew, and the site into site/
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: $(READY) ## Lock what the image and a release are made of, with hashes, into lock/
	$(BIN)/python -m pip install --quiet --group lock
	$(LOCK) pyproject.toml --output-file lock/runtime.txt
	$(LOCK) --group build --output-file lock/build.txt
	$(LOCK) --group release --output-file lock/release.txt

# A place of its own for the tools of a release, nothing in it that is not locked.
$(RELEASE)/.ready: lock/release.txt
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --require-hashes --requirement lock/release.txt
	@touch $@

build: $(RELEASE)/.ready ## Build the sdist, the wheel and their bill of materials into dist/
	rm -rf dist
	$(RELEASE)/bin/python -m build --no-isolation
	$(PYTHON) -m venv --clear --without-pip $(RELEASE)/shipped
	$(RELEASE)/bin/python -m pip --python $(RELEASE)/shipped install --quiet --require-hashes --requirement lock/runtime.txt
	$(RELEASE)/bin/python -m pip --python $(RELEASE)/shipped install --quiet --no-index --no-deps dist/*.whl
	sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml > $(RELEASE)/pyproject.toml
	$(RELEASE)/bin/cyclonedx-py environment $(RELEASE)/shipped --pyproject $(RELEASE)/pyproject.toml --mc-type application --output-reproducible --output-file dist/imgsync.cdx.json

audit: $(RELEASE)/.ready ## Ask PyPI for known vulnerabilities of all that is locked
	$(RELEASE)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off $(ACCEPTED:%=--ignore-vuln %) \
		--requirement lock/runtime.txt --requirement lock/release.txt

image: ## Build the container image
	docker build --tag imgsync \
		--build-arg VERSION="$(VERSION)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" --build-arg CREATED="$$(date -u +%Y-%m-%dT%H:%M:%SZ)" .

demo: $(READY) ## Show the main job on two embedded registries
	$(BIN)/imgsync demo

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(RELEASE) dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
