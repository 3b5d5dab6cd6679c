# Every common task; `make help` lists them. The only requirement is Python >= 3.11.
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

# One thread per process: runs are parallel already, and more threads slow small networks down.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast interop browser check lint types bench references claims leaderboard animations checkpoints notebooks docs clean
.PHONY: pretrained release publish versions $(TASKS:%=model-%)

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 12

setup: $(READY)  ## create the virtual environment in $(VENV)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"NetWorld needs Python >= 3.11, {sys.executable} is {v.major}.{v.minor}; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[dev]'
	@touch $@

demo: $(READY)  ## run the whole pipeline at small size: datasets, training, evaluation, figures
	start=$$(date +%s); \
	$(BIN)/networld bench run demo --jobs $(JOBS) --results $(RESULTS); status=$$?; \
	$(BIN)/networld report $(RESULTS)/demo --title "NetWorld demo" || exit $$?; \
	took=$$(($$(date +%s) - start)); echo "demo took $$((took / 60)) min $$((took % 60)) s"; exit $$status

test: $(READY)  ## run all tests
	$(BIN)/pytest -n $(JOBS)

test-fast: $(READY)  ## run the tests that take less than ten seconds each
	$(BIN)/pytest -n $(JOBS) -m "not slow"

interop: $(INTEROP)/.ready  ## test against other libraries, in a second environment $(INTEROP)
	$(INTEROP)/bin/pytest -n $(JOBS) -m interop

$(INTEROP)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[test,interop]'
	@touch $@

browser:  ## install Debian's Chromium for the report's tests, if no browser is found
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

check: lint types test  ## run lint, types and tests

bench: $(READY)  ## run a suite, e.g. make bench SUITE=demo
	$(BIN)/networld bench run $(SUITE) --jobs $(JOBS) --results $(RESULTS); status=$$?; \
	$(BIN)/networld report $(RESULTS)/$(SUITE) && exit $$status

references: $(READY)  ## rescore every reference policy; write benchmarks/REFERENCES.md and README's table
	$(BIN)/networld reference --record
	$(BIN)/python docs/hooks.py >benchmarks/REFERENCES.md
	$(BIN)/python benchmarks/tables.py

leaderboard: $(READY)  ## write docs/leaderboard.md from the committed rows and benchmarks/submissions
	$(BIN)/networld bench leaderboard

claims: $(READY)  ## write the table of claims into README.md and benchmarks/REPORT.md
	$(BIN)/python benchmarks/claims.py

animations: $(READY)  ## redraw the animations of the README and the documentation
	for task in cbf rb ns; do \
	  $(BIN)/networld render --task $$task --seed 1 --out docs/assets/$$task.webp || exit 1; done

checkpoints: $(READY)  ## train a small NetWorld model per task into models/ and score it
	$(MAKE) --jobs $(JOBS) $(TASKS:%=model-%)
	for task in $(TASKS); do $(BIN)/networld evaluate models/$$task --record || exit 1; done

# An interrupted training resumes.
$(TASKS:%=model-%): model-%: $(READY)
	$(BIN)/networld train networld --task $* --updates $(UPDATES) --out models/$*

pretrained: $(READY)  ## make the models of the package from the suite cpu in $(RESULTS)
	$(BIN)/python tools/pretrained.py --results $(RESULTS)

notebooks: $(READY)  ## make the notebooks of the tutorials
	$(BIN)/python docs/notebooks.py

docs: $(READY)  ## build the documentation into site/
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[docs]'
	$(BIN)/mkdocs build --strict

# Needs Pythons 3.11 to 3.13; those that are missing are listed.
versions: $(READY)  ## test the oldest and the newest versions of all dependencies
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[release]'
	$(BIN)/python tools/versions.py

release: $(READY)  ## build wheel and sdist into dist/ and check them; uploads nothing
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[release]'
	PYTHON=$(BIN)/python tools/release.sh

publish: $(READY)  ## push datasets and pretrained models, e.g. make publish HUB=hf://ACCOUNT
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE)'[hub]'
	$(BIN)/python tools/publish.py $(HUB)

clean:  ## remove the virtual environments and all build output, but not results
	rm -rf $(VENV) $(INTEROP) build dist site .pytest_cache .ruff_cache
