"""TFX's Evaluator, with a baseline that may be empty; metrics and spans travel with the blessing.

On the first run nothing is live. TFX's own Evaluator would fail to load the empty baseline; this one
judges the candidate on the absolute thresholds alone.
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.components.evaluator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import (
    BASELINE_MODEL_KEY,
    BLESSING_KEY,
    EVALUATION_KEY,
    EXAMPLES_KEY,
)
from tfx.utils import path_utils

from components.example_gen.span_conversion import WINDOW

METRICS = "metrics.json"
"""File in the blessing: the candidate's metrics on the whole eval split."""

_CANDIDATE = (None, "", "candidate")


class Executor(executor.Executor):
    """Drops a baseline that holds no model."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class."""
        baselines = [
            baseline
            for baseline in input_dict.get(BASELINE_MODEL_KEY, [])
            if fileio.exists(path_utils.serving_model_dir(baseline.uri))
        ]
        super().Do({**input_dict, BASELINE_MODEL_KEY: baselines}, output_dict, exec_properties)
        if output_dict.get(BLESSING_KEY):
            blessing = artifact_utils.get_single_instance(output_dict[BLESSING_KEY])
            evaluation = artifact_utils.get_single_instance(output_dict[EVALUATION_KEY])
            metrics = overall_metrics(evaluation.uri)
            (Path(blessing.uri) / METRICS).write_text(json.dumps(metrics, indent=1) + "\n")
            window = Path(artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY]).uri) / WINDOW
            if window.is_file():
                # A pushed version is to know the spans that it was made of.
                shutil.copyfile(window, Path(blessing.uri) / WINDOW)


class Evaluator(component.Evaluator):
    """See the module."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def overall_metrics(evaluation: str) -> dict[str, float]:
    """The candidate's metrics on the whole eval split, from an evaluation's directory."""
    return metrics_by_slice(evaluation).get("", {})


def metrics_by_slice(evaluation: str) -> dict[str, dict[str, float]]:
    """The candidate's metrics, from an evaluation's directory.

    Returns:
      "column=value" → metric → value; the whole eval split is the empty text.
    """
    found: dict[str, dict[str, float]] = {}
    for slice_metrics in tfma.load_metrics(evaluation):
        keys = slice_metrics.slice_key.single_slice_keys
        where = ",".join(f"{key.column}={slice_value(key)}" for key in keys)
        metrics = found.setdefault(where, {})
        for entry in slice_metrics.metric_keys_and_values:
            value = entry.value.double_value.value
            is_candidate = entry.key.model_name in _CANDIDATE and not entry.key.is_diff
            if is_candidate and entry.value.HasField("double_value") and math.isfinite(value):
                metrics[entry.key.name] = value
    return found


def slice_value(key: Any) -> Any:
    """The value of one of TFMA's slice keys, texts decoded."""
    value = getattr(key, key.WhichOneof("kind"))
    return value.decode(errors="replace") if isinstance(value, bytes) else value
