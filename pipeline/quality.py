"""The dataset's gates and slices as TFMA's EvalConfig."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import tensorflow_model_analysis as tfma
import tf_keras as keras
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator.heads import UNWEIGHTED
from components.evaluator.row_metrics import THRESHOLD
from components.evaluator.settings import EXAMPLE_COUNT, Metric
from foundation import registry
from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.config.dataset import Evaluation, Gate
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT
from trainer_module.tasks import named


def evaluation_config(config: Config) -> tfma.EvalConfig:
    """Metrics of the task, overall and by slice, with the thresholds that a model must meet to be blessed.

    Thresholds against the baseline are ignored by TFMA where there is no baseline.
    """
    evaluation = config.evaluation
    label = config.settings.label
    task = label.rules
    gates = {metric: Gate(**bounds) for metric, bounds in task.gates.items()} | config.gates
    own = {name: Metric(path) for name, path in task.metrics.items()}
    if evaluation.threshold != THRESHOLD:
        for name, option in task.at_threshold.items():
            own[name] = replace(own[name], options={option: evaluation.threshold})
    for name, chosen in config.metrics.items():
        _check_options(name, chosen)
    counted = {EXAMPLE_COUNT: Metric("ExampleCount")}
    specs = []
    if task.heads:
        # Rows with weights of each head have none of their own.
        specs.append(_unweighted(_metrics("", counted, {}, evaluation)))
        of_all = {"heads": list(task.heads)}
        overall = {name: Metric(path, of_all) for name, path in task.overall_metrics.items()}
        specs.append(_spec(_metrics("", overall, gates, evaluation)))
    for head, part in label.parts.items():
        metrics = _metrics(head, counted | own | config.metrics, gates, evaluation)
        plots = [
            _metric(class_path, name=name, **options) for name, (class_path, options) in task.plots.items()
        ]
        outputs = [head] if head else []
        specs.append(_spec([*metrics, *plots], outputs))
        if part.is_weighted:
            # The same without the rows' weights, for comparison; gates ask about the weighted ones.
            specs.append(
                _spec(metrics, [head + UNWEIGHTED], without_gates=True) if head else _unweighted(metrics)
            )
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serving_default",
                preprocessing_function_names=["transform_features"],
                label_key=TRANSFORMED_LABEL,
                example_weight_key=TRANSFORMED_WEIGHT if label.has_weights else None,
            )
        ],
        slicing_specs=[
            tfma.SlicingSpec(),
            *(tfma.SlicingSpec(feature_keys=columns) for columns in evaluation.by_name.values()),
        ],
        metrics_specs=specs,
    )


def _metrics(
    head: str, chosen: Mapping[str, Metric], gates: Mapping[str, Gate], evaluation: Evaluation
) -> list[tfma.MetricConfig]:
    """Metrics of a head, or of the only one, with what gates ask of them."""
    metrics = []
    for own_name, each in chosen.items():
        name = named(head, own_name)
        metric = _metric(each.path, name=name, **each.options)
        if name in gates:
            _apply(gates[name], metric, evaluation)
        metrics.append(metric)
    return metrics


def _spec(
    metrics: Sequence[tfma.MetricConfig], outputs: Sequence[str] = (), without_gates: bool = False
) -> tfma.MetricsSpec:
    spec = tfma.MetricsSpec(metrics=metrics, output_names=outputs)
    for metric in spec.metrics if without_gates else ():
        metric.ClearField("per_slice_thresholds")
    return spec


def _check_options(name: str, chosen: Metric) -> None:
    """Refuses options that the metric does not take, which TFMA would say minutes later."""
    module, _, class_name = chosen.path.rpartition(".")
    places = [registry.import_own(module)] if module else [tfma.metrics, keras.metrics]
    found = next(getattr(place, class_name) for place in places if hasattr(place, class_name))
    try:
        found(**chosen.options)
    except Exception as error:  # whatever a metric says of what it is given
        raise ConfigurationError(f"[metrics] {name} cannot be made: {error}") from error


def _unweighted(metrics: Sequence[tfma.MetricConfig]) -> tfma.MetricsSpec:
    spec = _spec(metrics, without_gates=True)
    spec.example_weights.unweighted = True
    return spec


def _metric(class_path: str, **options: Any) -> tfma.MetricConfig:
    # TFMA looks for a class without a module among its own and Keras's.
    module, _, class_name = class_path.rpartition(".")
    return tfma.MetricConfig(module=module, class_name=class_name, config=json.dumps(options))


def _apply(gate: Gate, metric: tfma.MetricConfig, evaluation: Evaluation) -> None:
    # `metric.threshold` would hold on every slice; the empty slicing spec is the whole eval split.
    overall = config_pb2.PerSliceMetricThreshold(slicing_specs=[tfma.SlicingSpec()])
    _bound(overall.threshold, gate.min, gate.max, gate.max_drop, gate.max_rise)
    if overall.HasField("threshold"):
        metric.per_slice_thresholds.append(overall)
    for name in gate.slice_columns:
        columns = evaluation.by_name[name]
        sliced = metric.per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec(feature_keys=columns)])
        _bound(sliced.threshold, *((bounds or {}).get(name) for bounds in gate.slice_bounds))


def _bound(threshold: config_pb2.MetricThreshold, *bounds: float | None) -> None:
    lowest, highest, drop, rise = bounds
    if lowest is not None:
        threshold.value_threshold.lower_bound.value = lowest
    if highest is not None:
        threshold.value_threshold.upper_bound.value = highest
    if drop is not None:
        threshold.change_threshold.direction = tfma.MetricDirection.HIGHER_IS_BETTER
        threshold.change_threshold.absolute.value = -drop
    if rise is not None:
        threshold.change_threshold.direction = tfma.MetricDirection.LOWER_IS_BETTER
        threshold.change_threshold.absolute.value = rise
