# Two commands on a fresh machine: `make reproduce` runs every chapter, `make test` checks everything.
# Variables: PYTHON (which interpreter makes .venv), STAD_DATA (where the real data lies),
# WORKERS (processes that share the tests and chapters),
# ARGS (passed on by reproduce, results, scorecard, student, solved, refresh, lab, book, picture,
# slides, unit, browser, fuzz and bench).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist loadfile
VARIANT ?= -p seed 1 -p clip 7 -p late 3 -p stamps 8
CHAPTERS ?= $(shell find book -name '*.ipynb' -not -path '*/_*' -not -path '*/.*' | sort)
NOWHERE := runs/.no-data
# chapters train in a cell where there is a GPU: minutes, and other outputs
NO_GPU := CUDA_VISIBLE_DEVICES=
NBVAL := -m pytest --nbval --nbval-cell-timeout=600 -q -p no:cacheprovider
SEEDS ?= 1 2 3
OTHER_BLAS := $(if $(filter x86_64 AMD64,$(shell uname -m)),Nehalem)

export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help env system reproduce results scorecard trained student solved test lint types unit doctest \
        chapters shaken variants machine fuzz browser lab book slides picture refresh bench constraints clean

help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(READY)  ## make .venv from pyproject.toml under constraints.txt

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (the first time takes some minutes)"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q -c constraints.txt -e ".[book,video,flow,data,cluster,dev]"
	@touch $@

system:  ## install chromium and npm where they are missing (Debian, as root)
	@for tool in chromium npm; do \
	  command -v $$tool >/dev/null && continue; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $$tool"; \
	    apt-get update -qq >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$tool >/dev/null \
	    || echo "$$tool could not be installed"; \
	  else echo "$$tool is missing: install it with the system's package manager (apt-get install $$tool)"; fi; \
	done

reproduce: $(READY)  ## run every chapter at profile smoke; figures and copies go to runs/
	@$(BIN)/python book/_tools/run_chapters.py --jobs $(WORKERS) $(ARGS)

results: $(READY)  ## the same, and keep the real-data figures in book/results/
	@$(BIN)/python book/_tools/run_chapters.py --jobs $(WORKERS) --commit-results $(ARGS)

scorecard: $(READY)  ## every claim with a verdict: smoke runs in runs/, or the kept ones (ARGS="--profile lesson")
	@$(BIN)/python -m stad_lite.reproduce.scorecard --jobs $(WORKERS) $(ARGS)

trained: $(READY)  ## train the small detectors that chapters show, anew (book/trained/)
	@$(BIN)/python -m stad_lite.reproduce.trained $(ARGS)

student: $(READY)  ## write the chapters without solutions into runs/student/
	@$(BIN)/python book/_tools/course.py student $(ARGS)

solved: $(READY)  ## write the chapters with the answers filled in into runs/solved/
	@$(BIN)/python book/_tools/course.py solved $(ARGS)

test: lint types unit doctest chapters variants machine  ## everything but the browser

lint: $(READY)  ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)  ## mypy
	@$(BIN)/mypy

unit: $(READY)  ## the tests
	@$(BIN)/python -m pytest tests -m "not browser and not slow" $(SHARED) $(ARGS)

doctest: $(READY)  ## the examples in docstrings
	@$(BIN)/python -m pytest --doctest-modules stad_lite -q $(SHARED)

chapters: $(READY)  ## the chapters against their outputs: with the data (if present), and without it, shaken
ifeq ($(strip $(CHAPTERS)),)
	@echo "there is no chapter yet"
else
	@$(NO_GPU) STAD_PROGRESS=0 $(BIN)/python $(NBVAL) $(SHARED) $(CHAPTERS)
	@mkdir -p $(NOWHERE)
	@$(NO_GPU) STAD_PROGRESS=0 STAD_DATA="$(CURDIR)/$(NOWHERE)" STAD_SHAKE=1 $(BIN)/python $(NBVAL) $(SHARED) $(CHAPTERS)
endif

shaken: $(READY)  ## chapters, tests and doctests with the last bits of every sum changed, and on other code paths
	@mkdir -p $(NOWHERE)
	@for seed in $(SEEDS); do \
	  echo "== chapters shaken by seed $$seed"; \
	  $(NO_GPU) STAD_PROGRESS=0 STAD_DATA="$(CURDIR)/$(NOWHERE)" STAD_SHAKE=$$seed \
	    $(BIN)/python $(NBVAL) $(SHARED) $(CHAPTERS); \
	done
	@echo "== chapters on other code paths, two threads"
	@$(NO_GPU) STAD_PROGRESS=0 STAD_DATA="$(CURDIR)/$(NOWHERE)" ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2 \
	  $(if $(OTHER_BLAS),OPENBLAS_CORETYPE=$(OTHER_BLAS)) $(BIN)/python $(NBVAL) $(SHARED) $(CHAPTERS)
	@echo "== tests and doctests shaken"
	@STAD_SHAKE=1 $(BIN)/python -m pytest tests -m "not browser and not slow and not processes" $(SHARED) $(ARGS)
	@STAD_SHAKE=1 $(BIN)/python -m pytest --doctest-modules stad_lite -q $(SHARED)

machine: $(READY)  ## say on what this runs
	@$(BIN)/python book/_tools/machine.py

fuzz: $(READY)  ## damaged files at every reader: each is read or refused in a sentence (some minutes)
	@$(BIN)/python -m tests.fuzz --count 1000 $(ARGS)

browser: $(READY) system  ## every chapter in JupyterLab, every page of the site, in a real browser (ARGS="-k step")
	@$(BIN)/python -m pytest tests/browser -m browser $(ARGS)

lab: $(READY)  ## JupyterLab on the book (ARGS="--no-browser --port 9000")
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS) book

book: $(READY) system  ## build the site into book/_build/html (warnings are errors)
	@$(BIN)/python book/_tools/build_site.py $(ARGS)

slides: $(READY) system  ## slides of chapters into runs/slides (ARGS="step/extrapolation"; all without it)
	@$(BIN)/python book/_tools/slides.py $(ARGS)

variants: $(READY)  ## run every chapter with other parameters
	@$(NO_GPU) STAD_PROGRESS=0 $(BIN)/python book/_tools/run_chapters.py --jobs $(WORKERS) --out runs/variants $(VARIANT)

picture: $(READY)  ## draw the pictures of the README and the first page (ARGS="cfad"; all without it)
	@$(NO_GPU) $(BIN)/python book/_tools/picture.py $(ARGS)

refresh: $(READY)  ## execute the chapters without real data and normalise them in place
	@$(BIN)/python book/_tools/refresh.py $(ARGS)

bench: $(READY)  ## the benchmarks (CPU time, ratios within one run)
	@for file in benchmarks/bench_*.py; do \
	  echo "== $$file"; $(BIN)/python -m "benchmarks.$$(basename "$$file" .py)" $(ARGS); done

constraints: $(READY)  ## write constraints.txt from what is installed in .venv
	@$(BIN)/python -m pip freeze --all --exclude-editable \
	  | sed -E 's/^([A-Za-z0-9._-]+) @ .*\/\1-([^-+/]+).*/\1==\2/; s/\+[A-Za-z0-9.]+$$//' \
	  | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' | grep -v '^pip==' | LC_ALL=C sort -f -o constraints.txt
	@touch $(READY)

clean:  ## remove what was built (not .venv, not runs/)
	@rm -rf book/_build book/_vendor build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
