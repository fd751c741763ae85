# Two commands matter: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHBEAT := $(BIN)/benchbeat
INPUTS := pyproject.toml constraints.txt

.PHONY: help demo test check bench chaos trust docs format clean

help:
	@echo "make demo    ask a real model real questions through the queue (about 3 minutes after installing)"
	@echo "make test    lint, types and tests"
	@echo "make check   lint and types only"
	@echo "make bench   what benchbeat costs, measured beside the bare thing"
	@echo "make chaos   strike it with faults and count what is lost or doubled (about 15 minutes)"
	@echo "make trust   watch simulated series for false alarms, changes found, delay and extra runs"
	@echo "make docs    build the documentation into site/, strictly; open site/index.html"
	@echo "make format  put the code into shape"
	@echo "make clean   remove .venv and caches (your history is elsewhere and stays)"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "benchbeat needs Python 3.11 or newer; $(PYTHON) is older or missing: make PYTHON=/path/to/python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(INPUTS) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[worker,embedded,report]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[worker,embedded,eval,dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BENCHBEAT) run examples/demo.toml
	@echo
	$(BENCHBEAT) sql "select strategy, prompt, text, score from answers where item_id = 'facts-001' order by run_id desc limit 3"
	@echo
	@echo "That was a real model through the real queue. Next:"
	@echo "  $(BENCHBEAT) sql                   what there is to ask, with examples"
	@echo "  $(BENCHBEAT) run --model smollm2-135m --workload facts --strategy direct,few_shot --items 24"
	@echo "  $(BENCHBEAT) up                    keep a worker running; then: $(BENCHBEAT) submit SWEEP"
	@echo "  $(BENCHBEAT) report --html r.html  what was measured, as a document"
	@echo "  $(BENCHBEAT) down                  stop the embedded Redis"

# In two processes, but for what needs the machine for itself.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not alone'
	$(BIN)/python -m pytest -m alone

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.performance $(BENCH)

chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos

trust: $(VENV)/.installed-dev
	$(BIN)/python -m tests.trust

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
