"""Evaluations leave out the rows without a label, as training does."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import unbatch_extractor

from trainer_module.inputs.rows import is_label


def custom_extractors(**given: Any) -> list[tfma.extractors.Extractor]:
    """TFMA's own, and one that drops the rows without a label; TFX's Evaluator calls it by this name."""
    extractors = list(tfma.default_extractors(**given))
    # From there on extracts are single rows.
    (place,) = [
        number
        for number, each in enumerate(extractors)
        if each.stage_name == unbatch_extractor.UNBATCH_EXTRACTOR_STAGE_NAME
    ]
    drop = tfma.extractors.Extractor("DropUnlabelled", beam.Filter(has_label))
    return [*extractors[: place + 1], drop, *extractors[place + 1 :]]


def has_label(row: Mapping[str, Any]) -> bool:
    """Whether TFMA's extracts of one row hold a label; where models differ, the candidate's."""
    labels = row[tfma.LABELS_KEY]
    if isinstance(labels, Mapping):
        labels = labels[tfma.CANDIDATE_KEY]
    return bool(is_label(labels).all())
