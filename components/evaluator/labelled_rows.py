"""Evaluations leave out the rows without a label, as training does, and judge each head of a model by itself."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import unbatch_extractor

from components.evaluator.group_rows import with_groups
from trainer_module.inputs.rows import has_label, is_label

UNWEIGHTED = " without weights"
"""What follows a head's name where its rows all count the same although they have weights."""


def custom_extractors(**given: Any) -> list[tfma.extractors.Extractor]:
    """TFMA's own, and those that drop and divide rows; TFX's Evaluator calls it by this name."""
    extractors = list(tfma.default_extractors(**given))
    # From there on extracts are single rows.
    (place,) = [
        number
        for number, each in enumerate(extractors)
        if each.stage_name == unbatch_extractor.UNBATCH_EXTRACTOR_STAGE_NAME
    ]
    ours = [tfma.extractors.Extractor("DropUnlabelled", beam.Filter(is_labelled))]
    config = given["eval_config"]
    models = [spec.name for spec in config.model_specs] if len(config.model_specs) > 1 else []
    if heads := heads_of(config):
        divide = beam.Map(partial(divide_heads, heads=heads, models=models))
        ours.append(tfma.extractors.Extractor("DivideHeads", divide))
    return [*extractors[: place + 1], *ours, *with_groups(extractors[place + 1 :], config, models)]


def heads_of(config: tfma.EvalConfig) -> list[str]:
    """The heads that an evaluation asks about, in the order of the labels' columns."""
    outputs = {name for specs in config.metrics_specs for name in specs.output_names}
    return sorted(name for name in outputs if not name.endswith(UNWEIGHTED))


def is_labelled(row: Mapping[str, Any]) -> bool:
    """Whether TFMA's extracts of one row hold a label, if only of one head."""
    labels = np.asarray(_candidates(row[tfma.LABELS_KEY]))
    return bool(has_label(labels.reshape(1, -1))[0])


def divide_heads(row: Mapping[str, Any], heads: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    """TFMA's extracts of one row with label, prediction and weight of each head by its name.

    A head that the row has no label of, or that a model does not have, weighs nothing there.

    Args:
      row: With labels and weights [heads], and predictions by head.
      heads: The names of the heads.
      models: The names of the models where there are several; predictions are by them, too.
    """
    labels = np.asarray(_candidates(row[tfma.LABELS_KEY])).ravel()
    given = np.asarray(_candidates(row[tfma.EXAMPLE_WEIGHTS_KEY]), np.float64).ravel()
    known = is_label(labels)
    answers = row[tfma.PREDICTIONS_KEY]
    predictions, weights = {}, {}
    for model in models or [""]:
        answered = answers[model] if model else answers
        # A model of another task answers with one array.
        has = [isinstance(answered, Mapping) and head in answered for head in heads]
        of_heads = [np.ravel(answered[head]) if there else np.array([0.5]) for head, there in zip(heads, has)]
        counts = np.where(has, known, False).astype(np.float64)
        predictions[model] = _with_unweighted(heads, of_heads, of_heads)
        weights[model] = _with_unweighted(heads, given * counts, counts)
    of_label = np.maximum(labels, 0).reshape(-1, 1)
    return {
        **row,
        tfma.LABELS_KEY: _with_unweighted(heads, of_label, of_label),
        tfma.PREDICTIONS_KEY: predictions if models else predictions[""],
        tfma.EXAMPLE_WEIGHTS_KEY: weights if models else weights[""],
    }


def _with_unweighted(
    heads: Sequence[str], weighted: Iterable[Any], unweighted: Iterable[Any]
) -> dict[str, Any]:
    return {
        **{head: np.asarray(each) for head, each in zip(heads, weighted)},
        **{head + UNWEIGHTED: np.asarray(each) for head, each in zip(heads, unweighted)},
    }


def _candidates(extracted: Any) -> Any:
    """Where models differ, the candidate's."""
    return extracted[tfma.CANDIDATE_KEY] if isinstance(extracted, Mapping) else extracted
