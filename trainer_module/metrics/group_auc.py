"""The area under the ROC curve within groups, such as users, averaged over these."""

import math
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma


class GroupAUC(tfma.metrics.Metric):
    """The mean over groups of the AUC of the rows of each, weighted by their rows.

    Zhu et al., "Optimized Cost per Click in Taobao Display Advertising" (2017). A group whose rows are all of one
    class is left out. Beside it, `<name>_groups` and `<name>_groups_left_out` say how many there are.

    TFMA takes rows one by one: `components.evaluator.arrays.groups` brings the rows of each group together, and
    what is left here are sums over groups.
    """

    def __init__(self, group: str, name: str = "group_auc") -> None:
        """Takes the column that names a row's group; a row without one is in none."""
        super().__init__(_computations, group=group, name=name)


class _Groups(tfma.metrics.Preprocessor):
    """Names the column of the groups."""

    def __init__(self, column: str) -> None:
        super().__init__(name=f"groups of {column}")
        self.column = column


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
            computations.append(
                tfma.metrics.MetricComputation(
                    keys=keys, preprocessors=[_Groups(group)], combiner=_MeanOfGroups(keys)
                )
            )
    return computations


class _MeanOfGroups(beam.CombineFn):
    """The weighted mean of the groups that have an area."""

    def __init__(self, keys: list[Any]) -> None:
        self._keys = keys

    def extract_output(self, sums: tuple[float, ...]) -> dict[Any, float]:
        """Of the sums of areas times weights, of weights, and of the groups that have an area and that have none."""
        areas, weights, judged, left_out = sums
        return dict(zip(self._keys, (areas / weights if weights else math.nan, judged, left_out)))
