.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
DATA ?= simulated
TIMEZONE ?=
KEEP ?=
CHECKOV := 3.3.30
PIP_AUDIT := 2.10.1
D3RLPY := 2.8.1
RECTOOLS := 0.19.0

.PHONY: help setup checkov audit d3rlpy rectools demo test test-slow test-faults images test-containers kind-up kind-demo kind-down kind-pin lint format lock clean

help: ## print this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## make the environment in .venv (the other commands do it when needed)

$(VENV)/.installed: requirements.lock pyproject.toml scripts/setup
	@scripts/setup $(VENV)
	@touch $@

checkov: .venv-checkov/$(CHECKOV) ## checkov for the tests of the manifests, apart in .venv-checkov (45 s, 290 MB)

.venv-checkov/$(CHECKOV): | setup # what it requires does not fit our versions
	@echo 'checkov: fetching checkov $(CHECKOV)'
	@$(PY) -m venv --clear .venv-checkov
	@.venv-checkov/bin/pip install --quiet checkov==$(CHECKOV)
	@touch $@

audit: .venv-audit/$(PIP_AUDIT) ## known vulnerabilities of what is installed; says so where the data cannot be had
	@$(PY) -m scripts.audit .venv-audit/bin/pip-audit

.venv-audit/$(PIP_AUDIT): | setup # apart: what looks at the packages is none of them
	@echo 'audit: fetching pip-audit $(PIP_AUDIT)'
	@$(PY) -m venv --clear .venv-audit
	@.venv-audit/bin/pip install --quiet pip-audit==$(PIP_AUDIT)
	@touch $@

d3rlpy: .venv-d3rlpy/$(D3RLPY) ## d3rlpy for benchmarks.training_speed, apart in .venv-d3rlpy (1.4 GB)

.venv-d3rlpy/$(D3RLPY): | setup # it wants another gymnasium
	@echo 'd3rlpy: fetching d3rlpy $(D3RLPY)'
	@$(PY) -m venv --clear .venv-d3rlpy
	@.venv-d3rlpy/bin/pip install --quiet d3rlpy==$(D3RLPY) $$(grep -E '^(numpy|torch|pyarrow)==' requirements.lock)
	@touch $@

rectools: .venv-rectools/$(RECTOOLS) ## RecTools and implicit for benchmarks.accuracy, apart in .venv-rectools (1.4 GB)

.venv-rectools/$(RECTOOLS): | setup # they want numpy < 2
	@echo 'rectools: fetching RecTools $(RECTOOLS), which brings implicit'
	@$(PY) -m venv --clear .venv-rectools
	@.venv-rectools/bin/pip install --quiet 'rectools[torch]==$(RECTOOLS)' $$(grep -E '^torch==' requirements.lock)
	@touch $@

demo: setup ## the whole loop on one machine; DATA=mind:PATH or ebnerd:PATH (TIMEZONE=UTC), KEEP=1 leaves it up
	@$(PY) -m scripts.demo --data '$(DATA)' $(if $(TIMEZONE),--timezone '$(TIMEZONE)') $(if $(KEEP),--keep)

test: setup ## the tests, in two processes
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: setup ## what takes long: sites that break, benchmarks, further simulated worlds (minutes)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -m slow

test-faults: test-slow

images: setup ## the images newsrec-pipeline and newsrec-serving; TORCH=cu130 for CUDA, PYTHON_IMAGE=... for another base
	@$(PY) scripts/images

test-containers: setup ## the same in containers: builds the images, runs the pipeline and the servers from them
	@$(PY) -m pytest -m containers

kind-up: setup ## newsrec, KServe and Kubeflow Pipelines in a kind cluster; KIND_DOWNLOADS=FOLDER takes files from there
	@$(PY) -m scripts.kind_cluster up

kind-demo: setup ## the training pipeline on that cluster, then a reader who asks, reads and asks again
	@$(PY) -m scripts.kind_cluster demo

kind-down: setup ## delete that cluster
	@$(PY) -m scripts.kind_cluster down

kind-pin: setup ## record checksums and digests of what kind-up downloads
	@$(PY) -m scripts.kind_cluster pin

lint: setup ## ruff and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

format: setup ## let ruff format the sources
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

lock: setup ## write requirements.lock anew from the environment
	@(echo '# Exact versions of everything that newsrec installs (Python 3.11). Made by: make lock'; \
	  $(VENV)/bin/pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu$$//') > requirements.lock

clean: ## remove the environment and everything that runs left behind
	rm -rf $(VENV) .venv-audit .venv-checkov .venv-d3rlpy .venv-rectools runs build *.egg-info
