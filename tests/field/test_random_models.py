"""Random tables of every type through the preprocessing and all signatures: each row has one answer.

The seeds are fixed, so that a failure comes again.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.example_gen.column_types import ColumnType

from .signatures import export
from .test_tables_agree import KINDS, expected_of, random_table

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
    ],
    (ColumnType.INT, True): [{"kind": "hashed", "buckets": 7, "multi": True, "max_length": 3}],
    (ColumnType.BYTES, True): [
        {"kind": "vocabulary", "size": 5, "multi": True, "max_length": 3, "pooling": "max"}
    ],
    (ColumnType.FLOAT, True): [{"kind": "vector", "size": 3}],
}
"""The type of a column's values, and whether it holds lists → kinds that read it."""
TYPES = {ColumnType.INT: tf.int64, ColumnType.FLOAT: tf.float32, ColumnType.BYTES: tf.string}


@pytest.mark.parametrize("seed", range(3))
def test_all_signatures_of_a_random_table_answer_the_same(seed: int, tmp_path: Path) -> None:
    rng = random.Random(1000 + seed)
    table, features, types = {}, {}, {}
    while len(features) < 5:
        for name, (kind, values) in random_table(rng).items():
            _, held, _ = KINDS[kind]
            is_list = "list" in kind or kind == "vector"
            if held not in TYPES or kind in ("list float", "large_string") or name in table:
                continue
            # Of one length, whatever table they came from.
            table[name] = (kind, (values * 40)[:40])
            features[name] = rng.choice(READ_BY[held, is_list])
            types[name] = TYPES[held]
    rows = [{name: row.get(name, []) for name in table} for row in expected_of(table)]
    exported = export(tmp_path, features, rows, types)
    assert exported.refusals(rows) == []
    transformed = exported.transformed(rows)
    for values in transformed.values():
        assert np.isfinite(values).all()
    # What every row says is what it says alone.
    alone = np.concatenate([exported.predict([row]) for row in rows[:5]])
    np.testing.assert_allclose(alone, exported.predict(rows)[:5], atol=1e-6)
