# Every target sets up what it needs; nothing but Python 3, make and a C compiler must be there.

DATASET ?= taxi
PROFILE ?= laptop
WORKDIR ?= runs
NAME ?=
TO ?=
ARGS ?=
IMAGE ?= tfx-pipeline:$(shell git rev-parse --short HEAD 2>/dev/null || echo latest)
TARGET ?= step
BUILDER ?= $(firstword $(shell command -v docker podman buildah))

UV := .uv/bin/uv
PYTHON := .venv/bin/python
export UV_PROJECT_ENVIRONMENT := .venv
# An activated environment elsewhere must not be mistaken for this one.
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help wheel project run tune freeze runs notebook retrain schema models score tensorboard compile image bench clean
.PHONY: flink test test-cluster test-workers test-kubeflow test-kubernetes test-flink test-fast test-platform check audit upgrade fix

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/.ready ## run the pipeline (DATASET=, PROFILE=, WORKDIR=, ARGS="--set ...")
	@$(PYTHON) local_runner.py --dataset $(DATASET) --profile $(PROFILE) --workdir $(WORKDIR) $(ARGS)

test: .venv/.ready ## run the tests of everything that runs on one machine (half an hour on two cores)
	@$(PYTHON) -m pytest tests/unit tests/tf tests/field tests/e2e $(ARGS)

test-cluster: test-workers test-kubeflow test-kubernetes ## run the tests of workers, Kubeflow and Kubernetes (needs Go, root)

test-workers: .venv/.ready
	@$(PYTHON) -m pytest tests/distributed $(ARGS)

test-kubeflow: .venv/.ready
	@$(PYTHON) -m pytest tests/kubeflow $(ARGS)

test-kubernetes: .venv/.ready
	@tests/cluster/run $(PYTHON) $(ARGS)

test-flink: .venv/.ready ## run the tests of a real Flink (needs Java, PyPI, and Maven Central for Beam's jar)
	@$(PYTHON) -m pytest tests/flink $(ARGS)

# What can differ between two TFX lines: everything in one process but for how our own code reads and refuses what it
# is given, one whole life of a model, workers of every kind, and each step of the compiled pipeline once.
PLATFORM_TESTS := tests/unit --ignore=tests/unit/test_bounds.py --ignore=tests/unit/test_fuzz.py \
  --ignore=tests/unit/test_fuzz_directories.py --ignore=tests/unit/test_caches.py tests/tf \
  tests/field/test_encoders.py tests/field/test_names.py tests/field/test_random_models.py \
  tests/field/test_scaling.py tests/field/test_text_vocabularies.py tests/distributed/test_mirrored.py \
  tests/distributed/test_workers.py::test_the_result_does_not_depend_on_the_number_of_workers \
  tests/distributed/test_workers.py::test_preemption_saves_in_the_middle_of_an_epoch \
  tests/e2e/test_local_run.py::test_the_summary_says_what_the_contract_promises \
  tests/e2e/test_local_run.py::test_trap_8_the_next_run_compares_with_the_model_just_pushed_and_says_so \
  tests/e2e/test_local_run.py::test_the_run_after_that_is_fully_cached \
  tests/e2e/test_local_run.py::test_two_rehearsed_workers_under_half_precision_end_in_a_pushed_model \
  tests/e2e/test_own_project.py \
  tests/kubeflow/test_compile.py \
  tests/kubeflow/test_contract.py::test_every_step_runs_and_leaves_its_artifacts_in_the_store

test-platform: .venv/.ready ## run the part of all tests that another TFX line could break
	@$(PYTHON) -m pytest $(PLATFORM_TESTS) $(ARGS)

test-fast: .venv/.ready ## run the tests that need no TensorFlow
	@$(PYTHON) -m pytest tests/unit $(ARGS)

check: .venv/.ready ## lint, format, types, import layers, lock
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@$(UV) lock --check --quiet

audit: .venv/.ready ## ask OSV for known vulnerabilities in what the lock holds, of both TFX lines
	@$(PYTHON) setup/audit.py --uv $(UV)

upgrade: .venv/.ready ## relock, show what moved on which TFX line, run all tests on both
	@$(UV) lock --upgrade --quiet
	@PYTHONPATH=. $(PYTHON) setup/lock.py
	@.ci/run
	@echo "Commit uv.lock to keep this, or take it back with: git checkout uv.lock"

fix: .venv/.ready ## repair lint and format
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

retrain: .venv/.ready ## train if data, code or configuration changed; for schedulers (as run)
	@$(PYTHON) -m pipeline.retrain --dataset $(DATASET) --profile $(PROFILE) --workdir $(WORKDIR) $(ARGS)

schema: .venv/.ready ## infer the dataset's schema and show what differs (ARGS=--write to accept)
	@$(PYTHON) -m pipeline.schema --dataset $(DATASET) --workdir $(WORKDIR) $(ARGS)

models: .venv/.ready ## list pushed versions (ARGS="rollback VERSION", "prune --keep N")
	@$(PYTHON) -m pipeline.models --dataset $(DATASET) --workdir $(WORKDIR) $(ARGS)

score: .venv/.ready ## predict a table, or recommend to a log's users (INPUT=, OUTPUT=, ARGS="--keys id,day")
	@$(PYTHON) -m pipeline.score --dataset $(DATASET) --profile $(PROFILE) --workdir $(WORKDIR) \
	  --input "$(INPUT)" --output "$(OUTPUT)" $(ARGS)

tune: .venv/.ready ## search for better settings of training, as [tuning] says (DATASET=, ARGS="--set ...")
	@$(PYTHON) local_runner.py --dataset $(DATASET) --profile $(PROFILE) --workdir $(WORKDIR) \
	  --to Tuner --set tuning.on=true $(ARGS)

freeze: .venv/.ready ## write the settings that tuning found into the dataset file (DATASET=)
	@$(PYTHON) -m pipeline.freeze --dataset $(DATASET) --profile $(PROFILE) --workdir $(WORKDIR) $(ARGS)

runs: .venv/.ready ## list past runs (ARGS="show RUN", "compare RUN RUN"; RUN may be latest, latest~1)
	@$(PYTHON) -m pipeline.runs --workdir $(WORKDIR) $(ARGS)

flink: .venv/.ready ## start a Flink and its workers here, for PROFILE=flink (needs Java; Ctrl+C ends it)
	@PYTHON=$(PYTHON) deploy/flink/start

tensorboard: .venv/.ready ## open the training logs
	@.venv/bin/tensorboard --logdir $(WORKDIR)/$(DATASET)/logs

notebook: .venv/.ready ## open JupyterLab on notebooks/ (ARGS="--no-browser --port 8889")
	@$(UV) sync --frozen --inexact --quiet --group notebook --python $(PYTHON)
	@cd notebooks && PYTHONPATH=$(CURDIR) TF_CPP_MIN_LOG_LEVEL=2 $(CURDIR)/$(PYTHON) -m jupyterlab $(ARGS)

compile: .venv/.ready ## compile for Kubeflow Pipelines to pipeline.yaml (DATASET=, ARGS="--set ...")
	@$(PYTHON) kubeflow_runner.py --dataset $(DATASET) $(ARGS)

bench: .venv/.ready ## measure against the standard TFX way (ARGS="--only input_pipeline", ARGS=--help)
	@$(PYTHON) -m benchmarks $(ARGS)

wheel: $(UV) ## build the package that projects depend on, to dist/
	@rm -rf build dist
	@$(UV) build --wheel --quiet
	@rm -rf build *.egg-info
	@echo "Built $$(ls dist/*.whl)"

project: .venv/.ready wheel ## lay out a project of your own on that wheel (NAME=, TO=../NAME)
	@$(PYTHON) -m pipeline.project "$(NAME)" --directory "$(or $(TO),../$(NAME))" --wheel "$$(ls dist/*.whl)"

image: ## build the step image (IMAGE=, TARGET=step|trainer, BASE=, BUILDER=docker|podman|buildah)
	@test -n "$(BUILDER)" || { echo "make image needs docker, podman or buildah: install one." >&2; exit 2; }
	$(BUILDER) build --target $(TARGET) --tag $(IMAGE) $(if $(BASE),--build-arg BASE=$(BASE)) $(BUILD_ARGS) .
	@echo "Built $(IMAGE): push it, and set [kubeflow] image to the digest that the push prints."

clean: ## remove the environment (not the runs)
	rm -rf .venv .uv

# uv goes into an environment of its own: under pyenv, an installed uv is only visible where its
# Python version is selected.
$(UV):
	@python3 -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r setup/uv.txt

.venv/.ready: uv.lock pyproject.toml Makefile setup/choose_python.py | $(UV)
	@rm -f $@
	@interpreter=$$(python3 setup/choose_python.py) && \
	  $(UV) sync --frozen --compile-bytecode --python "$$interpreter"
	@touch $@
