"""TFX's Evaluator, in arrays and with a verdict, which travels with the blessing, as do explanation and spans.

On the first run nothing is live. TFX's own Evaluator would fail to load the empty baseline; this one
judges the candidate on the absolute thresholds alone.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
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
    EVAL_CONFIG_KEY,
    EVALUATION_KEY,
    EXAMPLES_KEY,
    MODEL_KEY,
    SCHEMA_KEY,
)
from tfx.utils import io_utils, path_utils, proto_utils

from components.evaluator.arrays.evaluation import Evaluation, evaluate
from components.evaluator.arrays.reading import schema_of
from components.evaluator.blessing import bless, describe
from components.evaluator.explaining import explain
from components.evaluator.explanation import Explanation, write_explanation
from components.evaluator.gates import read_gates
from components.evaluator.heads import heads_of
from components.evaluator.request import Request
from components.evaluator.row_metrics import judge, read_metrics
from components.evaluator.tfma_files import write_evaluation
from components.evaluator.verdict import Verdict, write_verdict
from components.example_files import bytes_of, files_of
from components.example_gen.span_conversion import WINDOW
from components.example_gen.splits import TEST
from components.processes.number import count_processes
from foundation import registry
from trainer_module.log import read_log
from trainer_module.settings import Settings

MAIN_METRIC, MORE_IS_BETTER, MIN_SLICE_ROWS = "main_metric", "more_is_better", "min_slice_rows"
"""Names of the parameters that say by what models are compared, and on which slices gates ask."""
EXPLAINED_ROWS, LARGEST_ERRORS = "explained_rows", "largest_errors"
"""Those that say how many rows are asked why the model says what it says, and how many of its errors are kept."""
_LEAST = 6 << 20
"""Bytes of examples that a further process is worth, which loads the models first: some 100,000 taxi rows."""
EVALUATION, LOG, ITEM_NAME, CEILING = "evaluation_function", "log", "item_name", "ceiling"
"""Those that say what judges instead of TFMA, and what it is to know of a behaviour log and its items."""


class Executor(executor.Executor):
    """Drops a baseline that holds no model, and leaves a verdict."""

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
        if function := exec_properties.get(EVALUATION):
            self._judge_by(function, input_dict, output_dict, exec_properties, baselines)
            return
        evaluation = artifact_utils.get_single_instance(output_dict[EVALUATION_KEY])
        config = proto_utils.json_to_proto(exec_properties[EVAL_CONFIG_KEY], tfma.EvalConfig())
        self._evaluate(config, input_dict, baselines, "eval", evaluation.uri)
        verdict = judge(
            Path(evaluation.uri),
            config,
            exec_properties[MAIN_METRIC],
            bool(exec_properties[MORE_IS_BETTER]),
            int(exec_properties[MIN_SLICE_ROWS]),
        )
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        explanation = self._explain(input_dict, exec_properties)
        if TEST in artifact_utils.decode_split_names(examples.split_names):
            verdict = replace(verdict, test_metrics=self._test(config, input_dict, evaluation))
        if output_dict.get(BLESSING_KEY):
            describe(artifact_utils.get_single_instance(output_dict[BLESSING_KEY]), input_dict, baselines)
        self._leave(verdict, explanation, evaluation, examples, output_dict)

    def _evaluate(
        self,
        config: tfma.EvalConfig,
        input_dict: dict[str, list[types.Artifact]],
        baselines: list[types.Artifact],
        split: str,
        directory: str,
    ) -> None:
        """Leaves the files of an evaluation of a split in `directory`."""
        # Without a live model, what gates ask of a change is left out.
        asked = tfma.utils.update_eval_config_with_defaults(
            config, has_baseline=bool(baselines), rubber_stamp=True
        )
        tfma.utils.verify_eval_config(asked)
        models = {
            spec.name: path_utils.serving_model_dir(model.uri)
            for spec, (model,) in zip(asked.model_specs, (input_dict[MODEL_KEY], baselines))
        }
        evaluation = Evaluation(asked, models, heads_of(config), schema=None)
        if read := _schema(input_dict):
            evaluation = replace(evaluation, schema=schema_of(read, evaluation.columns, evaluation.features))
        files = files_of(artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY]), split)
        processes = count_processes(self._beam_pipeline_args, bytes_of(files), _LEAST)
        with self._make_beam_pipeline() as pipeline:
            evaluate(pipeline, files, evaluation, directory, processes)

    def _explain(
        self, input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
    ) -> Explanation | None:
        """Why the candidate says what it says, where that is asked for."""
        rows = int(exec_properties.get(EXPLAINED_ROWS) or 0)
        if not rows:
            return None
        (model,) = input_dict[MODEL_KEY]
        return explain(
            files_of(artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY]), "eval"),
            path_utils.serving_model_dir(model.uri),
            _schema(input_dict),
            rows,
            int(exec_properties[LARGEST_ERRORS]),
        )

    def _judge_by(
        self,
        function: str,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
        baselines: list[types.Artifact],
    ) -> None:
        """Leaves the verdict of a task whose evaluation is not one of rows."""
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        (model,) = input_dict[MODEL_KEY]
        config = proto_utils.json_to_proto(exec_properties[EVAL_CONFIG_KEY], tfma.EvalConfig())
        request = Request(
            model=path_utils.serving_model_dir(model.uri),
            live_model=path_utils.serving_model_dir(baselines[0].uri) if baselines else None,
            files={
                split: files_of(examples, split)
                for split in artifact_utils.decode_split_names(examples.split_names)
            },
            log=read_log(json.loads(exec_properties[LOG]), "[log]"),
            slices=tuple(tuple(spec.feature_keys) for spec in config.slicing_specs if spec.feature_keys),
            gates=tuple(read_gates(config)),
            min_slice_rows=int(exec_properties[MIN_SLICE_ROWS]),
            item_name=exec_properties[ITEM_NAME],
            ceiling=json.loads(exec_properties[CEILING]),
        )
        verdict = registry.find_object(function)(request)
        evaluation = artifact_utils.get_single_instance(output_dict[EVALUATION_KEY])
        write_evaluation(verdict, config, Path(evaluation.uri))
        self._leave(verdict, None, evaluation, examples, output_dict)

    def _leave(
        self,
        verdict: Verdict,
        explanation: Explanation | None,
        evaluation: types.Artifact,
        examples: types.Artifact,
        output_dict: dict[str, list[types.Artifact]],
    ) -> None:
        # Beside TFMA's files for the report; with the blessing for the Pusher, which is given no evaluation.
        blessings = output_dict.get(BLESSING_KEY, [])
        for directory in (Path(artifact.uri) for artifact in (evaluation, *blessings)):
            write_verdict(verdict, directory)
            if explanation:
                write_explanation(explanation, directory)
        for blessing in blessings:
            bless(blessing, verdict.passed)
            window = Path(examples.uri) / WINDOW
            if window.is_file():
                # A pushed version is to know the spans that it was made of.
                shutil.copyfile(window, Path(blessing.uri) / WINDOW)

    def _test(
        self,
        config: tfma.EvalConfig,
        input_dict: dict[str, list[types.Artifact]],
        evaluation: types.Artifact,
    ) -> dict[str, float]:
        """The candidate's metrics on the whole test split, on which nothing is gated."""
        plain = tfma.EvalConfig()
        plain.CopyFrom(config)
        del plain.slicing_specs[:]
        for metric in (metric for specs in plain.metrics_specs for metric in specs.metrics):
            metric.ClearField("per_slice_thresholds")
        beside = Path(evaluation.uri) / TEST
        self._evaluate(plain, input_dict, [], TEST, str(beside))
        return read_metrics(beside, plain)


class Evaluator(component.Evaluator):
    """See the module."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        settings: Settings,
        min_slice_rows: int,
        *,
        explained_rows: int = 0,
        largest_errors: int = 0,
        item_name: str = "",
        ceiling: Mapping[str, float] = MappingProxyType({}),
        **inputs: Any,
    ) -> None:
        """Takes the settings for what their task says of evaluations, and all else as TFX's Evaluator does.

        Gates do not ask about slices of fewer than `min_slice_rows` rows. Of a sample of `explained_rows` rows it is
        explained why the model says what it says, with the `largest_errors` of them. Of a recommender, `item_name` is the column
        with what people call an item, and `ceiling` what no model can exceed, by metric.
        """
        super().__init__(**inputs)
        task, log = settings.label.rules, settings.log
        # TFX's specification of the step has no room for them; every runner reads them here.
        self.exec_properties.update(
            {
                MAIN_METRIC: task.main_metric,
                MORE_IS_BETTER: int(task.more_is_better),
                MIN_SLICE_ROWS: min_slice_rows,
            }
        )
        if not task.evaluation:
            self.exec_properties.update({EXPLAINED_ROWS: explained_rows, LARGEST_ERRORS: largest_errors})
        else:
            read = json.dumps(log.to_table() if log else {}, sort_keys=True)
            known = json.dumps(dict(ceiling), sort_keys=True)
            self.exec_properties.update(
                {EVALUATION: task.evaluation, LOG: read, ITEM_NAME: item_name, CEILING: known}
            )


def _schema(input_dict: dict[str, list[types.Artifact]]) -> Any:
    """`schema_pb2.Schema` of the examples' columns; None where the step is given none."""
    if not input_dict.get(SCHEMA_KEY):
        return None
    schema = artifact_utils.get_single_instance(input_dict[SCHEMA_KEY])
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema.uri))
