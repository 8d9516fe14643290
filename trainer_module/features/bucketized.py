"""A quantity as an id: the bucket that it lies in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.features import Feature

# Error of approximate quantiles, as a share of the rows: TFT's own default for bucketize.
_QUANTILE_ERROR = 0.01

_MOST_BUCKETS = 100_000
"""A thousand times what that error tells apart; each is a number in the model and in each analysis of it."""


@dataclass(frozen=True)
class Bucketized(Feature):
    """Cut at its training quantiles into `buckets` ids; missing has an id of its own.

    To a warm start a bucket is its rank and not its boundaries: it stays "the lowest tenth" when prices rise.
    """

    buckets: int = 10

    place = 1
    types = ("integer", "decimal")
    is_quantity = True

    def __post_init__(self) -> None:
        require(
            2 <= self.buckets <= _MOST_BUCKETS,
            f"buckets is {self.buckets}; it must be from 2 to {_MOST_BUCKETS:,}.",
        )

    @property
    def ids(self) -> int:
        """The buckets and missing."""
        return self.buckets + 1

    @classmethod
    def transform(cls, features: Sequence["Bucketized"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.quantiles import quantiles
        from trainer_module.inputs.raw_columns import numbers_of, with_missing

        numbers = numbers_of(columns)
        # One feature after the other, as `searchsorted` wants them; TensorFlow's transpose takes ten times as long.
        rows = tf.unstack(numbers, axis=1)
        ids: dict[int, Any] = {}
        # One analyzer for each number of buckets.
        for buckets in sorted({feature.buckets for feature in features}):
            alike = [place for place, feature in enumerate(features) if feature.buckets == buckets]
            boundaries = quantiles(tf.gather(numbers, alike, axis=1), buckets, _QUANTILE_ERROR)
            values = tf.stack([rows[place] for place in alike])
            # The id is how many boundaries the value has reached.
            reached = tf.searchsorted(boundaries, values, side="right", out_type=tf.int64)
            ids |= zip(alike, tf.unstack(reached))
        together = tf.stack([ids[place] for place in range(len(features))], axis=1)
        return with_missing(features, together, tf.math.is_nan(numbers))
