"""How large an error is exceeded by few rows only."""

from typing import Any

import tensorflow as tf

from trainer_module.row_sums import RowSums

# Powers of ten between which absolute errors are told apart, and the parts of each: a result is exact to 1.2 %.
_LEAST, _GREATEST, _PARTS = -12, 18, 100


class ErrorQuantile(RowSums):
    """The absolute error that a share `quantile` of the rows does not exceed; 0.5 is the median."""

    def __init__(self, quantile: float = 0.5, name: str = "error_quantile", dtype: Any = None) -> None:
        if not 0 < quantile < 1:
            raise ValueError(f"quantile is {quantile}; it must be above 0 and below 1.")
        # The first place is of errors below all bounds, 0 among them.
        super().__init__([(_GREATEST - _LEAST) * _PARTS + 1], name, dtype)
        self.quantile = quantile

    def get_config(self) -> dict[str, Any]:
        """What `__init__` is given."""
        return {**super().get_config(), "quantile": self.quantile}

    def cells(self, labels: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """See the base class."""
        exponent = tf.math.log(tf.abs(labels - predictions[:, 0])) / tf.math.log(tf.constant(10, tf.float64))
        place = tf.clip_by_value((exponent - _LEAST) * _PARTS + 1, 0, self.sums.shape[0] - 1)
        return tf.cast(place, tf.int64)[:, tf.newaxis], weights[:, tf.newaxis, tf.newaxis]

    def result(self) -> Any:
        """The geometric middle of the part in which the quantile lies."""
        reached = tf.cumsum(self.sums)
        place = tf.searchsorted(reached, [self.quantile * reached[-1]])[0]
        exponent = (tf.cast(place, tf.float64) - 0.5) / _PARTS + _LEAST
        found = tf.where(place > 0, tf.constant(10, tf.float64) ** exponent, 0.0)
        return tf.where(tf.math.is_nan(reached[-1]), reached[-1], found)
