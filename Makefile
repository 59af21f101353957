# Works as root or not, without a terminal and without standard input.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO  ?= cargo
PYTHON ?= python3
VENV   := .venv
STAMP  := $(VENV)/.pinned
S3     := .venv-s3
DIST   := .venv-dist
PAGE   := .venv-page
DOCS   := .venv-docs

.PHONY: help build release demo serve ci-demo test parity outcomes lint deny bench diff-bench matrix soak ci-soak ci-matrix deploy-check venv s3 postgres browser clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

build: ## Build cutover and the stand-in for Materialize
	$(CARGO) build --locked --workspace

# Where a panic came from is read from cutover.debug, as long as it lies beside the program or in .debug beside it.
release: ## Build the program as it is shipped: small, the names of its functions in a file beside it
	$(CARGO) build --locked --release --package cutover --bin cutover
	@packaging/shipped target/release/cutover

.PHONY: dist dist-check
# `make dist PROGRAM=…` takes a release build that is there already; TARGET is the triple that it is for.
dist: $(DIST)/.pinned $(if $(PROGRAM),,release) ## Make what is handed out, in target/dist: wheel, archive, Debian package
	@$(if $(PROGRAM),packaging/shipped $(PROGRAM))
	@packaging/dist

# `make dist-check SANDBOX=…` takes a stand-in that is there already, DEBIAN=… a folder with a small Debian.
dist-check: venv postgres ## Install each thing of target/dist in a clean place, try it, and release with it
	@$(if $(SANDBOX),,$(CARGO) build --locked --package mz-sandbox)
	@packaging/check --sandbox $(or $(SANDBOX),target/debug/mz-sandbox) $(if $(DEBIAN),--debian $(DEBIAN)) </dev/null

$(DIST)/.pinned: packaging/requirements.txt
	$(PYTHON) -m venv $(DIST)
	$(DIST)/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
	    --requirement packaging/requirements.txt
	@touch $@

# `make demo KILL=building` kills the release when it enters that state, and resumes it.
demo: build venv postgres ## Release a sample project while a reader watches production
	$(VENV)/bin/python demo/run --bin target/debug $(if $(KILL),--kill $(KILL)) </dev/null

serve: build venv postgres ## A day of the daemon in two minutes: schedule, signals, checks, takeover
	$(VENV)/bin/python demo/serve --bin target/debug </dev/null

ci-demo: build venv postgres ## Two pull requests, from their first push to a release by the daemon
	$(VENV)/bin/python demo/ci --bin target/debug </dev/null

test: venv s3 postgres browser ## Run every test
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    threads=$$(.ci/threads); \
	    echo "$(CARGO) nextest run --locked --workspace --no-fail-fast --test-threads $$threads"; \
	    $(CARGO) nextest run --locked --workspace --no-fail-fast --test-threads $$threads </dev/null; \
	else \
	    echo '$(CARGO) test --locked --workspace --no-fail-fast'; \
	    $(CARGO) test --locked --workspace --no-fail-fast </dev/null; \
	fi

parity: venv ## Compare node selection with dbt over hundreds of mutated projects
	CUTOVER_TEST_PARITY=full $(CARGO) test --locked --test state_parity -- --nocapture </dev/null

outcomes: venv postgres ## Compare what plans say of each kind of change, as text and by outcome, and release each
	CUTOVER_TEST_OUTCOMES=full $(CARGO) test --locked -p cutover --test outcomes -- --nocapture </dev/null

lint: ## Check format and lints, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

deny: ## Check licences, bans and advisories of dependencies
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
	    echo 'deny: skipped, cargo-deny is not installed (cargo install --locked cargo-deny)'; \
	    exit 0; \
	fi; \
	$(CARGO) deny check --hide-inclusion-graph licenses bans sources </dev/null; \
	if $(CARGO) deny fetch db </dev/null >/dev/null 2>&1; then \
	    $(CARGO) deny check --disable-fetch advisories </dev/null; \
	else \
	    echo 'deny: advisories skipped, the RustSec database cannot be reached'; \
	fi

bench: venv postgres ## Measure planning, releases, the journal and the API, beside dbt and its macros
	$(CARGO) bench --locked -p cutover --bench daemon </dev/null
	$(CARGO) bench --locked -p cutover --bench journal </dev/null
	$(CARGO) bench --locked -p cutover --bench http </dev/null
	$(CARGO) bench --locked -p cutover --bench release </dev/null
	$(CARGO) bench --locked -p cutover --bench corner </dev/null
	$(CARGO) bench --locked -p cutover --bench plan </dev/null
	$(CARGO) bench --locked -p cutover --bench until_planned </dev/null

diff-bench: venv postgres ## Compare a million rows on both sides beside a reader of production
	$(CARGO) test --locked -p cutover --test steps a_million_rows -- --ignored --nocapture </dev/null

# The program is started some hundred thousand times, so optimising it pays here.
matrix: venv postgres ## Kill releases at every statement and journal write, on both journals (hours)
	CUTOVER_TEST_MATRIX=full $(CARGO) test --locked -p cutover --config 'profile.dev.package.cutover.opt-level=1' \
	    --test crash_matrix -- --nocapture --test-threads 3 </dev/null

soak: venv postgres ## Release 200 times on a compressed clock while daemons die and servers go away
	CUTOVER_TEST_SOAK=200 $(CARGO) test --locked -p cutover --test soak -- --nocapture </dev/null

ci-soak: venv postgres ## 50 pull requests, ten at a time, that are pushed to, killed, closed and forgotten
	CUTOVER_TEST_CI_SOAK=50 $(CARGO) test --locked -p cutover --test ci soak -- --nocapture </dev/null

ci-matrix: venv postgres ## Kill builds of a pull request at every statement and journal write
	CUTOVER_TEST_CI_MATRIX=full $(CARGO) test --locked -p cutover --test ci kills -- --nocapture --test-threads 2 </dev/null

# What of the site is read off the program is in docs/reference; a test complains where it is not true any more.
.PHONY: docs reference
docs: $(DOCS)/.pinned ## Make the site from docs/, in target/site; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --clean
	@echo 'docs: target/site/index.html'

reference: ## Write the pages of docs/reference that are read off the program anew
	CUTOVER_WRITE_REFERENCE=1 $(CARGO) test --locked -p cutover --test plans reference::

$(DOCS)/.pinned: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
	    --requirement docs/requirements.txt
	@touch $@

deploy-check: ## Check the files of deploy/ with the tools that are installed
	@.ci/deploy-check

venv: $(STAMP) ## Make .venv with the pinned dbt

$(STAMP): tests/dbt/requirements.txt
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo 'venv: $(PYTHON) with its venv module is needed (Debian: apt-get install python3-venv)' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
	    --requirement tests/dbt/requirements.txt
	@touch $(STAMP)

s3: $(S3)/.pinned ## Make .venv-s3 with the server that tests take for S3

$(S3)/.pinned: tests/s3/requirements.txt
	$(PYTHON) -m venv $(S3)
	$(S3)/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
	    --requirement tests/s3/requirements.txt
	@touch $(S3)/.pinned

browser: $(PAGE)/.pinned ## Make sure that Chromium, ChromeDriver and axe-core are present
	@.ci/browser

$(PAGE)/.pinned: tests/page/requirements.txt | venv
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --upgrade \
	    --target $(PAGE) --requirement tests/page/requirements.txt
	@touch $(PAGE)/.pinned

postgres: ## Make sure that the PostgreSQL server programs are present
	@.ci/postgres

clean: ## Remove what was built, .venv and the others
	$(CARGO) clean
	rm -rf $(VENV) $(S3) $(DIST) $(PAGE) $(DOCS)
