# Every target makes its own environment in $(VENV) first; nothing has to be installed by hand but Python 3.11 or newer.
#   make theory STEPS=100000   main job, small: both theory sweeps, tables and figures in runs/report
#   make theory                the same at full size (500,000 steps a run)
#   make test                  lint and tests
#   make gpu                   on a machine with a CUDA device: tests, comparisons, speed -> docs/results/gpu.md, in a quarter of an hour
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= runs
STEPS ?=
CPUS ?=
THEORY = $(BIN)/python train_theory.py --out $(OUT) $(if $(STEPS),--num_epochs $(STEPS)) $(if $(CPUS),--num_cpus $(CPUS))

.PHONY: theory test lint bench gpu clean
.DEFAULT_GOAL = theory

theory: $(VENV)/.installed
	$(THEORY) --experiment complex
	$(THEORY) --experiment real
	$(BIN)/python -m src.report $(OUT)

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest -q -n auto $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

gpu: $(VENV)/.installed-dev
	$(BIN)/python -m src.bench.card

bench: $(VENV)/.installed
	$(BIN)/python -m src.bench

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
