# `make` lists what can be made. Everything runs in .venv, which is filled from the locks.
PROFILE ?= quick
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONUNBUFFERED := 1
INSTALL := pip install --disable-pip-version-check --quiet
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev repro report results bench sweep replicate test fuzz reliability \
  screenshots check audit ui sync clean-checkpoints clean lock known-rows no-profile no-sweep no-model

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: .venv/installed ## make .venv and install the locked requirements

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit( \
	  f"error: Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --no-compile --require-hashes -r requirements.lock
	@# What pip would do on one core, on all; like pip it passes over files that do not compile.
	python -W ignore -m compileall -qq -j 0 .venv/lib || true
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

setup-dev: .venv/installed-dev ## add the locked requirements of tests and checks

.venv/installed-dev: .venv/installed requirements-dev.lock
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

no-profile:
	@echo "error: no profile '$(PROFILE)': make repro PROFILE=..., one of" \
	  $(basename $(notdir $(wildcard conf/profile/*.yaml))) >&2; exit 2

repro: $(if $(wildcard conf/profile/$(PROFILE).yaml),,no-profile) setup ## compose conf/ and run the pipeline: make repro PROFILE=full JOBS=4
	modelmill compose profile=$(PROFILE)
	modelmill repro $(if $(JOBS),--jobs $(JOBS))
	@modelmill results

report: setup ## open a page of all there is now: report.html
	modelmill report --now report.html
	@python -m webbrowser -t "$$(python -c 'from pathlib import Path; print(Path("report.html").absolute().as_uri())')"

results: setup ## publish the results of PROFILE=full: docs/results.md, README.md
	@modelmill results --publish

# pip takes PyTorch's build for processors where it finds it: it is the later version of the two.
.venv-torch/installed: PACKAGES = --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0
.venv-jax/installed: PACKAGES = jax==0.10.2 optax==0.2.8
.venv-torch/installed .venv-jax/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --disable-pip-version-check --quiet --timeout 10 --retries 1 $(PACKAGES) numpy
	@touch $@

known-rows: setup
	@python -m benchmarks.training --check $(if $(ONLY),--only $(ONLY))

bench: known-rows ## training speed beside others: make bench ONLY=ptb QUICK=1
	-@for peer in torch jax; do $(MAKE) --no-print-directory .venv-$$peer/installed; done
	dvc repro preprocess
	@python -m benchmarks.training $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) \
	  $$(for peer in torch jax; do \
	    test ! -f .venv-$$peer/installed || echo --$$peer .venv-$$peer/bin/python; done)

# Before the data are prepared, which takes its time.
no-sweep:
	@echo "error: no sweep '$(NAME)': make sweep NAME=..., one of" \
	  $(basename $(notdir $(wildcard conf/sweep/*.yaml))) >&2; exit 2

sweep: $(if $(wildcard conf/sweep/$(NAME).yaml),,no-sweep) setup ## search hyperparameters: make sweep NAME=mnist_mlp_rate ARGS=--resume
	dvc repro preprocess
	@modelmill sweep $(NAME) $(ARGS)

no-model:
	@echo "error: make replicate NAME=... SEEDS=5, the name being one or more of" \
	  $(basename $(notdir $(wildcard conf/model/*.yaml))) >&2; exit 2

replicate: $(if $(filter-out $(basename $(notdir $(wildcard conf/model/*.yaml))),$(or $(NAME),none)),no-model) setup ## figures over seeds: make replicate NAME=mnist_deep_mlp SEEDS=5
	dvc repro preprocess
	@modelmill replicate $(NAME) --seeds $(or $(SEEDS),5)

test: setup-dev ## the whole test suite; LONG=--long: also what takes minutes
	pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20 $(LONG)

fuzz: setup-dev ## 10,000 damaged or random files on every reader, a line as each is done
	pytest -n 2 -vv -m fuzz -o faulthandler_timeout=0 --hypothesis-profile=fuzz --durations=0

reliability: setup-dev ## survive every fault, 200 kills, 10,000 damaged files of each kind: docs/reliability.md
	pytest -n 2 --dist loadfile -m fault --long --hypothesis-profile=fuzz -vv \
	  -o faulthandler_timeout=0 --reliability=docs/reliability.md

screenshots: setup-dev ## the documentation's pictures of the page of all results and of MLflow
	modelmill report --now report.html
	pytest -k "fits_the_screen or address_opens or two_runs_are_compared" \
	  --screenshots=docs/screenshots

check: setup-dev audit ## lint, format, types, security, params.yaml against conf/, dvc.yaml
	ruff check .
	ruff format --check .
	mypy
	bandit --quiet --recursive --configfile pyproject.toml src pipelines
	modelmill compose --check
	dvc stage list --all > /dev/null

audit: setup-dev ## the locks against known vulnerabilities, where an advisory service answers
	@python .ci/audit.py

ui: setup ## compare runs in the browser
	@modelmill ui

sync: setup ## complete MLflow's records from data/
	modelmill sync

clean-checkpoints: ## forget where interrupted trainings stopped
	rm -rf data/checkpoints

clean: ## remove data, environment and caches; keeps DVC's cache and MLflow's records
	rm -rf .venv .venv-torch .venv-jax
	rm -rf data/raw data/processed data/models data/curves data/evaluations data/figures data/report
	rm -rf data/sweeps data/checkpoints
	rm -f data/params.checked report.html
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --custom-compile-command "make lock"

lock: ## pin the requirements anew (needs uv)
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --group dev -c requirements.lock -o requirements-dev.lock
