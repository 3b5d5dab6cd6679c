# Everything a newcomer needs; `make help` lists it. Nothing but Python >= 3.11 is assumed.
PYTHON ?= python3
VENV ?= .venv
PACKAGE ?= -e .
JOBS ?= $(shell $(PYTHON) -c 'import os; print(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)')
RESULTS ?= results
TASKS := cbf rb ns
UPDATES ?= 1500
SUITE ?= demo
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INTEROP ?= $(VENV)-interop

# One thread a process: runs go side by side, and more threads only slow small networks down.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast interop browser check lint types bench references animations checkpoints docs clean
.PHONY: $(TASKS:%=model-%)

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 12

setup: $(READY)  ## make the virtual environment in $(VENV)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"NetWorld needs Python >= 3.11, {sys.executable} is {v.major}.{v.minor}; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[dev]'
	@touch $@

demo: $(READY)  ## build datasets, train, evaluate, draw the figures: the whole pipeline, small
	$(BIN)/networld bench run demo --jobs $(JOBS) --results $(RESULTS); status=$$?; \
	$(BIN)/networld report $(RESULTS)/demo --title "NetWorld demo" && exit $$status

test: $(READY)  ## run all tests
	$(BIN)/pytest -n $(JOBS)

test-fast: $(READY)  ## run the tests that take less than ten seconds each
	$(BIN)/pytest -n $(JOBS) -m "not slow"

interop: $(INTEROP)/.ready  ## run the tests beside other libraries, in a second environment $(INTEROP)
	$(INTEROP)/bin/pytest -n $(JOBS) -m interop

$(INTEROP)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[test,interop]'
	@touch $@

browser:  ## see to it that the tests of the report have a browser: Debian's Chromium, if none is there
	@for name in "$$NETWORLD_BROWSER" chromium chromium-browser google-chrome; do \
	  test -n "$$name" && command -v "$$name" && exit 0; done; \
	root=; test "$$(id -u)" = 0 || root="sudo -n"; \
	$$root apt-get update -qq && $$root apt-get install -y -qq --no-install-recommends chromium >/dev/null \
	  && command -v chromium && exit 0; \
	echo "no browser could be installed: tests/report/test_browser.py will be skipped" >&2; exit 1

lint: $(READY)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## check types
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test  ## lint, types and tests

bench: $(READY)  ## run a suite, e.g. make bench SUITE=demo
	$(BIN)/networld bench run $(SUITE) --jobs $(JOBS) --results $(RESULTS); status=$$?; \
	$(BIN)/networld report $(RESULTS)/$(SUITE) && exit $$status

references: $(READY)  ## score every reference policy again and write benchmarks/REFERENCES.md
	$(BIN)/networld reference --record
	$(BIN)/python docs/hooks.py >benchmarks/REFERENCES.md

animations: $(READY)  ## draw the animations of the README and the documentation again
	for task in cbf rb ns; do \
	  $(BIN)/networld render --task $$task --seed 1 --out docs/assets/$$task.webp || exit 1; done

checkpoints: $(READY)  ## train a small NetWorld model of each task into models/ and score them
	$(MAKE) --jobs $(JOBS) $(TASKS:%=model-%)
	for task in $(TASKS); do $(BIN)/networld evaluate models/$$task --record || exit 1; done

# Training goes on where it was interrupted.
$(TASKS:%=model-%): model-%: $(READY)
	$(BIN)/networld train networld --task $* --updates $(UPDATES) --out models/$*

docs: $(READY)  ## build the documentation into site/
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[docs]'
	$(BIN)/mkdocs build --strict

clean:  ## remove the virtual environments and what was built; results stay
	rm -rf $(VENV) $(INTEROP) build dist site .pytest_cache .ruff_cache
