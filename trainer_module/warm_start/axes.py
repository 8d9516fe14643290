"""What each row and each column of a model's variable stands for.

The same row of two models' tables is rarely the same thing: vocabularies are ordered by frequency, and
features come and go. Two places with equal labels mean the same in both.
"""

from collections.abc import Mapping, Sequence

from trainer_module.features import Labels
from trainer_module.settings import Settings


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
        numbers=[
            ("number", feature.name, *([column] if feature.width > 1 else []))
            for feature in settings.numeric
            for column in range(feature.width)
        ],
        rows={
            (feature.name, feature.kind): feature.id_labels(vocabularies.get(feature.name, ()))
            for feature in settings.categorical
        },
        outputs=[("class", each) for each in classes] or [("output",)],
    )
