"""What each row and each column of a variable of `trainer_module.model` stands for.

The same row of two models' tables is rarely the same thing: vocabularies are ordered by frequency, and
features come and go. Two places with equal labels mean the same in both.
"""

from collections.abc import Hashable, Mapping, Sequence

from trainer_module.model import HIDDEN
from trainer_module.settings import (
    CATEGORICAL,
    NUMERIC,
    Bucketized,
    Categorical,
    Feature,
    Hashed,
    Settings,
    Vocabulary,
)

TABLE = "categories/embeddings"
"""The variable with a row for each id of each feature that is not numeric."""

Labels = list[Hashable]
"""One label for each place of an axis; None for a place that nothing can be looked up in."""


def axes(
    settings: Settings, vocabularies: Mapping[str, Sequence[bytes]], classes: Sequence[bytes]
) -> dict[str, tuple[Labels, ...]]:
    """Labels of every axis of every variable.

    Args:
      settings: What the model was built from.
      vocabularies: Feature name → its terms in the order of their ids.
      classes: The label's in the order of their ids; empty where they have no names.

    Returns:
      Variable name → (rows,) or (rows, columns).
    """
    model = settings.model
    outputs: Labels = [("class", each) for each in classes] or [("output",)]
    columns: dict[str, Labels] = {}
    found: dict[str, tuple[Labels, ...]] = {}
    if settings.numeric:
        columns[NUMERIC] = [("number", feature.name) for feature in settings.numeric]
    if settings.categorical:
        table = [
            label
            for feature in settings.categorical
            for label in id_labels(feature, vocabularies.get(feature.name, ()))
        ]
        dimensions: Labels = [("embedding", model.embedding_dim, i) for i in range(model.embedding_dim)]
        columns[CATEGORICAL] = [
            (feature.name, feature.kind, dimension)
            for feature in settings.categorical
            for dimension in dimensions
        ]
        found[TABLE] = (table, dimensions)
    inputs = columns
    for layer, width in enumerate(model.hidden_units):
        units: Labels = [("unit", layer, width, i) for i in range(width)]
        found |= _dense(f"hidden_{layer}", inputs, units)
        inputs = {HIDDEN: units}
    return found | _dense("logits", inputs, outputs)


def _dense(layer: str, inputs: Mapping[str, Labels], units: Labels) -> dict[str, tuple[Labels, ...]]:
    kernels = {f"{layer}/kernel_{name}": (labels, units) for name, labels in inputs.items()}
    return {**kernels, f"{layer}/bias": (units,)}


def id_labels(feature: Feature, terms: Sequence[bytes]) -> Labels:
    """What each id of `feature` stands for, as `trainer_module.preprocessing` gives them out.

    A bucket is named by its rank and not by its boundaries: it stays "the lowest tenth" when prices rise.
    A hash means other values where the number of buckets differs, and an out-of-vocabulary id where
    their number does.
    """
    name, missing = (feature.name, feature.kind), (feature.name, feature.kind, "missing")
    match feature:
        case Bucketized():
            return [*((*name, feature.buckets, bucket) for bucket in range(feature.buckets)), missing]
        case Hashed():
            return [*((*name, feature.buckets, bucket) for bucket in range(feature.buckets)), missing]
        case Categorical():
            return [*((*name, number) for number in range(feature.size)), (*name, "unknown"), missing]
        case Vocabulary():
            # TFT's lookup puts the out-of-vocabulary ids right behind the terms that it found.
            known = [(*name, "term", term) for term in terms[: feature.size]]
            others = [(*name, "other", feature.oov_buckets, i) for i in range(feature.oov_buckets)]
            unused = [None] * (feature.size - len(known))
            return [*known, *others, *unused, missing]
    raise AssertionError(feature)
