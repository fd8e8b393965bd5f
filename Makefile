# Every target works on a fresh clone: the environment is made when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := .venv-lowest
# Compiled on all cores afterwards, which pip does on one. Where Python may not write what it compiles, each process would
# compile torch anew. Some packages carry files that no Python reads: those are left as they are.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE := -m compileall -qq -j 0
# Idle workers take tests from busy ones; tests of one file stay together, and share what they set up.
PYTEST := -m pytest -n auto --dist worksteal

.PHONY: help install demo test test-all test-lowest test-wheel torture mutation lint format docs figures bench clean
.DELETE_ON_ERROR:

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("speedlimits needs Python 3.11 or newer; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python $(COMPILE) $(VENV)/lib || true
	@touch $@

install: $(STAMP)  ## .venv with speedlimits and its developer tools

demo: $(STAMP)  ## measure the speed limit of six small networks, under 90 seconds
	$(BIN)/speedlimits run --out runs/demo --force

lint: $(STAMP)  ## style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: lint  ## lint, then every test but the slow ones
	$(BIN)/python $(PYTEST) -m "not slow"

test-all: lint  ## lint, then every test
	$(BIN)/python $(PYTEST)

torture: $(STAMP)  ## try to break every promise of docs/trust.md, and keep the counts
	$(BIN)/python -m tests.torture

mutation: $(STAMP)  ## break every term of every equation in EQUATIONS.md, and see that the tests its row names notice
	$(BIN)/python -m tests.mutation

# The lowest versions that pyproject.toml allows, but for torch: PyPI has old versions with gigabytes of CUDA only. The
# kernel, dynamics and training tests also passed with torch 2.6.0 (CUDA 12.4, run on a CPU) when the bound was set.
$(LOWEST)/.installed: pyproject.toml constraints.txt .ci/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(PYTHON) .ci/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python $(PIP_INSTALL) --constraint $(LOWEST)/constraints.txt --editable '.[test]'
	@$(LOWEST)/bin/python $(COMPILE) $(LOWEST)/lib || true
	@touch $@

# A telling part: what reads, writes, draws and computes with the packages whose bounds these are. Torch has one version in
# both environments, so that what is torch alone is not tried again, nor are texts and signatures. Deprecations are no
# errors here: old packages use what newer ones beneath them have deprecated.
test-lowest: $(LOWEST)/.installed  ## a telling part of the tests with the lowest versions allowed, a few minutes
	$(LOWEST)/bin/python $(PYTEST) -m "not slow" -W ignore::DeprecationWarning tests/test_*.py tests/cli/test_cli.py \
	  tests/data tests/dissipation tests/report tests/runs tests/spectra tests/theory tests/transport \
	  --deselect tests/test_benchmarks.py --deselect tests/test_equations.py --deselect tests/test_errata.py \
	  --deselect tests/test_examples.py --deselect tests/test_public_names.py --deselect tests/test_tree.py \
	  --deselect tests/report/test_figure1.py --deselect tests/report/test_own_problems.py --deselect tests/report/test_serving.py

PYTHONS ?= $(BIN)/python
test-wheel: $(STAMP)  ## build sdist and wheel, and use the wheel from an empty environment; PYTHONS="python3.11 python3.13" for more
	$(BIN)/python .ci/smoke.py $(SMOKE) $(PYTHONS)

docs: $(STAMP)  ## the documentation as pages in docs/_build/html
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable '.[docs]'
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

figures:  ## list what draws the figures in this repository, and how to run it
	@$(PYTHON) docs/list_scripts.py figures

bench:  ## list the benchmarks and what each measures, and how to run it
	@$(PYTHON) docs/list_scripts.py benchmarks

format: $(STAMP)  ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:  ## remove the environments and build products, keep runs/
	rm -rf $(VENV) $(LOWEST) build dist docs/_build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
