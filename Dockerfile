# The image that every step of the pipeline runs in, from the lock file.
#
#   make image                       # target `step`: no GPU libraries
#   make image TARGET=trainer        # target `trainer`: with them, for [steps.Trainer]
#
# Any base with Python 3.10, or with Python 3.11 to 3.13 and glibc 2.39, will do; pin yours by digest:
#   make image BASE=docker.io/library/python@sha256:…
ARG BASE=docker.io/library/python:3.10-slim-bookworm

FROM ${BASE} AS build
# Some packages have no wheel for some Pythons; the compiler stays in this stage.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential python3-dev python3-venv
COPY setup/uv.txt /opt/uv.txt
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r /opt/uv.txt
ENV UV_PROJECT_ENVIRONMENT=/opt/venv UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
WORKDIR /opt/pipeline
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-dev --python "$(command -v python3)"

FROM ${BASE} AS runtime
# Kubernetes may run the image under any user id, with group 0; libraries want a HOME they can write.
RUN mkdir --mode=1777 /home/tfx
ENV HOME=/home/tfx USER=tfx PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/pipeline PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /opt/pipeline
COPY components components
COPY foundation foundation
COPY pipeline pipeline
COPY trainer_module trainer_module
COPY datasets datasets
COPY profiles profiles
# With pyproject.toml, which says the version: a project's image asks whether it is its own.
COPY local_runner.py kubeflow_runner.py pyproject.toml ./
USER 1000:0

FROM runtime AS step
COPY --from=build /opt/venv /opt/venv

FROM build AS build-trainer
RUN /opt/uv/bin/uv sync --frozen --no-dev --extra gpu --python "$(command -v python3)"

FROM runtime AS trainer
COPY --from=build-trainer /opt/venv /opt/venv
