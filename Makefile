# Needs make and Python 3.11 or newer, and nothing else: the rest is installed into a virtual environment.
#
#   PYTHON=python3.12   the interpreter that makes the environment; without it the first that can
#   VENV=.venv          where the environment is
#   ARGS="-k rooms"     passed to pytest, or to the benchmarks
#   WORKERS=6           in how many processes the tests run; 0 for this one, as a debugger needs it
#   REDIS=redis://...   the Redis that the demo uses; without it, one process and no Redis
#   PORT=8000           where the demo listens

VENV ?= .venv
PORT ?= 8000
ARGS ?=
WORKERS ?= 6
REDIS ?=
PYTHON ?=

# A further requirement for the environment, such as django~=5.2.0; test-matrix sets it.
DJANGO =
# Python version and requirement; "lowest" is the lowest version of each dependency.
MATRIX = 3.11/lowest 3.11/django~=5.2.0 3.12/django~=5.2.0 3.13/django 3.14/django

PYTHONS = python3.11 python3.12 python3.13 python3.14 python3 python
PY = $(VENV)/bin/python
# From the newest; the first that is here is taken.
NEWEST_PYTHONS = 3.14 3.13 3.12 3.11
# What starts no server or other process, and takes milliseconds. Folders of which next to nothing is left then are not
# even read; and outbound sockets, with two libraries each, are what takes longest of the rest.
FAST = -m "not (server or redis or browser or postgres or nginx or haproxy or systemd or faults or slow)" \
    --ignore=tests/docs --ignore=tests/balancer --ignore=tests/e2e --ignore=tests/clients --ignore=tests/test_bench.py
# Waiting is most of what tests of servers do, and so there are more processes than processors. Each begins with a part
# of its own, for the servers that tests of a file share, and helps the others at the end.
PYTEST = $(PY) -m pytest --numprocesses $(WORKERS) --dist worksteal
PIP = $(PY) -m pip --disable-pip-version-check
FURTHER = $(if $(DJANGO),"$(DJANGO)")

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-newest test-newest-in test-faults check format test-matrix docs bench bench-quick clean

help: ## Say what there is
	@echo "make <target>:"
	@sed -n 's/^\([a-z-]*\):.*## /  \1: /p' $(firstword $(MAKEFILE_LIST))

demo: install-package ## Run the example: make demo [REDIS=redis://127.0.0.1:6379] [PORT=8000]
	@echo "$(PY) manage.py migrate"
	@$(PY) $(LOCKED) $(PY) manage.py migrate
	$(PY) manage.py demo 127.0.0.1:$(PORT)

ifneq ($(REDIS),)
demo: export REDIS_URL = $(REDIS)
endif

test: install-test ## Run the tests: make test [ARGS="-k rooms"]
	@$(PY) -m tests.support.redis_binary || echo "going on without redis-server" >&2
	$(PYTEST) $(ARGS)

test-fast: install-test ## Only what starts no server and takes milliseconds; without outbound sockets; in a minute
	$(PYTEST) --numprocesses 3 $(FAST) $(ARGS)

test-newest: ## The tests without servers, on the newest Python and Django that can be had here
	@for version in $(NEWEST_PYTHONS); do \
	    if python=$$($(FIND_VERSION)); then \
	        echo "== Python $$version, the newest Django"; \
	        exec $(MAKE) test-newest-in VENV=".venvs/newest" PYTHON="$$python"; \
	    fi; \
	done; \
	echo "there is none of Python $(NEWEST_PYTHONS) here" >&2; exit 1

test-newest-in: install-test
	$(PYTEST) --numprocesses 3 $(FAST) $(ARGS)

test-faults: install-test ## Only what kills, pauses, floods, cuts and never reads; in under six minutes
	@$(PY) -m tests.support.redis_binary || echo "going on without redis-server" >&2
	$(PYTEST) -m faults $(ARGS)

check: install-lint install-npm ## Look for mistakes: ruff, mypy, pyright, import-linter, TypeScript, eslint, the code in the pages
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -m mypy --config-file tests/typing/mypy.ini docs/examples/*.py example_project tests/typing/*.py
	$(PY) -m tests.support.node tests/js/node_modules/.bin/pyright --pythonpath $(PY)
	$(VENV)/bin/lint-imports
	$(PY) docs/include_code.py --check
	$(PY) docs/reference_pages.py --check
	$(PY) -m tests.support.client_size
	$(PY) -m tests.support.node npm --prefix tests/js --silent run check

format: install-lint ## Format the code, mend what can be mended, write the pages' code into them
	$(PY) -m ruff check --fix
	$(PY) -m ruff format
	$(PY) docs/include_code.py
	$(PY) docs/reference_pages.py

test-matrix: ## Run the tests on every Python and Django that is supported, and on the lowest versions of all
	@ran= failed=; \
	for row in $(MATRIX); do \
	    version=$${row%%/*} requirement=$${row#*/}; \
	    if python=$$($(FIND_VERSION)); then \
	        echo "== Python $$version, $$requirement"; \
	        ran="$$ran $$row"; \
	        if [ "$$requirement" = lowest ]; then \
	            mkdir -p .venvs && "$$python" -m tests.support.lowest >.venvs/lowest.txt && PIP_CONSTRAINT="$(CURDIR)/.venvs/lowest.txt" \
	                $(MAKE) test VENV=.venvs/lowest PYTHON="$$python" || failed="$$failed $$row"; \
	        else \
	            $(MAKE) test VENV=".venvs/python$$version" PYTHON="$$python" DJANGO="$$requirement" \
	                || failed="$$failed $$row"; \
	        fi; \
	    else \
	        echo "== Python $$version, $$requirement: skipped, there is no Python $$version here"; \
	    fi; \
	done; \
	if [ -z "$$ran" ]; then echo "nothing was run" >&2; exit 1; fi; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi; \
	echo "passed:$$ran"

docs: install-docs ## Build the documentation into docs/_build/html
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

bench: install-bench ## Measure against Channels and others, and write it down: make bench [ARGS="--only memory"]
	@$(PY) -m tests.support.redis_binary
	@$(PY) -m bench $(ARGS); status=$$?; $(PY) -m bench --page --plot && exit $$status

bench-quick: install-bench ## The same in under two minutes, with less of everything; nothing of it is published
	@$(PY) -m tests.support.redis_binary
	$(PY) -m bench --quick $(ARGS)

clean: ## Remove the environments, caches and whatever was built
	rm -rf .venv .venv.lock .venvs .cache build dist docs/_build tests/js/node_modules
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

# Prints the first Python $$version on the PATH or among pyenv's. On the PATH may be a pyenv shim that only fails.
FIND_VERSION = \
    IFS=:; \
    for directory in $$PATH "$$HOME"/.pyenv/versions/$$version/bin "$$HOME"/.pyenv/versions/$$version.*/bin; do \
        candidate="$$directory/python$$version"; \
        if [ -x "$$candidate" ] && "$$candidate" $(IS_USABLE); then echo "$$candidate"; exit 0; fi; \
    done; \
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
	$(PIP) install --quiet --editable . $(FURTHER)
	touch $@

$(VENV)/.stamp-npm: $(VENV)/.stamp-lint tests/js/package.json tests/js/package-lock.json
	echo "tests/js/node_modules: installing what checks the browser client"
	$(PY) -m tests.support.node npm --prefix tests/js ci --loglevel error --no-audit --no-fund --ignore-scripts
	touch $@

$(VENV)/.stamp-%: $(VENV)/.stamp-package
	echo "$(VENV): installing the group $*"
	$(PIP) install --quiet --group $* $(FURTHER)
	touch $@
