"""A new span beside the accepted spans before it, and beside the requests that a model was sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from absl import logging
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate import statistics_history
from components.data_gate.distance import ALL_SPLITS, PREVIOUS, SERVING, Distance
from components.data_gate.drift import measure
from components.data_gate.label_statistics import label_names
from components.data_gate.merged_statistics import Statistics, merge_statistics
from components.data_gate.report import drift_table
from components.data_gate.serving_logs import serving_statistics
from components.data_gate.settings import Drift
from trainer_module.label import Label


@dataclass(frozen=True)
class Comparison:
    """Compares spans that come together, the oldest first, by the parameters of `DataGateStep`.

    `features` are the columns that the model reads; `history` is None for a table without spans.
    """

    schema: schema_pb2.Schema
    features: Sequence[str]
    label: Label
    limits: Drift
    history: Path | None
    serving_logs: Path | None
    _sound: dict[int, Statistics] = field(default_factory=dict, init=False)

    def measure(self, span: int, split: str, new: Statistics) -> list[Distance]:
        """Every distance of a span; `split` is what `Distance.split` calls it."""
        limits, labels = self.limits, label_names(self.label)
        distances: list[Distance] = []
        if past := self._past(span):
            columns = sorted({*self.features, *self.label.columns})
            distances += measure(new, merge_statistics(past), self.schema, PREVIOUS, columns, limits, labels)
        # Requests are today's: older spans may differ from them.
        if self.serving_logs and split == ALL_SPLITS:
            requests = serving_statistics(self.serving_logs, self.schema, self.features)
            if requests is None:
                logging.info("%s holds no requests yet: there is nothing to compare with.", self.serving_logs)
            else:
                logging.info("Skew against %d logged requests", requests.num_examples)
                distances += measure(new, requests, self.schema, SERVING, self.features, limits, labels)
        distances = [replace(distance, split=split) for distance in distances]
        if distances:
            logging.info("Distances to what the data was:\n%s", drift_table(distances))
        # What has drifted itself would make the next span look as if it had.
        if not any(distance.exceeds for distance in distances):
            self._sound[span] = new
        return distances

    def _past(self, span: int) -> list[Statistics]:
        """Statistics of the last spans before `span`, among them those found sound in this run."""
        if self.history is None:
            return []
        before = dict(statistics_history.spans_before(self.history, span, self.limits.window))
        before |= {number: statistics for number, statistics in self._sound.items() if number < span}
        numbers = sorted(before)[-self.limits.window :]
        logging.info("Span %d is compared with the spans %s", span, ", ".join(map(str, numbers)) or "none")
        return [before[number] for number in numbers]
