"""`features.json`: what an app must know to turn raw values into the model's inputs.

Vocabularies are the SavedModel's assets. All else that the preprocessing has learned is found by asking the model
itself (`probe`), by what each kind of feature says of it (`kinds`).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.app_exporter.encoding import encode, load_kind
from components.app_exporter.probe import Points, Transform, find_crossings, first_columns, integer_quantities
from components.app_exporter.shipped_code import kind_file
from components.serving_check.requests import Row
from foundation.sections import UserError
from trainer_module.features import CATEGORICAL, NUMERIC, Feature
from trainer_module.features.vocabulary import read_terms, unescape
from trainer_module.inputs.raw_columns import MISSING_INTEGER
from trainer_module.settings import Settings

# Float rounding of (x - mean) / deviation, done in another order.
_TOLERANCE = {NUMERIC: 1e-5, CATEGORICAL: 0.0}


class EncodingError(UserError, RuntimeError):
    """`features.json` would not say what the model does; the message is one sentence."""


def describe(model: Path, transform: Transform, settings: Settings, rows: Sequence[Row]) -> dict[str, Any]:
    """The contents of `features.json`, held against the model on `rows`.

    Args:
      model: The SavedModel.
      transform: Its `transform_features`.
      settings: What it was built from.
      rows: Real rows, at least one: the whole eval split is what they should be.

    Raises:
      EncodingError: If the encoding would give another input than the model's own preprocessing.
    """
    crossings = find_crossings(transform, settings, _levels, rows)
    classes = settings.label.rules.class_vocabulary
    description: dict[str, Any] = {
        "format": 1,
        "task": settings.label.task,
        "classes": [_decode(unescape(line)) for line in read_terms(model / "assets" / classes)]
        if classes
        else None,
        **({"heads": list(heads)} if (heads := settings.label.rules.heads) else {}),
        NUMERIC: [],
        CATEGORICAL: [],
    }
    integers = integer_quantities(settings, rows)
    missing = _without_quantities(transform, settings, integers, rows[0])
    for output, feature, column in first_columns(settings):
        entry = _describe(model, feature, crossings.get(feature.name, ()))
        if feature.is_quantity:
            entry["type"] = "integer" if feature.name in integers else "decimal"
        if not feature.ids and "missing" not in entry:
            values = missing[output][0, column : column + feature.width].tolist()
            entry["missing"] = values if feature.width > 1 else values[0]
        description[output].append(entry)
    _verify(description, transform, settings, rows)
    return description


def _without_quantities(
    transform: Transform, settings: Settings, integers: frozenset[str], row: Row
) -> Mapping[str, Any]:
    """The model's inputs for a row in which all quantities are missing."""
    holes = {
        feature.name: [MISSING_INTEGER if feature.name in integers else float("nan")]
        for feature in settings.features
        if feature.is_quantity
    }
    return transform([{**row, **holes}])


def _levels(feature: Feature) -> Iterable[float]:
    kind = load_kind(kind_file(feature))
    return kind.levels(feature) if hasattr(kind, "levels") else ()


def _describe(model: Path, feature: Feature, crossings: Sequence[Points]) -> dict[str, Any]:
    kind = kind_file(feature)
    lines = read_terms(model / "assets" / feature.vocabulary) if feature.vocabulary else []
    terms = [_decode(unescape(line)) for line in lines]
    try:
        described = load_kind(kind).describe(feature, crossings, terms)
    except ValueError as error:
        raise _mismatch(feature, str(error)) from error
    ids = {"missing_id": feature.ids - 1} if feature.ids else {}
    lists = {"max_length": feature.length} if feature.ids and feature.length else {}
    return {"name": feature.name, "kind": kind, **ids, **lists, **described}


def _decode(text: bytes) -> str:
    """As text; what is no UTF-8 as JSON cannot have it, so that no app meets it."""
    return text.decode("utf-8", errors="replace")


def _verify(
    description: Mapping[str, Any], transform: Transform, settings: Settings, rows: Sequence[Row]
) -> None:
    """Holds the encoding against the model's own preprocessing."""
    lists = {feature.name for feature in settings.features if feature.length}
    plain = [{name: _plain(values, name in lists) for name, values in row.items()} for row in rows]
    encoded = {name: np.asarray(values) for name, values in encode(description, plain).items()}
    expected = transform(rows)
    for output, feature, column in first_columns(settings):
        columns = slice(column, column + feature.width)
        ours, theirs = encoded[output][:, columns], expected[output][:, columns]
        if ours.shape != theirs.shape:
            raise _mismatch(feature, f"it has {ours.shape[1]} of {theirs.shape[1]} columns")
        wrong = (np.abs(ours - theirs) > _TOLERANCE[output] * np.maximum(1, np.abs(theirs))).any(axis=1)
        if wrong.any():
            example = plain[int(np.argmax(wrong))].get(feature.name)
            raise _mismatch(
                feature, f"{int(wrong.sum())} of {len(rows)} rows differ, for example {example!r}"
            )


def _mismatch(feature: Feature, what: str) -> EncodingError:
    return EncodingError(f"An app could not encode the feature '{feature.name}' as the model does: {what}.")


def _plain(values: Sequence[Any], is_list: bool) -> Any:
    """As an app has them."""
    plain = [_decode(value) if isinstance(value, bytes) else value for value in values]
    return plain if is_list else plain[0] if plain else None
