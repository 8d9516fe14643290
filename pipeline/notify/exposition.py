"""Runs as Prometheus metrics.

Everything is derived from the runs' files, so that a check that found nothing to do writes the same metrics
as the run before it, with a later time of the last check.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.notify.channel import News
from pipeline.runs.run import SUCCEEDED, Run, last_success, whole_runs

JOB = "tfx_pipeline"
"""The label `job` of all metrics, and how the names of them and of their file begin."""

PREFIX = f"{JOB}_"


def make_registry(news: News) -> CollectorRegistry:
    """The metrics of a pipeline, whose name is the label `pipeline`; runs of a part of the graph are left out."""
    registry = CollectorRegistry()
    registry.register(_Runs(news))
    return registry


class _Runs(Collector):
    def __init__(self, news: News) -> None:
        self._pipeline, self._runs, self._checked = news.pipeline, whole_runs(news.runs), news.checked
        self._is_current = news.is_current

    def collect(self) -> Iterator[Metric]:
        """All families; those without a value in the last run have no samples."""
        yield self._gauge(
            "last_check_timestamp_seconds", "When it was last found whether to train.", self._checked
        )
        runs = CounterMetricFamily(
            PREFIX + "runs_total", "Runs of the whole graph.", labels=["pipeline", "status"]
        )
        for status, count in sorted(Counter(run.status for run in self._runs).items()):
            runs.add_metric([self._pipeline, status], count)
        yield runs
        success = last_success(self._runs)
        if success is not None:
            yield self._gauge(
                "last_success_timestamp_seconds",
                "When a run last succeeded.",
                min(success.ended, self._checked),
            )
        if self._runs:
            yield from self._last_run(self._runs[-1])

    def _last_run(self, run: Run) -> Iterator[Metric]:
        succeeded = run.status == SUCCEEDED
        yield self._gauge(
            "last_run_timestamp_seconds", "When the last run ended.", min(run.ended, self._checked)
        )
        yield self._gauge("last_run_success", "Whether the last run succeeded (1) or not (0).", succeeded)
        yield self._gauge(
            "last_check_success",
            "Whether the last run succeeded or, since then, a check found nothing to do (1), or neither (0).",
            succeeded or self._is_current,
        )
        yield self._gauge("last_run_duration_seconds", "How long the last run took.", run.wall_seconds)
        yield self._family(
            "step_duration_seconds", "How long each step of the last run took.", ("step", "state"),
            {(node.id, node.state): node.seconds for node in run.nodes},
        )  # fmt: skip
        yield self._family(
            "examples", "Examples that trained and judged the last model.", ("split",),
            {(split,): count for split, count in run.examples.items()},
        )  # fmt: skip
        # Of the whole eval split first: its slice is empty.
        by_slice = {"": run.metrics, **run.slice_metrics}
        yield self._family(
            "model_metric", "The last model's metrics; slice is empty for the whole eval split.",
            ("metric", "slice"),
            {(name, where): value for where, metrics in by_slice.items() for name, value in metrics.items()},
        )  # fmt: skip
        if run.metrics:
            yield self._gauge("model_blessed", "Whether the last model passed every gate.", run.blessed)
        if run.pushed_model and Path(run.pushed_model).name.isdecimal():
            version = float(Path(run.pushed_model).name)
            yield self._gauge("pushed_version", "The version that the last model is served as.", version)
        labels = ("feature", "split", "metric", "against")
        for key, description in (
            ("distance", "How far the newest data is from what it is compared with."),
            ("threshold", "The greatest distance that is no drift."),
        ):
            values = {
                tuple(getattr(each, label) for label in labels): getattr(each, key) for each in run.drift
            }
            yield self._family(f"drift_{key}", description, labels, values)

    def _gauge(self, name: str, description: str, value: float) -> Metric:
        return self._family(name, description, (), {(): value})

    def _family(
        self, name: str, description: str, labels: tuple[str, ...], values: Mapping[Any, float]
    ) -> Metric:
        family = GaugeMetricFamily(PREFIX + name, description, labels=["pipeline", *labels])
        for given, value in values.items():
            # What UTF-8 cannot encode (half of a surrogate pair in a user's data) would lose all metrics.
            labels_given = [str(each).encode("utf-8", "backslashreplace").decode() for each in given]
            family.add_metric([self._pipeline, *labels_given], float(value))
        return family
