# Needs make and Python 3.11 or newer, and nothing else: the rest is installed into a virtual environment.
#
#   PYTHON=python3.12   the interpreter that makes the environment; without it the first that can
#   VENV=.venv          where the environment is
#   ARGS="-k rooms"     passed to pytest, or to the benchmarks
#   WORKERS=6           in how many processes the tests run; 0 for this one, as a debugger needs it
#   REDIS=redis://...   the Redis that the demo uses; without it, one process and no Redis
#   PORT=8000           where the demo listens
#   FAST=1              test-matrix runs what is fast only
#   ROWS="3.13"         the rows that test-matrix runs; without it, all
#   LOOP=asyncio        the event loop of servers and tests, asyncio or uvloop; without it, each its own
#   WSTEST=/path        the fuzzing client of Autobahn, for test-autobahn

VENV ?= .venv
PORT ?= 8000
ARGS ?=
WORKERS ?= 6
REDIS ?=
PYTHON ?=
FAST ?=
ROWS ?=
LOOP ?=
WSTEST ?=

PYTHONS = python3.11 python3.12 python3.13 python3.14 python3 python
PY = $(VENV)/bin/python
# What starts no server or other process, and takes milliseconds. Folders of which next to nothing is left then are not
# even read; and outbound sockets, with two libraries each, are what takes longest of the rest.
NOT_FAST = server or browser or postgres or nginx or haproxy or systemd or prometheus or faults or slow
FAST_FOLDERS = --ignore=tests/docs --ignore=tests/balancer --ignore=tests/e2e --ignore=tests/clients \
    --ignore=tests/test_bench.py
FAST_TESTS = --numprocesses $(FAST_WORKERS) -m "not ($(NOT_FAST) or redis)" $(FAST_FOLDERS)
FAST_WORKERS ?= 3
# Waiting is most of what tests of servers do, and so there are more processes than processors. Each begins with a part
# of its own, for the servers that tests of a file share, and helps the others at the end.
PYTEST = $(PY) -m pytest --numprocesses $(WORKERS) --dist worksteal
PIP = $(PY) -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-fast-redis test-newest test-newest-in test-faults test-random test-loops test-autobahn check check-types check-rest format test-matrix docs dist bench bench-quick clean

help: ## Say what there is
	@echo "make <target>:"
	@sed -n 's/^\([a-z-]*\):.*## /  \1: /p' $(firstword $(MAKEFILE_LIST))

demo: install-package ## Run the example: make demo [REDIS=redis://127.0.0.1:6379] [PORT=8000]
	@echo "$(PY) manage.py migrate"
	@$(PY) $(LOCKED) $(PY) manage.py migrate
	$(PY) manage.py demo 127.0.0.1:$(PORT)

ifneq ($(LOOP),)
export FASTWS_TESTS_LOOP = $(LOOP)
endif

ifneq ($(REDIS),)
demo: export REDIS_URL = $(REDIS)
endif

test: install-test ## Run the tests: make test [ARGS="-k rooms"]
	@$(PY) -m tests.support.redis_binary || echo "going on without redis-server" >&2
	$(PYTEST) $(ARGS)

test-fast: install-test ## Only what starts no server and takes milliseconds; without outbound sockets; in a minute
	$(PYTEST) $(FAST_TESTS) $(ARGS)

test-fast-redis: install-test ## The same, and what needs a Redis and is as fast
	@$(PY) -m tests.support.redis_binary || echo "going on without redis-server" >&2
	$(PYTEST) --numprocesses $(FAST_WORKERS) -m "not ($(NOT_FAST))" $(FAST_FOLDERS) $(ARGS)

test-newest: ## The tests without servers, on the newest Python and Django that can be had here
	@python=$$($(FIND_PYTHON)) && newest=$$("$$python" -m tests.support.matrix --newest) && \
	    echo "== $$newest, the newest Django" && exec $(MAKE) test-newest-in VENV=.venvs/newest PYTHON="$$newest"

test-newest-in: install-test
	$(PYTEST) $(FAST_TESTS) $(ARGS)

test-faults: install-test ## Only what kills, pauses, floods, cuts and never reads; in about six minutes
	@$(PY) -m tests.support.redis_binary || echo "going on without redis-server" >&2
	FASTWS_TESTS_RANDOM=1 $(PYTEST) -m faults $(ARGS)

test-random: install-test ## Only what Hypothesis makes examples for, others in each run
	@$(PY) -m tests.support.redis_binary || echo "going on without redis-server" >&2
	FASTWS_TESTS_RANDOM=1 $(PYTEST) -m hypothesis $(ARGS)

test-loops: ## What test-faults runs, on asyncio's event loop and on uvloop's, one after the other
	$(MAKE) test-faults LOOP=asyncio
	$(MAKE) test-faults LOOP=uvloop

test-autobahn: install-test ## The fuzzing client of Autobahn's test suite: make test-autobahn WSTEST=/path/to/wstest
	WSTEST="$(WSTEST)" $(PY) -m tests.autobahn $(ARGS)

check: install-lint install-npm ## Look for mistakes: ruff, mypy, pyright, import-linter, TypeScript, eslint, the code in the pages
	@$(MAKE) --no-print-directory --jobs=2 check-types check-rest

# Both use one processor for about a minute.
check-types:
	$(PY) -m mypy
	$(PY) -m mypy --config-file tests/typing/mypy.ini docs/examples/*.py example_project tests/typing/*.py

check-rest:
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(VENV)/bin/lint-imports
	$(PY) docs/include_code.py --check
	$(PY) docs/reference_pages.py --check
	$(PY) -m tests.support.client_size
	$(PY) -m tests.support.node tests/js/node_modules/.bin/pyright --pythonpath $(PY)
	$(PY) -m tests.support.node npm --prefix tests/js --silent run check

format: install-lint ## Format the code, mend what can be mended, write the pages' code into them
	$(PY) -m ruff check --fix
	$(PY) -m ruff format
	$(PY) docs/include_code.py
	$(PY) docs/reference_pages.py

test-matrix: ## Run the tests on all supported versions: make test-matrix [FAST=1] [ROWS="3.11-lowest 3.13"]
	@python=$$($(FIND_PYTHON)) && MAKE="$(MAKE)" "$$python" -m tests.support.matrix $(if $(FAST),--fast) $(ROWS)

docs: install-docs ## Build the documentation into docs/_build/html
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

dist: install-test ## Build what is released into dist/, and try it where nothing else is installed; needs the index
	$(PY) -m tests.release.building dist
	FASTWS_TESTS_DIST="$(CURDIR)/dist" $(PYTEST) -o faulthandler_timeout=1800 tests/release $(ARGS)

bench: install-bench ## Measure against Channels and others, and write it down: make bench [ARGS="--only memory"]
	@$(PY) -m tests.support.redis_binary
	@$(PY) -m tests.support.node npm --prefix bench/node --silent ci || echo "going on without the peers on Node.js" >&2
	@$(PY) -m bench $(ARGS); status=$$?; $(PY) -m bench --page --plot && exit $$status

bench-quick: install-bench ## The same in some minutes, with less of everything; nothing of it is published
	@$(PY) -m tests.support.redis_binary
	$(PY) -m bench --quick $(ARGS)

clean: ## Remove the environments, caches and whatever was built
	rm -rf .venv .venv.lock .venvs .cache build dist docs/_build tests/js/node_modules bench/node/node_modules
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +


# The environment. Several makes may run at once: whoever holds the lock installs, the others wait and then
# find the stamps up to date. The package and each group of tools have a stamp of their own, so that
# "make check" does not touch the package while "make test" uses it.

# python $(LOCKED) command...: holds a lock beside the environment until the command ends.
LOCKED = -c 'import fcntl, os, sys; lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); os.set_inheritable(lock, True); fcntl.flock(lock, fcntl.LOCK_EX); os.execvp(sys.argv[2], sys.argv[2:])' $(VENV).lock

# Can it make an environment with pip in it? (Debian's python3 cannot without python3-venv.)
IS_USABLE = -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1

# Prints the first interpreter that can.
FIND_PYTHON = \
    for candidate in $(if $(PYTHON),$(PYTHON),$(PYTHONS)); do \
        if "$$candidate" $(IS_USABLE); then command -v "$$candidate"; exit 0; fi; \
    done; \
    echo "There is no Python 3.11 or newer with the modules venv and ensurepip (tried: $(if $(PYTHON),$(PYTHON),$(PYTHONS)))." >&2; \
    echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv; Fedora: dnf install python3;" >&2; \
    echo "macOS: brew install python), or name one: make PYTHON=/path/to/python3.12" >&2; \
    exit 1

install-%:
	@mkdir -p $(dir $(VENV))
	@python=$$($(FIND_PYTHON)) && "$$python" $(LOCKED) $(MAKE) --silent PYTHON="$$python" $(VENV)/.stamp-$*

# An environment that already works is kept.
$(VENV)/.stamp-venv:
	$(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
	    echo "$(VENV): making the environment with $(PYTHON)"; \
	    $(PYTHON) -m venv $$(test ! -e $(VENV)/pyvenv.cfg || echo --clear) $(VENV); }
	$(PIP) install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.stamp-package: $(VENV)/.stamp-venv pyproject.toml
	echo "$(VENV): installing the package"
	$(PIP) install --quiet --editable .
	touch $@

$(VENV)/.stamp-npm: $(VENV)/.stamp-lint tests/js/package.json tests/js/package-lock.json
	echo "tests/js/node_modules: installing what checks the browser client"
	$(PY) -m tests.support.node npm --prefix tests/js ci --loglevel error --no-audit --no-fund --ignore-scripts
	touch $@

$(VENV)/.stamp-%: $(VENV)/.stamp-package
	echo "$(VENV): installing the group $*"
	$(PIP) install --quiet --group $*
	touch $@
