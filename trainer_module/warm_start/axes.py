"""What each row and each column of a model's variable stands for.

The same row of two models' tables is rarely the same thing: vocabularies are ordered by frequency, and
features come and go. Two places with equal labels mean the same in both.
"""

from collections.abc import Mapping, Sequence

from trainer_module.models import Labels
from trainer_module.settings import (
    Bucketized,
    Categorical,
    Feature,
    Hashed,
    Settings,
    Vocabulary,
)


def axes(
    settings: Settings, vocabularies: Mapping[str, Sequence[bytes]], classes: Sequence[bytes]
) -> dict[str, tuple[Labels, ...]]:
    """Labels of every axis of every variable that the model can tell of.

    Args:
      settings: What the model was built from.
      vocabularies: Feature name → its terms in the order of their ids.
      classes: The label's in the order of their ids; empty where they have no names.

    Returns:
      Variable name → (rows,) or (rows, columns).
    """
    return settings.model.axes(
        numbers=[("number", feature.name) for feature in settings.numeric],
        rows={
            (feature.name, feature.kind): id_labels(feature, vocabularies.get(feature.name, ()))
            for feature in settings.categorical
        },
        outputs=[("class", each) for each in classes] or [("output",)],
    )


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
