"""The Evaluator's main metric of a label with several heads."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_model_analysis as tfma


class MeanAUC(tfma.metrics.Metric):
    """The mean of the heads' areas under the ROC curve, each head counting the same."""

    def __init__(self, heads: Sequence[str], name: str = "mean_auc") -> None:
        """Takes the heads by name. TFMA would ask the gates of a metric with outputs about each of these."""
        super().__init__(_computations, heads=list(heads), name=name)


def _computations(
    name: str, heads: list[str], eval_config: Any, model_names: list[str], example_weighted: bool
) -> list[Any]:
    """TFMA's of each head, and what is made of them; TFMA passes by name what is asked for here."""
    computations = []
    # TFMA shares what these have in common with the heads' own AUC, and drops a name that begins so.
    area = tfma.metrics.AUC(name=f"_{name}")
    for model in model_names:

        def key(output: str, called: str, model: str = model) -> Any:
            return tfma.metrics.MetricKey(
                called, model_name=model, output_name=output, example_weighted=example_weighted
            )

        mean = key("", name)
        parts = [key(output, f"_{name}") for output in heads]

        def result(values: Mapping[Any, Any], mean: Any = mean, parts: list[Any] = parts) -> dict[Any, float]:
            return {mean: math.fsum(float(values[part]) for part in parts) / len(parts)}

        computations += area.computations(
            eval_config=eval_config,
            model_names=[model],
            output_names=heads,
            sub_keys=[None],
            example_weighted=example_weighted,
        )
        computations.append(tfma.metrics.DerivedMetricComputation([mean], result))
    return computations
