"""Bytes of a table's texts as what a file of predictions holds."""

from typing import Any

import pyarrow as pa


def readable(column: pa.Array) -> pa.Array:
    """Texts as such, which a reader can print."""
    if not pa.types.is_binary(column.type):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        texts: list[Any] = [
            value if value is None else value.decode(errors="backslashreplace")
            for value in column.to_pylist()
        ]
        return pa.array(texts, pa.string())
