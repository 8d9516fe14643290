"""TFX's Evaluator, with a baseline that may be empty.

On the first run nothing is live. TFX's own Evaluator would fail to load the empty baseline; this one
judges the candidate on the absolute thresholds alone.
"""

from typing import Any

from tfx import types
from tfx.components.evaluator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types.standard_component_specs import BASELINE_MODEL_KEY
from tfx.utils import path_utils


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


class Evaluator(component.Evaluator):
    """See the module."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
