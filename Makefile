# Sevenfold: `make run` sets up, runs the whole pipeline once on the sample firm, and prints the result.
.DEFAULT_GOAL := help
.PHONY: help setup run serve test test-long check docs bench bench-api bench-load lock clean

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
# One thread a process in tests: two busy libraries on two cores slow each other down tenfold.
TEST_ENV := OMP_NUM_THREADS=1 SEVENFOLD_THREADS=1 OPENBLAS_NUM_THREADS=1

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: $(STAMP) ## Create .venv with the pinned packages

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "Sevenfold needs Python 3.11: no '$(PYTHON)' found. Install it, or name it: make run PYTHON=/path/to/python3.11"; exit 1; }
	@ldconfig -p 2>/dev/null | grep -q libgomp.so.1 || { \
	  echo "LightGBM needs the system library libgomp: install the package libgomp1 (Debian, Ubuntu), libgomp (Fedora) or libomp (macOS), then run this again."; exit 1; }
	@test -x $(BIN)/python || { echo "Creating .venv …"; $(PYTHON) -m venv .venv; }
	@if command -v uv >/dev/null 2>&1; then ln -sf "$$(command -v uv)" .venv/uv; \
	  else $(BIN)/python -m pip install --quiet uv && ln -sf bin/uv .venv/uv; fi
	@echo "Installing the packages of requirements.lock …"
	@VIRTUAL_ENV=.venv .venv/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	@VIRTUAL_ENV=.venv .venv/uv pip install --quiet --no-deps -e .
	@touch $(STAMP)

run: $(STAMP) ## Set up, run the whole pipeline once on the sample firm, print the result
	@$(BIN)/sevenfold run

serve: $(STAMP) ## Dagster UI on port 3000 and the API on port 8000
	@$(BIN)/sevenfold serve

test: $(STAMP) ## The test suite, on SQLite and on a real PostgreSQL
	$(TEST_ENV) $(BIN)/pytest -n 2 --dist loadfile -m "not long"

test-long: $(STAMP) ## Besides: planted truth, open data, kills at random, thousands of odd requests
	$(TEST_ENV) $(BIN)/pytest -n 2 --dist loadfile -m long

check: $(STAMP) ## ruff, mypy and the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## Benchmarks, as ratios against baselines in the same run
	$(BIN)/python -m benchmarks

bench-api: $(STAMP) ## The API against a constant route, other servers, LightGBM and plain imports
	$(BIN)/python -m benchmarks api

bench-load: $(STAMP) ## The API under load beside a training, on a scored home (HOME_FOLDER=.sevenfold)
	$(BIN)/python -m benchmarks.load --home $(or $(HOME_FOLDER),.sevenfold)

docs: $(STAMP) ## Write the pages of docs/ that follow from the code
	$(BIN)/python -m orchestration.docs
	$(BIN)/python -m api.error_codes

lock: ## Pin the packages of pyproject.toml again
	VIRTUAL_ENV=.venv .venv/uv pip compile pyproject.toml --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url -o requirements.lock

clean: ## Remove the environment; state in .sevenfold/ stays (see `sevenfold reset`)
	rm -rf .venv
