"""Random tables of every type through ExampleGen, the preprocessing and all signatures: each row has one answer."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import Phase, assume, given
from hypothesis import strategies as st

from components.example_gen.column_types import ColumnType

from .random_tables import KINDS, Table, columns, drawn, expected_of, is_list, to_arrow
from .signatures import export
from .tables import read_rows
from .test_tables_agree import shown

ROWS = 40
READ_BY: dict[tuple[ColumnType, bool], list[dict[str, Any]]] = {
    (ColumnType.INT, False): [
        {"kind": "vocabulary", "size": 5},
        {"kind": "hashed", "buckets": 7},
        {"kind": "categorical", "size": 9},
        {"kind": "numeric"},
        {"kind": "numeric", "missing": "median", "missing_indicator": True},
        {"kind": "bucketized", "buckets": 3},
        {"kind": "time", "unit": "s"},
    ],
    (ColumnType.FLOAT, False): [{"kind": "numeric"}, {"kind": "bucketized", "buckets": 4}],
    (ColumnType.BYTES, False): [
        {"kind": "vocabulary", "size": 5, "oov_buckets": 2},
        {"kind": "hashed", "buckets": 7},
        {"kind": "text", "buckets": 20, "max_length": 3, "ngrams": 2},
        {"kind": "text", "size": 20, "oov_buckets": 2, "max_length": 3},
    ],
    (ColumnType.INT, True): [{"kind": "hashed", "buckets": 7, "multi": True, "max_length": 3}],
    (ColumnType.BYTES, True): [
        {"kind": "vocabulary", "size": 5, "multi": True, "max_length": 3, "pooling": "max"}
    ],
}
"""The type of a column's values, and whether it holds lists → kinds that read it."""
VECTORS = [{"kind": "vector", "size": 3, "normalise": each} for each in ("unit", "standard", "none")]
"""What reads lists of one length."""
TYPES = {ColumnType.INT: tf.int64, ColumnType.FLOAT: tf.float32, ColumnType.BYTES: tf.string}


def readers_of(kind: str) -> list[dict[str, Any]]:
    """None for lists of decimals of any length, and for columns without values."""
    return VECTORS if kind.startswith("vector") else READ_BY.get((KINDS[kind][1], is_list(kind)), [])


MODELLED = [kind for kind in KINDS if readers_of(kind)]


@st.composite
def modelled_tables(draw: Any, kinds: Sequence[str]) -> tuple[Table, dict[str, dict[str, Any]]]:
    """A column of each kind, and a feature of a kind that reads it."""
    table = {kind: (kind, draw(columns(kind, ROWS))) for kind in kinds}
    # The least tables, of which Hypothesis draws one first, are not worth a model.
    assume(sum(len({repr(value) for value in values}) for _, values in table.values()) >= 3 * len(kinds))
    return table, {kind: draw(st.sampled_from(readers_of(kind))) for kind in kinds}


# Each Arrow type is in one of the tables. None is made smaller where it fails: that would be a model a step.
@pytest.mark.parametrize(
    "kinds", [MODELLED[first::3] for first in range(3)], ids=["first", "second", "third"]
)
@drawn(1, phases=[Phase.generate])
@given(data=st.data())
def test_all_signatures_of_a_random_table_answer_the_same(data: st.DataObject, kinds: list[str]) -> None:
    table, features = data.draw(modelled_tables(kinds))
    schema = {name: KINDS[kind][1] for name, (kind, _) in table.items()}
    with tempfile.TemporaryDirectory() as made:
        file = Path(made, "a.parquet")
        pq.write_table(to_arrow(table), file, row_group_size=7)
        read = read_rows(file, "parquet", schema=schema)[0]
        assert shown(read) == shown(expected_of(table))
        rows = [{name: row.get(name, []) for name in table} for row in read]
        exported = export(Path(made), features, rows, {name: TYPES[held] for name, held in schema.items()})
        assert exported.refusals(rows) == []
        transformed = exported.transformed(rows)
        for values in transformed.values():
            assert np.isfinite(values).all()
        # What every row says is what it says alone.
        alone = np.concatenate([exported.predict([row]) for row in rows[:5]])
        np.testing.assert_allclose(alone, exported.predict(rows)[:5], atol=1e-6)
