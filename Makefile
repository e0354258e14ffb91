# Everything a day's work needs; CONTRIBUTING.md says when to use which.

BIN := .venv/bin
STAMP := .venv/.installed
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: setup demo test sim prove fuzz bench check format lock brokers up down clean

setup: $(STAMP) ## make .venv with the pinned tools and choreo itself

demo: setup ## run the example on memory://
	$(BIN)/python -m examples.order_fulfilment

# Most tests wait for brokers: so many processes share them, each with brokers of its own.
TESTERS ?= 3
# Those that kill and freeze wait for sessions and leases to run out, most of their time.
KILLERS ?= 2

test: export CHOREO_TEST_PATIENCE ?= 3
test: setup ## run everything that the brokers at hand can show
	@status=0; \
	$(BIN)/pytest -q -m "not alone" --numprocesses $(TESTERS) --dist worksteal || status=1; \
	$(BIN)/pytest -q -m alone --numprocesses $(KILLERS) --dist worksteal || status=1; \
	exit $$status

SEEDS ?= 10000
FIRST ?= $(shell date +%s)
WORLDS := $(foreach name,till till post shop meters depot reminders wary storms cuts,tests.simulation.$(name):few)

sim: setup ## run simulated worlds, on all cores, what failed once first: make sim SEEDS=10000
	$(BIN)/choreo simulate $(WORLDS) --first $(FIRST) --seeds $(SEEDS) --corpus tests/simulation/corpus.jsonl

MEASURES ?=

bench: setup ## every measure beside its peer, on real brokers: make bench MEASURES="memory kafka_consume"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/bench.txt
	$(BIN)/python -m bench $(MEASURES)

MINUTES ?= 15
SEED ?= $(shell date +%s)

prove: setup ## real brokers, databases and kills: make prove MINUTES=60; MINUTES=4 is a sample
	$(BIN)/python -m tests.prove --minutes $(MINUTES) --seed $(SEED)

SECONDS ?= 60
TARGET ?= envelope

fuzz: setup ## look for what crashes a reader, with atheris: make fuzz TARGET=avro_codec SECONDS=600
	$(BIN)/python -m tests.fuzz $(TARGET) $(SECONDS)

check: setup ## lint, format, types, architecture: all of them, whichever fails
	@$(MAKE) --no-print-directory --keep-going --jobs=2 $(WHOLE) $(CHECKS)

# One tool's output after the other's, where make is new enough for that.
WHOLE := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

CHECKS := check-pyright check-mypy check-imports check-lint check-format
.PHONY: $(CHECKS)
check-lint: TOOL := ruff check
check-format: TOOL := ruff format --check
check-mypy: TOOL := mypy
check-pyright: TOOL := pyright
check-imports: TOOL := lint-imports
$(CHECKS):
	@echo "── $(TOOL)"; $(BIN)/$(TOOL)

format: setup ## repair what can be repaired
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## pin the dependencies anew
	requirements/lock.sh

brokers: setup ## real Kafka, Mosquitto, PostgreSQL and a schema registry on this machine until Ctrl-C
	$(BIN)/python -m tests.local

up: ## the same and more in containers
	docker compose up --build --wait

down: ## stop the containers, keep their data
	docker compose down

clean: ## back to a fresh clone
	rm -rf .venv build dist .fuzz .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(STAMP): requirements/dev.txt pyproject.toml
	$(if $(PYTHON),,$(error choreo needs Python 3.11 or later))
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
