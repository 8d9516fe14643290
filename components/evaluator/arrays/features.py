"""Raw columns that a metric reads beside labels and predictions, as its preprocessors name them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma

from components.evaluator.arrays.rows import Array
from foundation.sections import UserError

_KNOWN = {tfma.FEATURES_KEY, tfma.LABELS_KEY, tfma.PREDICTIONS_KEY, tfma.EXAMPLE_WEIGHTS_KEY}


@dataclass(frozen=True)
class Features:
    """Columns that metrics read.

    Attributes:
      names: Those that are named.
      every: Whether a metric names none, which TFMA takes for all.
    """

    names: frozenset[str] = frozenset()
    every: bool = False

    def of(self, rows: pa.RecordBatch, there: Array) -> dict[str, list[Array]]:
        """Column → each row's values, none where there is no value: of rows that are `there`, bool [rows]."""
        names = [name for name in rows.schema.names if self.every or name in self.names]
        chosen = pa.array(there)
        return {name: _values(rows.column(name).filter(chosen)) for name in names}


def features_of(computations: Sequence[Any]) -> Features:
    """What computations of TFMA read.

    Raises:
      UserError: If one reads what is not passed to metrics.
    """
    names: set[str] = set()
    every = False
    for computation in computations:
        for preprocessor in computation.preprocessors or ():
            asked: Mapping[str, Any] = getattr(preprocessor, "include_filter", {})
            if unknown := sorted({*asked} - _KNOWN):
                raise UserError(
                    f"The metric {computation.keys[0].name} reads {', '.join(unknown)}: metrics are given labels, "
                    f"predictions, weights and raw columns. Name these with tfma.metrics.FeaturePreprocessor."
                )
            if tfma.FEATURES_KEY in asked:
                names |= {*asked[tfma.FEATURES_KEY]}
                every = every or not asked[tfma.FEATURES_KEY]
    return Features(frozenset(names), every)


def _values(column: pa.Array) -> list[Array]:
    return [np.array([] if values is None else values) for values in column.to_pylist()]
