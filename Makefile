# The commands of the README. Everything they need they install: into .venv, and for `make test` as root
# also Debian packages.

# Debian's own Python is built with optimisation by profile: up to half as fast again as one built without.
DEBIAN := /usr/bin/python3.11
PYTHON ?= $(shell test -x $(DEBIAN) && { $(DEBIAN) -c 'import ensurepip' 2>/dev/null || test "$$(id -u)" = 0; } \
	&& echo $(DEBIAN) || echo python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check --quiet --no-input install

# Tests wait for servers and for one another's processes more than half of their time: five workers keep two cores busy.
# A file, or a group of tests (tests/conftest.py), stays with one worker, and the folders come as pyproject.toml has them: those with the longest files first.
PYTEST := $(BIN)/python -m pytest --numprocesses $$((5 * $$(nproc) / 2)) --dist loadgroup --no-loadscope-reorder

# Compiled modules are kept whatever the environment says: a node, which tests start by the hundred, is up in two thirds of the time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test soak fuzz check format lock docs packages clean

help:
	@echo "make demo    the whole way of some declarations on this machine, about a minute"
	@echo "make test    install what the tests need, and run them all"
	@echo "make soak    fault runs for SOAK_MINUTES (60): processes, servers, disk and clock fail, nothing is lost"
	@echo "make fuzz    property tests with fresh seeds for FUZZ_MINUTES (60), and how to repeat what fails"
	@echo "make check   format, lint, types, import contracts, tests"
	@echo "make docs    write the generated pages of docs/ anew"
	@echo "make lock    write requirements/ anew from pyproject.toml (needs uv)"

demo: $(VENV)/.run
	$(BIN)/gateway demo

test: $(VENV)/.test
	$(PYTEST)

soak: $(VENV)/.test
	$(if $(SOAK_RUNS),,GATEWAY_MESSAGES=8000 GATEWAY_FLOOD=100000 $(BIN)/python -m pytest -q \
		tests/crash/test_kill_roles.py tests/end_to_end/test_cluster.py tests/end_to_end/test_flood.py)
	$(BIN)/python -m tests.crash.soak

fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz

check: $(VENV)/.test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

format: $(VENV)/.test
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/.test
	$(BIN)/python -m tests.generated

$(BIN)/python:
	$(PYTHON) tests/packages.py venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python requirements/build.txt requirements/run.txt pyproject.toml
	$(PIP) --no-deps --require-hashes -r requirements/build.txt
	$(PIP) --no-deps --require-hashes --only-binary :all: -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt packages
	test -f $@ && test $@ -nt requirements/test.txt || \
		$(PIP) --no-deps --require-hashes --no-build-isolation -r requirements/test.txt
	touch $@

packages:
	$(PYTHON) tests/packages.py test

LOCK = uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-header --no-annotate --python-version 3.11 pyproject.toml

lock:
	$(LOCK) --group build -o requirements/test.txt --extra amqp --extra pkcs11 --extra postgres --extra ukey \
		--group dev
	$(LOCK) -c requirements/test.txt -o requirements/run.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --python-version 3.11 --group build -c requirements/test.txt \
		-o requirements/build.txt

clean:
	rm -rf $(VENV) dist build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
