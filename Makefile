# The two commands of the README, and their smaller parts. Needs git, make and Python 3.10 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: demo test test-train lint clean

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e '.[demo,dev]'
	touch $@

# Sets up, then shows the main job end to end: films dropped in a folder become scores on MQTT.
demo: $(VENV)/.demo
	$(BIN)/sharpedge export
	$(BIN)/sharpedge demo

# Sets up and passes the tests; installs no torch.
test: $(VENV)/.dev
	$(BIN)/sharpedge export
	$(BIN)/python -m pytest -m 'not training'

# The training package's tests; installs torch where a CPU wheel is to be had.
test-train: $(VENV)/.dev
	$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) install torch==2.13.0
	$(BIN)/python -m pytest -m training

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out engines/built
