"""Compiles the graph for Kubeflow Pipelines, offline: the same inputs give the same bytes.

TFX's public KubeflowV2DagRunner compiles, `specification` and `pods` fill in what it leaves out, and `lint`
refuses what a cluster would refuse.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation import project
from foundation.replacing import replace_file
from foundation.sections import ConfigurationError
from pipeline import scoring_graph
from pipeline.config import ROOT, Config
from pipeline.fingerprint import fingerprint, step_fingerprint
from pipeline.kubeflow import lint, pods, specification
from pipeline.kubeflow.settings import Kubeflow
from pipeline.nodes import STEPS
from pipeline.workspace import workspace_of

ENTRYPOINT = "pipeline.kubeflow.entrypoint"
DATA_DIRECTORY = "data_directory"
"""The run parameter that names the folder of the dataset's files."""
WINDOW_END = "window_end"
"""The run parameter that names the newest span to train on; only of datasets with spans."""


def require_cluster(config: Config, *, scores: bool = False) -> Kubeflow:
    """The profile's `[kubeflow]` section; `scores` asks for the pipeline that predicts, not for the graph.

    Raises:
      ConfigurationError: If it has none, or what cannot be done there.
    """
    if config.kubeflow is None:
        raise ConfigurationError(
            f"Profile {config.profile} has no [kubeflow] section: use --profile cluster, or add one with "
            "image, data_directory, models_directory and volumes."
        )
    if not config.beam.is_local and scores:
        raise ConfigurationError(
            f"[beam] runner is {config.beam.runner}, and on Kubeflow a table is predicted in the step's own pod: use "
            "DirectRunner there, or Flink from pipeline.score."
        )
    if not config.beam.is_local and config.kubeflow.shared_directory is None:
        raise ConfigurationError(
            f"[beam] runner is {config.beam.runner}, and a step on Kubeflow has its artifacts in its own pod, where no worker "
            "elsewhere sees them: set [kubeflow] shared_directory, on a ReadWriteMany volume that the workers mount at the "
            "same path, or use DirectRunner."
        )
    if config.metadata is not None:
        raise ConfigurationError(
            f"[metadata] of profile {config.profile} names a database, and Kubeflow Pipelines records runs in an ML Metadata of "
            "its own: compile with a profile that has no such section."
        )
    # Checked here as well, so that a mistake is reported before TFX is imported.
    if scores:
        scoring_graph.run_parameters(config)
    else:
        pods.worker_pods(config, config.kubeflow)
        pods.trial_pods(config, config.kubeflow)
    pods.platform(config, config.kubeflow, scores=scores)
    return config.kubeflow


def pipeline_name(config: Config, *, scores: bool = False) -> str:
    """What the pipeline is called on the server."""
    return scoring_graph.name_of(config) if scores else config.name


def run_parameters(config: Config, *, scores: bool = False) -> dict[str, dict[str, str]]:
    """The parameters of a run, as `root.inputDefinitions.parameters` of the specification."""
    if scores:
        return scoring_graph.run_parameters(config)
    parameters = {
        DATA_DIRECTORY: {
            "parameterType": "STRING",
            "defaultValue": f"{require_cluster(config).data_directory}/{config.name}",
            "description": "Folder of the dataset's files, on a mounted volume.",
        }
    }
    if config.source.has_spans:
        parameters[WINDOW_END] = {
            "parameterType": "STRING",
            "defaultValue": str(config.window.end),
            "description": "Newest span to train on, as its date (2026-01-31) or number; empty for the newest "
            "there is.",
        }
    return parameters


def compile_pipeline(config: Config, *, scores: bool = False) -> str:
    """The YAML that Kubeflow Pipelines accepts: the PipelineSpec and the Kubernetes platform document.

    Args:
      config: What the pipeline does.
      scores: Whether it is the one that predicts with the live model, and not the graph.

    Raises:
      ConfigurationError: If a cluster would refuse it; one sentence a line.
    """
    kubeflow = require_cluster(config, scores=scores)
    parameters = run_parameters(config, scores=scores)
    compiled = _compile(config, kubeflow, parameters, scores)
    spec = specification.complete(compiled, config, parameters, _code_versions(compiled, config))
    platform = pods.platform(config, kubeflow, scores=scores)
    lint.check(spec, platform, kubeflow.release, [str(ROOT), str(project.ROOT), sys.prefix])
    return _to_yaml(config, spec, platform, parameters, scores)


def check_output(output: Path) -> None:
    """Checks that `output` can be written, before seconds are spent on making it.

    Raises:
      ConfigurationError: If it cannot.
    """
    directory = next(parent for parent in output.absolute().parents if parent.exists())
    if output.is_dir() or not directory.is_dir() or not os.access(directory, os.W_OK):
        raise ConfigurationError(f"--output {output} cannot be written: choose another.")


def write(text: str, output: Path) -> None:
    """Replaces `output` as a whole, so that a reader never sees half of it.

    Raises:
      ConfigurationError: If it cannot be written.
    """
    try:
        replace_file(output, text)
    except OSError as error:
        raise ConfigurationError(
            f"--output {output} cannot be written ({error.strerror}): choose another."
        ) from error


def _compile(
    config: Config, kubeflow: Kubeflow, parameters: Mapping[str, Any], scores: bool
) -> dict[str, Any]:
    # Here and not above: importing TFX takes seconds, and a wrong configuration is answered at once.
    from tfx.orchestration.data_types import RuntimeParameter
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
        KubeflowV2DagRunner,
        KubeflowV2DagRunnerConfig,
    )

    from pipeline.graph import Surroundings, build

    given = {
        name: RuntimeParameter(name, str, default=declared["defaultValue"])
        for name, declared in parameters.items()
    }
    workspace = workspace_of(kubeflow.models_directory, config.name)
    if scores:
        pipeline = scoring_graph.build(config, workspace, given)
    else:
        pipeline = build(
            config,
            workspace,
            Surroundings(given[DATA_DIRECTORY], given.get(WINDOW_END, "")),
            worker_pods=pods.worker_pods(config, kubeflow),
            trial_pods=pods.trial_pods(config, kubeflow),
            report=True,
        )
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=kubeflow.image,
            default_commands=["python", "-m", ENTRYPOINT],
            use_pipeline_spec_2_1=True,
        )
    )
    return runner.run(pipeline, write_out=False)["pipelineSpec"]


def _code_versions(compiled: Mapping[str, Any], config: Config) -> dict[str, str]:
    """Node → a hash of this repository's code that its step runs, and of the TFX it was compiled with."""
    same_for_all = [compiled["sdkVersion"], fingerprint(ROOT, ENTRYPOINT)]
    return {
        node: hashlib.sha256(
            json.dumps([*same_for_all, step_fingerprint(STEPS[node], config)]).encode()
        ).hexdigest()[:16]
        for node in compiled["root"]["dag"]["tasks"]
    }


def _to_yaml(
    config: Config,
    spec: dict[str, Any],
    platform: dict[str, Any],
    parameters: Mapping[str, Any],
    scores: bool = False,
) -> str:
    import yaml

    does = "Predicts with the live model of" if scores else "Trains, evaluates and pushes a model on"
    # The KFP SDK and UI read name, description and inputs from these comments.
    header = [
        "# PIPELINE DEFINITION",
        f"# Name: {pipeline_name(config, scores=scores)}",
        f"# Description: {does} {config.name}, with the profile {config.profile}.",
        "# Inputs:",
        *(f"#    {name}: str [Default: {value['defaultValue']!r}]" for name, value in parameters.items()),
    ]
    documents = yaml.safe_dump_all([spec, platform], sort_keys=True, allow_unicode=True, width=10_000)
    # A file may be called anything: a line break in its name would end the comment.
    comments = [" ".join(line.splitlines()) for line in header]
    return "\n".join(comments) + "\n" + documents
