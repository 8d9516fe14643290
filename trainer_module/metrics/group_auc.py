"""The area under the ROC curve within groups, such as users, averaged over these."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma

GROUPS_KEY = "group_auc"
"""Of a row's extracts: (column, model, output, whether rows weigh) → the group's area, NaN where there is none, the
row's weight in it, and its share of the group, of which all rows have one together.

`components.evaluator.group_rows` measures the groups, which takes their rows together; what is left are sums."""


class GroupAUC(tfma.metrics.Metric):
    """The mean over groups of the AUC of the rows of each, weighted by their rows.

    Zhu et al., "Optimized Cost per Click in Taobao Display Advertising" (2017). A group whose rows are all of one
    class is left out. Beside it, `<name>_groups` and `<name>_groups_left_out` say how many there are.
    """

    def __init__(self, group: str, name: str = "group_auc") -> None:
        """Takes the column that names a row's group; a row without one is in none."""
        super().__init__(_computations, group=group, name=name)


def _computations(
    name: str, group: str, model_names: list[str], output_names: list[str], example_weighted: bool
) -> list[Any]:
    computations = []
    for model in model_names or [""]:
        for output in output_names or [""]:
            keys = [
                tfma.metrics.MetricKey(
                    f"{name}{suffix}",
                    model_name=model,
                    output_name=output,
                    example_weighted=example_weighted,
                )
                for suffix in ("", "_groups", "_groups_left_out")
            ]
            place = (group, model, output, example_weighted)
            computations.append(
                tfma.metrics.MetricComputation(
                    keys=keys, preprocessors=[_Groups(place)], combiner=_Mean(keys)
                )
            )
    return computations


class _Groups(tfma.metrics.Preprocessor):
    """What a row says of its group."""

    def __init__(self, place: tuple[str, str, str, bool]) -> None:
        super().__init__(name=f"{GROUPS_KEY} {place}")
        self._place = place

    def process(self, extracts: Mapping[str, Any]) -> Iterator[tuple[float, float, float]]:
        """(area, weight, share), where the row is of a group."""
        measured = extracts.get(GROUPS_KEY, {}).get(self._place)
        if measured is not None:
            yield measured


class _Mean(beam.CombineFn):
    """The sums of areas and of weights of groups that have one, and of the shares of those and of the others."""

    def __init__(self, keys: list[Any]) -> None:
        self._keys = keys

    def create_accumulator(self) -> tuple[float, ...]:
        return (0.0,) * 4

    def add_input(
        self, accumulator: tuple[float, ...], element: tuple[float, float, float]
    ) -> tuple[float, ...]:
        area, weight, share = element
        added = (0.0, 0.0, 0.0, share) if math.isnan(area) else (area * weight, weight, share, 0.0)
        return tuple(map(sum, zip(accumulator, added)))

    def merge_accumulators(self, accumulators: Any) -> tuple[float, ...]:
        return tuple(map(sum, zip(self.create_accumulator(), *accumulators)))

    def extract_output(self, accumulator: tuple[float, ...]) -> dict[Any, float]:
        areas, weights, judged, left_out = accumulator
        mean = areas / weights if weights else math.nan
        # Shares of thirds and sevenths add up to about a whole.
        return dict(zip(self._keys, (mean, float(round(judged)), float(round(left_out)))))
