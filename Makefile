# Targets for developers. pyproject.toml configures the tools that they call.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUNTIME := $(VENV)/.runtime
RELEASE := .venv-release
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' imgsync/__init__.py)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock'
# Accepted advisories. SECURITY.md explains each.
ACCEPTED := CVE-2025-69872

# A folder of programs for `make cases`, such as the reproductions of reported bugs.
CASES ?=

# Time for each target of `make fuzz`.
SECONDS ?= 600

.PHONY: help setup lint test cases test-registry try-registry test-shaken test-nightly fuzz mutants bench docs lock build audit image demo clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## Create the virtual environment

# What imgsync needs to run, and no more: `make demo` waits for this alone. Python compiles modules when it imports them.
$(RUNTIME): lock/runtime.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is required. Choose one with: make PYTHON=python3.12 …")'
	@echo "Installing the libraries that imgsync needs into $(VENV). This takes about 20 seconds, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement lock/runtime.txt
	@touch $@

$(READY): pyproject.toml $(RUNTIME)
	@echo "Installing imgsync and the development tools into $(VENV). This takes about a minute, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

lint: $(READY) ## Check style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/imgsync validate mirrors.d --registries registries.example.yaml

test: $(READY) tools ## Run all tests; install what they need
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

cases: $(READY) tools ## Run each program of the folder CASES; all must exit with 0
	$(BIN)/python -m tests.cases $(CASES)

test-registry: $(READY) tools ## Run only the tests against real registries
	$(BIN)/python -m pytest --numprocesses auto -m registry

try-registry: $(READY) tools ## Try the main job with the registry at REGISTRY (HOST:PORT, plain http)
	$(BIN)/python -m tests.try_registry $(REGISTRY)

test-shaken: $(READY) tools ## Run all tests with random pauses, to find tests that pass by chance
	IMGSYNC_TEST_SHAKEN=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-nightly: $(READY) tools ## Run kill, random failure and load tests (hours); write docs/reliability.md
	rm -f tests/.nightly.jsonl
	IMGSYNC_TEST_EFFORT=nightly IMGSYNC_FIGURES=$(CURDIR)/tests/.nightly.jsonl $(BIN)/python -m pytest --numprocesses auto --dist worksteal -m 'nightly or only_nightly'
	$(BIN)/python -m tests.figures nightly tests/.nightly.jsonl

fuzz: $(READY) ## Fuzz the parsers, guided by coverage; SECONDS (600) for each target
	$(BIN)/python -m pip install --quiet --group fuzz
	IMGSYNC_FIGURES=$(CURDIR)/.fuzz/figures.jsonl $(BIN)/python -m fuzz.run --seconds $(SECONDS) $(LAWS)

.PHONY: tools
tools:
	@sh tests/install-tools.sh

mutants: $(READY) ## Run mutation tests on the decision logic (an hour)
	$(BIN)/python -m pip install --quiet --group mutants
	rm -f .mutants.jsonl
	IMGSYNC_FIGURES=$(CURDIR)/.mutants.jsonl $(BIN)/python -m tests.mutants
	$(BIN)/python -m tests.figures mutants .mutants.jsonl

bench: $(READY) tools ## Compare with other tools on PATH (hours); write docs/performance.md
	$(BIN)/python -m pip install --quiet --group bench
	rm -f benchmarks/.figures.json
	$(BIN)/python -m benchmarks.run --output benchmarks/.figures.json
	$(BIN)/python -m benchmarks.page benchmarks/.figures.json

docs: $(READY) ## Write the reference pages and build the site in site/
	$(BIN)/python -m docs.generate
	IMGSYNC_REPOSITORY="$${IMGSYNC_REPOSITORY:-$$(git remote get-url origin 2>/dev/null | grep ^https: || true)}" NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: $(READY) ## Lock the dependencies of the image and of a release, with hashes, in lock/
	$(BIN)/python -m pip install --quiet --group lock
	$(LOCK) pyproject.toml --output-file lock/runtime.txt
	$(LOCK) pyproject.toml --extra queue --output-file lock/queue.txt
	$(LOCK) pyproject.toml --extra serve --output-file lock/serve.txt
	$(LOCK) --group build --output-file lock/build.txt
	$(LOCK) --group release --output-file lock/release.txt

# A separate environment for the release tools. All of its packages are locked.
$(RELEASE)/.ready: lock/release.txt
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --require-hashes --requirement lock/release.txt
	@touch $@

build: $(RELEASE)/.ready ## Build the sdist, the wheel and their SBOM in dist/
	rm -rf dist
	$(RELEASE)/bin/python -m build --no-isolation
	$(PYTHON) -m venv --clear --without-pip $(RELEASE)/shipped
	$(RELEASE)/bin/python -m pip --python $(RELEASE)/shipped install --quiet --require-hashes --requirement lock/runtime.txt
	$(RELEASE)/bin/python -m pip --python $(RELEASE)/shipped install --quiet --no-index --no-deps dist/*.whl
	sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml > $(RELEASE)/pyproject.toml
	$(RELEASE)/bin/cyclonedx-py environment $(RELEASE)/shipped --pyproject $(RELEASE)/pyproject.toml --mc-type application --output-reproducible --output-file dist/imgsync.cdx.json

audit: $(RELEASE)/.ready ## Check all locked packages for known vulnerabilities
	$(RELEASE)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off $(ACCEPTED:%=--ignore-vuln %) \
		--requirement lock/runtime.txt --requirement lock/release.txt

image: ## Build the container image
	docker build --tag imgsync \
		--build-arg VERSION="$(VERSION)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" --build-arg CREATED="$$(date -u +%Y-%m-%dT%H:%M:%SZ)" .

demo: .demo-intro $(RUNTIME) ## Run a demo on two embedded registries, about a minute the first time
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m imgsync demo

.PHONY: .demo-intro
.demo-intro:
	@echo "This demo starts two small registries on loopback, plans what to mirror, and copies it from one to the other."

clean: ## Remove the files that other targets created
	rm -rf $(VENV) $(RELEASE) dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
