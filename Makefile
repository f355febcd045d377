# Each target says in one line what it does; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
VERSIONS := 3.12 3.13 3.14

.PHONY: help demo test check soak bench clean
.NOTPARALLEL:

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1  /p' Makefile

demo: $(VENV)/.demo ## a model on this machine, an answer, then JupyterLab (DEMO=terminal: without)
	@$(VENV)/bin/swiftask-jupyter model \
	  || echo "the model's weights could not be fetched; the demo goes on without them"
	$(VENV)/bin/swiftask-jupyter demo
	@[ "$(DEMO)" = terminal ] || { \
	  set -- example_notebooks/01_first_cell.ipynb; \
	  [ "$$(id -u)" != 0 ] || set -- "$$@" --allow-root; \
	  [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ] || set -- "$$@" --no-browser; \
	  exec $(PY) -m jupyterlab "$$@"; \
	}

# Both halves mostly wait, so they run at once; what the browser's had to say comes at the end.
test: $(VENV)/.test ## every test but the long ones, in a real browser too
	$(PY) tests/support/find_chromium.py
	$(PY) tests/support/postgres.py
	@$(VENV)/bin/swiftask-jupyter model || echo "the tests of the real model will be skipped"
	@mkdir -p .pytest_cache; \
	$(PY) -m pytest -m "browser and not soak" >.pytest_cache/browser.txt 2>&1 & \
	$(PY) -m pytest -m "not browser and not soak"; others=$$?; \
	echo "In the browser, at the same time:"; \
	wait $$!; browser=$$?; cat .pytest_cache/browser.txt; \
	[ $$others = 0 ] && [ $$browser = 0 ]

check: $(VENV)/.test ## lint, format, types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

soak: $(VENV)/.test $(VENV)/ipykernel6/.done ## the long tests, older kernels, other Pythons on PATH
	$(PY) tests/support/find_chromium.py
	$(PY) tests/support/postgres.py
	$(PY) -m pytest -m soak --timeout 3600
	$(VENV)/ipykernel6/bin/python -m pytest -m "not browser" --timeout 3600
	@for version in $(VERSIONS); do \
	  if ! python$$version -c '' 2>/dev/null; then \
	    echo "Python $$version: not on PATH, not tested"; continue; \
	  fi; \
	  other=$(VENV)/python$$version; \
	  echo "Python $$version:"; \
	  python$$version -m venv $$other || exit 1; \
	  $$other/bin/python -m pip install -q -e '.[test]' || exit 1; \
	  $$other/bin/python -m pytest -m "not soak and not browser" || exit 1; \
	done

bench: $(VENV)/bench/.done ## every benchmark, in turn, beside the packages it compares with
	@for f in benchmarks/[a-z]*.py; do $(VENV)/bench/bin/python $$f || exit 1; done

clean: ## remove what make made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(PY):
	$(PYTHON) -m venv $(VENV)

$(VENV)/bench/.done: pyproject.toml | $(PY)
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip install -q -e '.[bench]'
	@touch $@

# Older ones that are still in use, and papermill.
$(VENV)/ipykernel6/.done: pyproject.toml | $(PY)
	$(PYTHON) -m venv $(VENV)/ipykernel6
	$(VENV)/ipykernel6/bin/python -m pip install -q -e '.[test]' \
	  ipykernel==6.30.1 'ipython<9' 'msgspec<0.21' 'pandas<3' papermill
	@touch $@

$(VENV)/.demo $(VENV)/.test: $(VENV)/.%: pyproject.toml | $(PY)
	$(PY) -m pip install -q -e '.[$*]'
	@touch $@
