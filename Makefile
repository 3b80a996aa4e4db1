# make run    set up what is missing, start everything, answer for one picture, serve until Ctrl-C
# make test   set up what is missing, run all tests
# make bench  measure, beside its peers (SECTIONS="peers growth ..." for some)
# make setup  set up what training and development need
#
# Settings go on the command line or into the environment:
#   make run PORT=8080 MODEL_NAME=other MODEL_BASE_PATH=models/other GATEWAY_LABELS=a,b,c

PYTHON ?= python3
VENV := .venv
DEV := $(CURDIR)/$(VENV)/dev/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
PACKAGES := gateway client model/server trainer
TESTED := $(PACKAGES) kube-config

.DEFAULT_GOAL := help
.PHONY: help run test bench setup lint format lock proto clean

help:
	@sed -n 's/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST)) | head -7

run: $(VENV)/gateway/ready $(VENV)/server/ready
	@exec $(VENV)/gateway/bin/python gateway/run_local.py

test: $(VENV)/dev/ready
	@set -e; for package in $(TESTED); do \
	    echo "== $$package"; (cd $$package && $(DEV)/python -m pytest -q -rs); \
	done

setup: $(VENV)/dev/ready

lint: $(VENV)/dev/ready
	$(DEV)/ruff check --config .ci/ruff.toml .
	$(DEV)/ruff format --check --config .ci/ruff.toml .
	@set -e; for package in $(PACKAGES); do (cd $$package && $(DEV)/mypy); done

format: $(VENV)/dev/ready
	$(DEV)/ruff check --fix --config .ci/ruff.toml .
	$(DEV)/ruff format --config .ci/ruff.toml .

# An environment is made anew when its lock file changes.
$(VENV)/gateway/ready: gateway/requirements.lock client/requirements.lock
$(VENV)/server/ready: model/server/requirements.lock
$(VENV)/dev/ready: .ci/requirements.lock

$(VENV)/%/ready:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is needed")'
	@echo "Setting up $(VENV)/$* (once)"
	@$(PYTHON) -m venv --clear $(VENV)/$*
	@$(VENV)/$*/bin/python $(PIP_INSTALL) --require-hashes --requirement $<
	@if [ $* = dev ]; then $(VENV)/dev/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation \
	    --editable gateway --editable client --editable model/server; fi
	@if [ $* = gateway ]; then $(VENV)/gateway/bin/python $(PIP_INSTALL) --require-hashes \
	    --requirement client/requirements.lock; $(VENV)/gateway/bin/python $(PIP_INSTALL) --no-deps \
	    --editable client; fi
	@touch $@

# The peers that the benchmarks compare with, each with what it needs.
PEERS := reference monolith litserve bentoml onnxruntime
PEER_ENVIRONMENTS := $(PEERS:%=$(VENV)/bench-%/ready)

bench: $(VENV)/gateway/ready $(VENV)/server/ready $(VENV)/dev/ready $(PEER_ENVIRONMENTS)
	$(DEV)/python bench/run.py $(SECTIONS)

$(PEER_ENVIRONMENTS): $(VENV)/bench-%/ready: bench/peers/%.txt $(VENV)/dev/ready
	@echo "Setting up $(VENV)/bench-$* (once)"
	@$(DEV)/uv venv --quiet --clear --python $(DEV)/python $(VENV)/bench-$*
	@$(DEV)/uv pip install --quiet --python $(VENV)/bench-$*/bin/python --requirement $<
	@touch $@

# For whoever changes a dependency or the protocol.
LOCK := $(DEV)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
    --no-emit-index-url --no-header --no-emit-package sports-gateway
lock: $(VENV)/dev/ready
	$(LOCK) $(PACKAGES:%=%/pyproject.toml) .ci/requirements.in --output-file .ci/requirements.lock
	@set -e; for package in $(PACKAGES); do $(LOCK) --constraint .ci/requirements.lock \
	    $$package/pyproject.toml --output-file $$package/requirements.lock; done

proto: $(VENV)/dev/ready
	cd gateway && $(DEV)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
	    gateway/tf_serving.proto

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
