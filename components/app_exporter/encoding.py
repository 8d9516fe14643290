"""Turns raw values into the inputs of an app model, as `features.json` says; standard library only.

This file is shipped beside the model, with `farmhash.py` and a file of `kinds/` for each kind of feature that the
model has. `encoding.mjs` is the same in JavaScript, and either can be read as the specification for another
language. Missing means absent, None, the empty text, a number that is not finite as a float32, or -2**63. A quantity
whose entry has the type "integer" is calculated in double precision; a decimal one is a float32 first.
"""

import functools
import importlib.util
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def encode(features: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[list[Any]]]:
    """The model's inputs for raw rows.

    Args:
      features: The parsed `features.json`.
      rows: Column name → value, or values of a column with lists.

    Returns:
      "numeric": rows of floats and "categorical": rows of ids, those that the model has.

    Raises:
      ValueError: If a feature is of a kind that has no file here.
    """
    encoded = {}
    for name in ("numeric", "categorical"):
        if features[name]:
            encoders = [_encoder_of(entry) for entry in features[name]]
            encoded[name] = [[value for encoder in encoders for value in encoder(row)] for row in rows]
    return encoded


def load_kind(kind: str) -> Any:
    """The module of `kinds/` for a kind.

    Raises:
      ValueError: If there is none.
    """
    try:
        return _load(f"kinds/{kind}.py")
    except FileNotFoundError as error:
        raise ValueError(f"kind {kind!r} has no file kinds/{kind}.py beside {__file__}") from error


def _encoder_of(entry: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], list[Any]]:
    """From a row to the feature's columns, of which there may be several."""
    of_present = load_kind(entry["kind"]).encoder(entry, _load("farmhash.py").fingerprint64)
    of_missing = entry["missing"] if "missing" in entry else entry["missing_id"]
    if "max_length" in entry:
        return lambda row: _encode_list(entry, of_present, row.get(entry["name"]))

    def encode_row(row: Mapping[str, Any]) -> list[Any]:
        value = row.get(entry["name"])
        encoded = of_missing if _is_missing(value) else of_present(value)
        return encoded if isinstance(encoded, list) else [encoded]

    return encode_row


def _encode_list(entry: Mapping[str, Any], of_present: Callable[[Any], Any], values: Any) -> list[Any]:
    """The first values of a list that are not missing, filled up with the id of missing."""
    given = values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    there = [value for value in given if not _is_missing(value)][: entry["max_length"]]
    return [*map(of_present, there), *[entry["missing_id"]] * (entry["max_length"] - len(there))]


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(array("f", [value])[0])
    return value is None or value == "" or value == -(2**63)


@functools.cache
def _load(file: str) -> Any:
    """A file beside this one by its path, because what is shipped is in no package."""
    path = Path(__file__).parent / file
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
