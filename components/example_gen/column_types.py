"""What type a column has, decided over all of its values as CsvExampleGen decides it; standard library only.

An integer column becomes a float column where one value has a decimal point, and text where one value
is no number. A column whose digits matter (`Reading.exact`) stays an integer column where all of its decimals
are whole, as in 1000000001.0, which pandas makes of integers with missing values. `merge` makes that a decision over any number of blocks and files; what a reviewed schema
says takes part as one more block, so that a column that the schema calls FLOAT is FLOAT also in a table
that happens to hold whole numbers. Values that need a wider type than the schema's get it, and then
ExampleValidator and the data gate name the column: nothing changes its type unseen.
"""

import enum
from collections.abc import Iterable, Mapping


class ColumnType(enum.IntEnum):
    """Wider types are greater; UNKNOWN has no value at all, and WHOLE, until all parts are merged, only whole ones."""

    UNKNOWN = 0
    INT = 1
    WHOLE = 2
    FLOAT = 3
    BYTES = 4


ColumnTypes = dict[str, ColumnType]


def merge(parts: Iterable[Mapping[str, ColumnType]]) -> ColumnTypes:
    """The widest type of each column."""
    merged: ColumnTypes = {}
    for part in parts:
        for name, kind in part.items():
            merged[name] = max(kind, merged.get(name, ColumnType.UNKNOWN))
    return merged


def widen(inferred: Mapping[str, ColumnType], narrowest: Mapping[str, ColumnType]) -> ColumnTypes:
    """The types of a whole table: those that its values need, and at least those that a schema gives."""
    merged = merge([inferred, {name: kind for name, kind in narrowest.items() if name in inferred}])
    return {name: ColumnType.INT if kind == ColumnType.WHOLE else kind for name, kind in merged.items()}
