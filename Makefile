# `make help` says what there is. Everything is made in .venv, step by step; a step that is done is not repeated
# until what it depends on changes.

VENV ?= .venv
# whether a Python is one of those that PyTorch, TensorFlow and the tests support
is_supported := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
# the first supported one on the PATH
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p $(is_supported) 2>/dev/null && echo $$p && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
# Stamps carry a checksum of what the step was made from; of pyproject.toml, without the settings of ruff and others.
project := sed '/^\[tool.ruff\]/,$$d' pyproject.toml
core := $(VENV)/.made/core-$(shell { $(project); cat setup.py plugins/constraints.txt; } | cksum | tr ' ' -)
unet := $(VENV)/.made/unet-$(shell cd plugins/ravenml_unet && cat install.sh requirements.txt setup.py VERSION | cksum | tr ' ' -)
pins := plugins/constraints.txt tests/requirements.txt
editable := -e '.[dev]' $(patsubst %,-e %,$(wildcard plugins/ravenml_*))
dev := $(VENV)/.made/dev-$(shell { $(project); cat $(pins) setup.py plugins/*/setup.py plugins/*/VERSION; } | cksum | tr ' ' -)
# a plugin that was uninstalled by hand is to be installed again
$(shell ls -d $(VENV)/lib/*/site-packages/ravenml_unet-*.dist-info >/dev/null 2>&1 || rm -f $(unet) $(dev))
$(shell ls -d $(VENV)/lib/*/site-packages/ravenml_tf_bbox-*.dist-info >/dev/null 2>&1 || rm -f $(dev))
demo := $(or $(RAVENML_STORAGE_PATH),$(HOME)/.ravenML)/datasets/demo
demo_flags := --epochs 16 --batch-size 2 --input-height 96 --input-width 128
# The order of the tests is random, and the same for all who test one commit; SEED=N draws another.
SEED ?= $(or $(shell git rev-list --count HEAD 2>/dev/null),1)
pytest := $(BIN)/pytest -n auto --randomly-seed=$(SEED) $(if $(SLOW_SHARE),--slow-share=$(SLOW_SHARE))
# stamp NAME: remember that it is done, forget earlier ones of the same step
stamp = @mkdir -p $(@D) && rm -f $(@D)/$(1)-* && touch $@

# What is imported is compiled once. Nothing else is: pip compiles nothing, and most of it nobody imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-all lint format docs linkcheck dist torture screenshots requirements clean install
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

demo: install ## install everything, write the demo project and train on it, in at most 5 minutes
	@[ -d "$(demo)" ] || { echo "Writing the demo project to $(demo)." && rm -rf "$(demo).part" && \
		$(BIN)/raven data demo "$(demo).part" >/dev/null && mv "$(demo).part" "$(demo)"; }
	@! $(BIN)/raven config show | grep -q '^dataset: (not set)' || $(BIN)/raven config update --dataset demo
	$(BIN)/raven train --dataset "$(demo)" unet train --kfold --folds 2 $(demo_flags)

install: $(core) $(unet) ## the core and the U-Net plugin for CPU, in .venv

test: lint docs ## the checks, the documentation and the tests, less those that are slow
	$(pytest) -m "not slow"

test-all: lint docs ## like test, and the slow tests (SLOW_SHARE=0.25: a quarter); COVERAGE=1 prints what they ran
	@$(if $(COVERAGE),rm -rf .coverage && mkdir .coverage &&) $(if $(COVERAGE),RAVENML_TEST_COVERAGE=$(CURDIR)/.coverage) \
		$(pytest) || { [ $$? = 1 ] && echo "What failed, once more and one by one; whatever passes now is flaky:" && \
		$(BIN)/pytest --last-failed --last-failed-no-failures none -p no:randomly; }; status=$$?; \
		$(if $(COVERAGE),$(BIN)/python tests/line_coverage.py .coverage; rm -rf .coverage;) exit $$status

lint: $(dev) ## ruff, mypy, import-linter, shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto ravenml plugins/ravenml_unet/ravenml_unet plugins/ravenml_tf_bbox/ravenml_tf_bbox
	$(BIN)/lint-imports
	PATH="$$PATH:$(BIN)" shellcheck .ci/run .ci/dist install_all.sh $$(find plugins -name '*.sh')

format: $(dev) ## let ruff sort imports, mend what it can, and format
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

dist: $(dev) ## wheels and source distributions of the core and both plugins, in dist/
	@PATH="$(CURDIR)/$(BIN):$$PATH" .ci/dist dist

docs: $(dev) ## the documentation, in docs/_build/html
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

linkcheck: $(dev) ## the documentation's links to other sites, which need a network; those within it, `make docs` checks
	$(BIN)/sphinx-build -W -q -b linkcheck docs docs/_build/linkcheck

screenshots: $(dev) ## the dashboard's pictures in docs/images, with Chromium
	$(BIN)/python docs/screenshots.py

requirements: $(dev) ## compile plugins/*/requirements*.in where they have changed
	$(BIN)/python -m ravenml.plugin.requirements compile

torture: $(dev) ## attack at random: kills, faults, hostile input; CAMPAIGN=… TRIALS=… SEED=… TRIAL=…
	@PYTHONPATH=tests $(BIN)/python -m torture $(CAMPAIGN) $(if $(TRIALS),--trials $(TRIALS)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(filter command%,$(origin SEED)),--seed $(SEED)) $(if $(TRIAL),--trial $(TRIAL))

clean: ## remove what was made here: .venv, the built documentation, caches
	rm -rf $(VENV) docs/_build build dist *.egg-info plugins/*/build plugins/*/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Error: ravenML needs Python 3.11 to 3.13, and none is on the PATH; install one" \
		"(Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.13"; exit 1; } >&2
	@$(PYTHON) $(is_supported) || { echo "Error: ravenML needs Python 3.11 to 3.13, and $(PYTHON) is" \
		"$$($(PYTHON) -V); name another: make PYTHON=/path/to/python3.13"; exit 1; } >&2
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Error: $(PYTHON) lacks the modules venv and" \
		"ensurepip; install them (Debian, Ubuntu: apt install python3-venv)."; exit 1; } >&2
	@echo "Making the virtual environment $(VENV)."
	@$(PYTHON) -m venv $(VENV)

$(core): | $(BIN)/python
	@echo "Installing ravenML's core into $(VENV)."
	@$(PIP) -c plugins/constraints.txt -e .
	$(call stamp,core)

$(unet): $(core)
	@echo "Installing the U-Net plugin and PyTorch for CPU; this takes the longest."
	@PATH="$(CURDIR)/$(BIN):$$PATH" plugins/ravenml_unet/install.sh
	$(call stamp,unet)

# All that the tests need is pinned, so the two halves are unpacked at once; only where pins for another machine
# left something out does pip have to resolve.
$(dev): | $(BIN)/python
	@echo "Installing the core, both plugins and what the tests need; this takes about a minute."
	@rm -f $(VENV)/half-* && cat $(pins) | grep -v '^#' | sort -u | awk '{ print > ("$(VENV)/half-" NR % 2) }'
	@index=$$($(BIN)/python -c 'from ravenml.plugin.requirements import cpu_index; print(cpu_index() or "")') && \
	ls $(VENV)/half-* | xargs -P 2 -I{} $(PIP) $${index:+--extra-index-url $$index} --no-compile --no-deps -r {}
	@export PIP_USE_PEP517=1 && $(PIP) --no-compile --no-deps --no-build-isolation $(editable) && \
	{ $(BIN)/python -m pip check -q >/dev/null || $(PIP) $(pins:%=-c %) $(editable); }
	@rm -f $(VENV)/half-*
	$(call stamp,dev)
