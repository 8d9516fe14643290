"""A multilayer perceptron on numbers and on embeddings from one gather.

Ids of all features live in one table, at an offset for each feature: a step does one gather instead of one
for every column; a gather also converts to TFLite built-ins, which one-hot encodings do not (trap 4).

A linear part beside it, as in Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016), was tried:
on the taxi data it brought no AUC (0.9428 with it, 0.9430 without, means of five seeds) and took a fifth of a
step.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.models import Inputs, Keys, Model

_TABLE = "categories"
# What a layer calls the output of the layer before it, as the first one calls its inputs `NUMERIC` and so on.
_HIDDEN = "hidden"


@dataclass(frozen=True)
class Perceptron(Model):
    """Sizes of the network."""

    embedding_dim: int = 8
    hidden_units: tuple[int, ...] = (128, 64)
    dropout: float = 0.0

    tables = (f"{_TABLE}/embeddings",)

    def __post_init__(self) -> None:
        require(
            1 <= self.embedding_dim <= 65_536,
            f"embedding_dim is {self.embedding_dim}; it must be from 1 to 65,536.",
        )
        require(
            1 <= len(self.hidden_units) <= 100
            and all(1 <= units <= 1_000_000 for units in self.hidden_units),
            f"hidden_units is {list(self.hidden_units)}; give at least one layer and at most 100, of 1 to 1,000,000 units.",
        )
        require(0 <= self.dropout < 1, f"dropout is {self.dropout}; it must be in [0, 1).")

    @property
    def width(self) -> int:
        """Units of the widest hidden layer."""
        return max(self.hidden_units)

    def products(self, numbers: int, ids: int) -> int:
        """Of its hidden layers, as if no list were pooled."""
        widths = (numbers + ids * self.embedding_dim, *self.hidden_units)
        return sum(before * units for before, units in zip(widths, self.hidden_units))

    def build(self, inputs: Inputs, outputs: int) -> Any:
        """Logits, float32 under every policy: a half-precision sigmoid loses small probabilities."""
        import tensorflow as tf
        import tf_keras as keras

        from trainer_module.layers import Dense, Pooling, Table

        columns = dict(inputs.tensors)
        if inputs.ids:
            own = {feature: size for feature, size in inputs.ids.items() if feature not in inputs.shares}
            starts = dict(zip(own, itertools.accumulate(own.values(), initial=0)))
            widths = [inputs.lists.get(feature, (1, ""))[0] for feature in inputs.ids]
            offsets = [
                starts[inputs.shares.get(feature, feature)]
                for feature, width in zip(inputs.ids, widths)
                for _ in range(width)
            ]
            ids = columns[CATEGORICAL]
            rows = ids + tf.constant(offsets, ids.dtype)
            lookups = inputs.rows * len(offsets)
            embedded = Table(sum(own.values()), self.embedding_dim, lookups, name=_TABLE)(rows)
            if inputs.lists:
                poolings = [inputs.lists.get(feature, (1, None))[1] for feature in inputs.ids]
                embedded = Pooling(
                    widths, poolings, [size - 1 for size in inputs.ids.values()], name="pooling"
                )([embedded, ids])
            columns[CATEGORICAL] = keras.layers.Flatten()(embedded)
        hidden = columns
        for layer, units in enumerate(self.hidden_units):
            output = Dense(units, "relu", name=f"hidden_{layer}")(hidden)
            if self.dropout:
                output = keras.layers.Dropout(self.dropout)(output)
            hidden = {_HIDDEN: output}
        return Dense(outputs, dtype="float32", name="logits")(hidden)

    def axes(
        self, numbers: Keys, rows: Mapping[tuple[str, str], Keys], outputs: Keys
    ) -> dict[str, tuple[Keys, ...]]:
        """Of all its variables."""
        named: dict[str, tuple[Keys, ...]] = {}
        columns: dict[str, Keys] = {}
        if numbers:
            columns[NUMERIC] = numbers
        if rows:
            dimensions: Keys = [("embedding", self.embedding_dim, i) for i in range(self.embedding_dim)]
            columns[CATEGORICAL] = [(*feature, dimension) for feature in rows for dimension in dimensions]
            (table,) = self.tables
            named[table] = ([key for keys in rows.values() for key in keys], dimensions)
        for layer, width in enumerate(self.hidden_units):
            units: Keys = [("unit", layer, width, i) for i in range(width)]
            named |= _dense(f"hidden_{layer}", columns, units)
            columns = {_HIDDEN: units}
        return named | _dense("logits", columns, outputs)


def _dense(layer: str, inputs: Mapping[str, Keys], units: Keys) -> dict[str, tuple[Keys, ...]]:
    kernels = {f"{layer}/kernel_{name}": (keys, units) for name, keys in inputs.items()}
    return {**kernels, f"{layer}/bias": (units,)}
