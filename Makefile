# Tasks; `make` lists them. Needs only Python 3.11 or newer (PYTHON=python3.12 make test).
PYTHON ?= python3
BIN := .venv/bin
# Tests call programs that are installed beside pytest, such as the BIDS validator. There is a process
# of tests for each core: with more threads than one they would wait for one another. Bytecode is kept,
# whatever the environment says, as they start many processes. Memory comes in large pages where Linux
# has them: programs take a tenth to a third less processor time.
LARGE_PAGES := GLIBC_TUNABLES=glibc.malloc.hugetlb=1
PYTEST := env -u PYTHONDONTWRITEBYTECODE PATH="$(CURDIR)/$(BIN):$$PATH" $(LARGE_PAGES) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -rfERs
# What is imported is compiled then: pip would compile all that is never imported, too.
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
# For the many packages of developers; it takes a fifth of pip's time. Where pip is set to find files, it finds them.
UV_BIN := UV_FIND_LINKS="$$PIP_FIND_LINKS" $(BIN)/uv
UV := $(UV_BIN) pip install --quiet --python $(BIN)/python --constraint constraints.txt

DEMO ?= demo-output
PAPER ?= paper-output

.DEFAULT_GOAL := help
.PHONY: help demo paper test test-slow lint bench docs release-check

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Packages that a run needs are installed first: the demo needs no others.
.venv/program: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	$(BIN)/python -m compileall -q bids_dtg
	touch $@

.venv/installed: .venv/program
	$(PIP) uv
	$(UV) --editable '.[dev]'
	touch $@

demo: .venv/program ## simulate 3 participants, predict their maps with the demo model, compare with the truth (DEMO=folder)
	$(BIN)/dtg-demo $(DEMO)

paper: .venv/installed ## make the publication's analyses and figures of 12 simulated people; goes on where it was ended (PAPER=folder)
	env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python studies/paper.py $(PAPER) --simulate 12 --permutations 49 --contrast gamblingReward languageMathVsStory motorAvg wm2bkVs0bk --tune languageMathVsStory --features 4 --epochs 10

test: .venv/installed ## run the fast tests (minutes)
	$(PYTEST) --numprocesses auto --dist loadfile

test-slow: .venv/installed ## run the slow tests: full-size data, killed processes, the BIDS validator
	$(PYTEST) -m slow --timeout 1500 --numprocesses auto --dist loadfile $$(grep -rl --include='test_*.py' 'mark\.slow' tests | sort)

lint: .venv/installed ## check style, types, the import contract, the Dockerfile and scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck main .ci/run container/build_and_try container/entrypoint container/steps/* \
		examples/*/run examples/slurm/submit examples/slurm/task.sbatch

# Each adds its figures to benchmarks/history.tsv, and prints their ratios to the last ones there.
bench: .venv/installed ## time and memory against a plain implementation and the last figures (20 minutes)
	$(BIN)/python benchmarks/participant.py --record
	$(BIN)/python benchmarks/forward.py --record
	$(BIN)/python benchmarks/connectome.py --record
	$(BIN)/python benchmarks/throughput.py --record

docs: .venv/installed ## build the documentation into site/, and run changed examples; warnings are errors
	$(LARGE_PAGES) NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

release-check: .venv/installed ## build the files of a release, check them, install the wheel and run the demo with it
	rm -rf build dist
	$(BIN)/python -m build --installer uv
	$(BIN)/twine check --strict dist/*
	$(UV_BIN) venv --quiet build/installed
	$(UV_BIN) pip install --quiet --python build/installed dist/*.whl
	build/installed/bin/dtg-demo build/demo --participants 1
