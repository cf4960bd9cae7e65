# make demo    a real agent, traced from its call to a file, and shown; no key, no network
# make test    lint, types and the test suite
# make corpus  the recorded exchanges alone, with their table
# make bench   what tracing adds to a call
# make matrix  the suite again with other versions of what we depend on
# make long    the tests that take long: kills by the dozen, full disks, the examples as their readers run them
# make clis    installs command-line agents
# make tools   builds the official collector and Jaeger; needs Go
# make interop      the tests with both: agents run offline through the proxy, the official programs beside ours
# make duplicates   every other instrumentation beside ours: is each call counted once?

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
export PIP_CONSTRAINT = $(CURDIR)/constraints.txt

.PHONY: demo test long lint format corpus bench matrix duplicates clis tools interop clean

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: lint
	$(BIN)/python -m pytest -n 2 --quick

long: $(VENV)/.test
	$(BIN)/python -m pytest -m 'long and not interop' -n 2

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

corpus: $(VENV)/.test
	$(BIN)/python -m pytest -m corpus

bench: $(VENV)/.test
	$(BIN)/python benchmarks/overhead.py

matrix:
	$(PYTHON) scripts/matrix.py

duplicates: $(VENV)/.test
	$(BIN)/python scripts/duplicates.py

clis:
	$(PYTHON) scripts/install_clis.py

tools:
	$(PYTHON) scripts/install_interop_tools.py

interop: clis tools $(VENV)/.test
	$(BIN)/python -m pytest -m interop -n 2

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis traces.jsonl

$(VENV)/.made: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("llmtrace-otel needs Python 3.11 or newer; run make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	$(PIP) install --editable '.[collector]' --group demo
	touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	$(PIP) install --editable '.[collector]' --group test --group lint
	touch $@
