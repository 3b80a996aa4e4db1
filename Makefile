# make run    set up what is missing, start everything, classify a sample image, serve until Ctrl-C
# make test   set up what is missing, run all tests
# make bench  measure the service and its peers (SECTIONS="peers growth ..." for some)
# make bulk   classify a folder or table of any size: make bulk IN=images OUT=results
# make setup  set up the environment of training and development
# make promote  compare a new model with the served one (PROMOTE="--candidate runs/staged/4 ...")
# make sbom   write what is inside the images and the environment of `make run`, as CycloneDX
#
# Settings are make variables or environment variables:
#   make run PORT=8080 MODEL_NAME=other MODEL_BASE_PATH=models/other GATEWAY_LABELS=a,b,c

VENV := .venv
DEV := $(CURDIR)/$(VENV)/dev/bin
UV := $(CURDIR)/$(VENV)/uv/bin/uv
PACKAGES := gateway client model/server trainer
TYPED := $(PACKAGES) bulk kube-config
TESTED := $(PACKAGES) bulk kube-config
REPORTS := $(CURDIR)/$(VENV)/reports
# Test processes: more than processors where tests mostly wait.
WORKERS_gateway := 4
# Loading OpenVINO in each takes longer than the tests.
WORKERS_model/server := 0
WORKERS := 2
# Ray is in its environment alone; without it these tests skip.
PYTHON_bulk = $(and $(wildcard $(VENV)/bulk/ready),$(CURDIR)/$(VENV)/bulk/bin/python)
# The tests share one local Ray.
WORKERS_bulk := 0
OUTPUT_SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync)
# With COVERAGE=1 these fail below the floor in their pyproject.toml.
COVERED := gateway client

.DEFAULT_GOAL := help
.PHONY: help run test $(TESTED:%=test-%) bench bulk setup promote sbom lint lint-style lint-types \
    lint-bench-types audit format lock proto clean

help:
	@sed -n 's/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST)) | head -10

run: $(VENV)/run/ready
	@exec $(VENV)/run/bin/python gateway/run_local.py

# Two packages at a time: some mostly wait, others compute. The output of each comes when it ends.
test: $(VENV)/dev/ready
	@$(MAKE) --no-print-directory --jobs=2 --keep-going $(OUTPUT_SYNC) $(TESTED:%=test-%)

$(TESTED:%=test-%): test-%: $(VENV)/dev/ready
	@echo "== $*"; cd $* && $(or $(PYTHON_$*),$(DEV)/python) -m pytest -q -rs -n $(or $(WORKERS_$*),$(WORKERS)) \
	    --dist loadfile --junitxml=$(REPORTS)/$(subst /,-,$*).xml \
	    $(if $(COVERAGE),$(if $(filter $*,$(COVERED)),--cov)) $(TEST_FLAGS)

test-bulk: $(wildcard $(VENV)/bulk/ready)

setup: $(VENV)/dev/ready

lint: lint-style lint-types lint-bench-types

lint-style: $(VENV)/dev/ready
	$(DEV)/ruff check --config .ci/ruff.toml .
	$(DEV)/ruff format --check --config .ci/ruff.toml .
	@set -e; for package in $(filter-out trainer,$(PACKAGES)); do (cd $$package && $(DEV)/deptry .); done
	@cd bulk && $(DEV)/deptry sports_bulk
	@cd trainer && $(DEV)/deptry . ../dataset
	$(DEV)/zizmor --offline --quiet .github/workflows
	$(DEV)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml

# They share a cache: what one has read, such as NumPy's types, the next need not.
lint-types: $(VENV)/dev/ready
	@set -e; for package in $(TYPED); do (cd $$package && $(DEV)/mypy --cache-dir $(CURDIR)/.mypy_cache); done

# Its options differ, so that it would replace what the others have cached.
lint-bench-types: $(VENV)/dev/ready
	@cd bench && $(DEV)/mypy

# Known vulnerabilities of what the locks list.
audit: $(VENV)/dev/ready
	$(DEV)/python .ci/audit.py

format: $(VENV)/dev/ready
	$(DEV)/ruff check --fix --config .ci/ruff.toml .
	$(DEV)/ruff format --config .ci/ruff.toml .

# An environment is made anew when one of its lock files changes.
$(VENV)/uv/ready: .ci/uv.lock
	@.ci/environment.sh uv "" $^

$(VENV)/run/ready: gateway/requirements.lock client/requirements.lock \
    model/server/requirements.lock | $(VENV)/uv/ready
	@.ci/environment.sh run "" $^

$(VENV)/dev/ready: .ci/requirements.lock | $(VENV)/uv/ready
	@.ci/environment.sh dev "$(PACKAGES)" $^

$(VENV)/bulk/ready: bulk/tests/requirements.lock | $(VENV)/uv/ready
	@.ci/environment.sh bulk "gateway model/server bulk" $^

bulk: $(VENV)/bulk/ready
	@$(if $(and $(IN),$(OUT)),,echo "make bulk IN=FILE_OR_FOLDER OUT=FOLDER" >&2; exit 2)
	@$(VENV)/bulk/bin/sports-bulk '$(IN)' '$(OUT)' $(BULK)

# The peers that the benchmarks compare with, each with what it needs.
PEERS := reference monolith litserve bentoml onnxruntime
PEER_ENVIRONMENTS := $(PEERS:%=$(VENV)/bench-%/ready)

bench: $(VENV)/run/ready $(VENV)/dev/ready $(PEER_ENVIRONMENTS)
	$(DEV)/python bench/run.py $(SECTIONS)

$(PEER_ENVIRONMENTS): $(VENV)/bench-%/ready: bench/peers/%.txt $(VENV)/dev/ready
	@echo "Setting up $(VENV)/bench-$* (once)"
	@$(UV) venv --quiet --clear --python $(DEV)/python $(VENV)/bench-$*
	@$(UV) pip install --quiet --python $(VENV)/bench-$*/bin/python --requirement $<
	@touch $@

# After a change of a dependency or of the protocol.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-emit-package sports-gateway \
    --no-emit-package sports-model-server
lock: $(VENV)/uv/ready
	$(LOCK) .ci/uv.in --output-file .ci/uv.lock
	$(LOCK) $(PACKAGES:%=%/pyproject.toml) .ci/requirements.in --output-file .ci/requirements.lock
	@set -e; for package in $(PACKAGES); do $(LOCK) --constraint .ci/requirements.lock \
	    $$package/pyproject.toml --output-file $$package/requirements.lock; done
	$(LOCK) --constraint gateway/requirements.lock --constraint model/server/requirements.lock \
	    bulk/pyproject.toml bulk/tests/requirements.in --output-file bulk/tests/requirements.lock
	$(LOCK) --constraint bulk/tests/requirements.lock bulk/pyproject.toml \
	    --output-file bulk/requirements.lock

promote: $(VENV)/dev/ready
	$(DEV)/python trainer/promote.py $(PROMOTE)

sbom: $(VENV)/dev/ready
	$(DEV)/python .ci/sbom.py sbom

proto: $(VENV)/dev/ready
	cd gateway && $(DEV)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
	    open_inference/api.proto tf_serving/api.proto

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
