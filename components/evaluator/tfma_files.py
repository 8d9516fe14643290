"""A verdict that TFMA did not measure, in the files that TFMA writes: its viewers and its functions show it, too.

`tfma.load_eval_result` and `tfma.load_validation_result` read them. With a live model there are two models, "candidate"
and "baseline", as TFX's Evaluator calls them: name one of them to `load_eval_result`.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import DoubleValue
from tensorflow_model_analysis.proto import (
    config_pb2,
    metrics_for_slice_pb2,
    validation_result_pb2,
)

from components.evaluator.verdict import Slice, SliceMetrics, Verdict

_CANDIDATE, _BASELINE = "candidate", "baseline"


def write_evaluation(verdict: Verdict, config: tfma.EvalConfig, directory: Path) -> None:
    """Writes `verdict` into an evaluation's directory as TFMA would have.

    Args:
      verdict: What was measured.
      config: What was asked for.
      directory: The evaluation's.
    """
    has_live = any(each.baseline for each in verdict.slices)
    run = config_pb2.EvalRun(eval_config=config, version=tfma.__version__, model_locations={"": ""})
    if has_live:
        specs = [tfma.ModelSpec(name=_CANDIDATE), tfma.ModelSpec(name=_BASELINE, is_baseline=True)]
        del run.eval_config.model_specs[:]
        run.eval_config.model_specs.extend(specs)
        run.model_locations.clear()
        run.model_locations.update({_CANDIDATE: "", _BASELINE: ""})
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "eval_config.json").write_text(json_format.MessageToJson(run))
    _write(
        directory / "metrics-00000-of-00001.tfrecord", [_record(each, has_live) for each in verdict.slices]
    )
    _write(directory / "validations.tfrecord", [_validation(verdict)])


def _write(path: Path, records: list[Message]) -> None:
    with tf.io.TFRecordWriter(str(path)) as file:
        for record in records:
            file.write(record.SerializeToString())


def _slice(key: Slice) -> metrics_for_slice_pb2.SliceKey:
    made = metrics_for_slice_pb2.SliceKey()
    for column, value in key:
        made.single_slice_keys.add(column=column, bytes_value=value.encode())
    return made


def _value(number: float) -> metrics_for_slice_pb2.MetricValue:
    return metrics_for_slice_pb2.MetricValue(double_value=DoubleValue(value=number))


def _record(each: SliceMetrics, has_live: bool) -> metrics_for_slice_pb2.MetricsForSlice:
    record = metrics_for_slice_pb2.MetricsForSlice(slice_key=_slice(each.slice))
    for name, value, model, interval in _entries(each):
        entry = record.metric_keys_and_values.add(value=_value(value))
        entry.key.name = name
        entry.key.model_name = (model or _CANDIDATE) if has_live else ""
        entry.key.is_diff = model is None
        if interval:
            low, high = (_value(end) for end in interval)
            entry.confidence_interval.lower_bound.CopyFrom(low)
            entry.confidence_interval.upper_bound.CopyFrom(high)
    return record


def _entries(each: SliceMetrics) -> Iterator[tuple[str, float, str | None, tuple[float, ...]]]:
    """(metric, value, model or None for the change, interval)."""
    for name, value in each.metrics.items():
        yield name, value, _CANDIDATE, each.intervals.get(name, ())
        if name in each.baseline:
            yield name, value - each.baseline[name], None, each.differences.get(name, ())
    for name, value in each.baseline.items():
        yield name, value, _BASELINE, ()


def _validation(verdict: Verdict) -> validation_result_pb2.ValidationResult:
    result = validation_result_pb2.ValidationResult(validation_ok=verdict.passed)
    for gate in verdict.gates:
        for failure in gate.failures:
            of_slice = result.metric_validations_per_slice.add(slice_key=_slice(failure.slice))
            failed = of_slice.failures.add(message=f"{gate.metric}: {gate.asked}")
            failed.metric_key.name, failed.metric_key.is_diff = gate.metric, gate.is_change
            failed.metric_value.CopyFrom(_value(math.nan if failure.value is None else failure.value))
    return result
