# Tasks; `make` lists them. Needs only Python 3.11 or newer (PYTHON=python3.12 make test).
PYTHON ?= python3
BIN := .venv/bin
# Tests run programs that are installed next to pytest, such as the BIDS validator. There is one test
# process per core, so each uses one thread. Bytecode is kept whatever the environment says, as tests
# start many processes. Large memory pages, where Linux has them, save a tenth to a third of the
# processor time.
LARGE_PAGES := GLIBC_TUNABLES=glibc.malloc.hugetlb=1
PYTEST := env -u PYTHONDONTWRITEBYTECODE PATH="$(CURDIR)/$(BIN):$$PATH" $(LARGE_PAGES) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -rfERs
# Modules are compiled when they are imported; pip would also compile those that never are.
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
# uv installs the many packages for developers in a fifth of pip's time; it finds files where pip does.
UV_BIN := UV_FIND_LINKS="$$PIP_FIND_LINKS" $(BIN)/uv
UV := $(UV_BIN) pip install --quiet --python $(BIN)/python --constraint constraints.txt

DEMO ?= demo-output
PAPER ?= paper-output

.DEFAULT_GOAL := help
.PHONY: help demo paper test test-slow lint bench docs release release-check

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The program's own packages are installed first, as the demo needs no others.
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

paper: .venv/installed ## make the publication's analyses and figures with 12 simulated people; can be resumed (PAPER=folder)
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

# Each adds its results to benchmarks/history.tsv, and prints their ratios to the last ones there.
bench: .venv/installed ## compare time and memory with a plain implementation and with the last results (20 minutes)
	$(BIN)/python benchmarks/participant.py --record
	$(BIN)/python benchmarks/forward.py --record
	$(BIN)/python benchmarks/connectome.py --record
	$(BIN)/python benchmarks/throughput.py --record

docs: .venv/installed ## build the documentation into site/, and run changed examples; warnings are errors
	$(LARGE_PAGES) NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

release: .venv/installed ## write the decisions of release.toml into files, build and check a release (RELEASE=owner/name)
	$(BIN)/python scripts/release.py values $(RELEASE)
	$(MAKE) docs release-check
	container/build_and_try cpu build/image.tar
	$(BIN)/python scripts/release.py text >build/release.md
	@echo "files: dist/ and site/; image, if it was built: build/image.tar; text: build/release.md"

# Root can switch the network off.
OFFLINE = $(shell unshare --net true 2>/dev/null && echo unshare --net)

release-check: .venv/installed ## build and check the files of a release, and make maps with the installed wheel
	rm -rf build dist
	$(BIN)/python -m build --installer uv
	$(BIN)/twine check --strict dist/*
	$(UV_BIN) venv --quiet build/installed
	$(UV_BIN) pip install --quiet --python build/installed dist/*.whl
	rm -rf build/demo build/xcp_d build/of-volumes build/of-parcels
	$(OFFLINE) build/installed/bin/dtg-demo build/demo --participants 1
	$(OFFLINE) build/installed/bin/python scripts/simulated_parcels.py build/xcp_d
	$(OFFLINE) build/installed/bin/bids_dtg build/demo/simulated/fmriprep build/of-volumes participant --model hcp-glasser
	$(OFFLINE) build/installed/bin/bids_dtg build/xcp_d build/of-parcels participant --model hcp-glasser
	test -s build/of-volumes/sub-sim001/func/*_desc-synthetic_statmap.pscalar.nii
	test -s build/of-parcels/sub-01/func/*_desc-synthetic_statmap.pscalar.nii
