# Every developer command. README, CI and contributors use these and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.labelbus-ready
MEMBERS := contracts $(sort $(wildcard libs/*)) $(sort $(wildcard services/*)) cli simulator
CODE := contracts libs services cli simulator tests benchmarks tools
UV_VERSION := 0.13.9
KAFKA_PORT ?= 19092

.PHONY: help setup demo test check lint types imports schemas format docs blocks block lock kafka-up kafka-down bench clean

help:  ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

setup: $(SETUP)  ## Make .venv with everything pinned in requirements.lock

$(SETUP): requirements.lock $(MEMBERS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Labelbus needs Python 3.11 or later; this is %s. Set PYTHON=python3.11 (or later)." % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps $(MEMBERS:%=-e ./%)
	@touch $@

demo: setup  ## Label a generated dataset in one process, with a real detector and the Studio simulator
	$(BIN)/labelbus demo

test: setup  ## Run every test, on both carriers and both databases
	$(BIN)/pytest

check: lint types imports schemas  ## Everything but the tests

lint: setup
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: setup
	$(BIN)/mypy $(wildcard $(CODE))

imports: setup
	$(BIN)/lint-imports

schemas: setup
	$(BIN)/python -m labelbus_contracts.schema check

format: setup  ## Format the code and write the JSON Schemas
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/python -m labelbus_contracts.schema write

docs: setup  ## Write the generated parts of docs/reference
	$(BIN)/python tools/docs/reference.py write

blocks: setup  ## Write the generated files of blocks/*: Dockerfile, .dockerignore, parameters.json
	$(BIN)/python tools/blocks/blocks.py write

block: setup  ## Make a folder that edge-impulse-blocks can push: make block NAME=owl-vit
	@$(BIN)/python tools/blocks/blocks.py bundle "$(NAME)" ".blocks/$(NAME)"

lock: setup  ## Pin every dependency anew
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --all-packages --all-extras --all-groups --no-emit-workspace --no-emit-project \
	  --no-header --format requirements-txt -o requirements.lock > /dev/null

kafka-up: setup  ## Start a real local Apache Kafka on port KAFKA_PORT, without Docker
	$(BIN)/python tools/kafka/kafka.py up --port $(KAFKA_PORT)

kafka-down: setup  ## Stop it
	$(BIN)/python tools/kafka/kafka.py down --port $(KAFKA_PORT)

bench: setup  ## Print the figures that README quotes
	$(BIN)/python -m benchmarks

clean:  ## Remove what setup and the demo made
	rm -rf $(VENV) .demo .kafka
