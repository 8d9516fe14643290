"""A label is never believed: what has none, what is none, and what its digits are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate.checks.labels import check_labels
from components.data_gate.report import DataGateError
from tests.tf.conftest import transform
from trainer_module.inputs.rows import Shard, read_rows
from trainer_module.inputs.survey import survey
from trainer_module.label import TRANSFORMED_LABEL, Label
from trainer_module.tasks import NO_CLASS

_LISTS = {
    tf.int64: lambda values: tf.train.Feature(int64_list=tf.train.Int64List(value=values)),
    tf.float32: lambda values: tf.train.Feature(float_list=tf.train.FloatList(value=values)),
    tf.string: lambda values: tf.train.Feature(bytes_list=tf.train.BytesList(value=map(str.encode, values))),
}
_SCHEMA_TYPES = {tf.int64: schema_pb2.INT, tf.float32: schema_pb2.FLOAT, tf.string: schema_pb2.BYTES}

Table = dict[str, tuple[tf.DType, list[Any]]]
"""Column → its type and its values, None where a row has none."""


def column(kind: tf.DType, values: list[Any]) -> tf.SparseTensor:
    there = [(row, value) for row, value in enumerate(values) if value is not None]
    indices = np.array([(row, 0) for row, _ in there], np.int64).reshape(-1, 2)
    return tf.SparseTensor(indices, tf.constant([value for _, value in there], kind), [len(values), 1])


def labels_of(table: Table, task: str = "binary", **label: Any) -> list[Any]:
    made = Label(task, **label)
    columns = {name: column(*given) for name, given in table.items()}
    return made.rules.value(made, columns).numpy().tolist()


def write(path: Path, table: Table) -> list[str]:
    rows = len(next(iter(table.values()))[1])
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in range(rows):
            features = {
                name: _LISTS[kind]([] if values[row] is None else [values[row]])
                for name, (kind, values) in table.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return [str(path)]


def gate(directory: Path, label: Label, train: Table, evaluated: Table | None = None) -> dict[str, Any]:
    """What the data gate does of the label."""
    schema = schema_pb2.Schema(
        feature=[schema_pb2.Feature(name=name, type=_SCHEMA_TYPES[kind]) for name, (kind, _) in train.items()]
    )
    files = {"train": write(directory / "train.gz", train)}
    files["eval"] = write(directory / "eval.gz", evaluated or train)
    return check_labels(files, label, schema, is_whole=True)


@pytest.mark.parametrize("hole", [None, float("nan"), float("inf")])
def test_a_row_without_a_label_has_no_class(hole: float | None) -> None:
    assert labels_of({"y": (tf.float32, [0, 1, hole])}, column="y") == [0, 1, NO_CLASS]
    (number,) = labels_of({"y": (tf.float32, [hole])}, "regression", column="y")
    assert np.isnan(number)


def test_an_expression_with_a_missing_operand_is_missing_and_not_no() -> None:
    delays: Table = {
        "delay": (tf.float32, [20, 10, None, float("nan")]),
        "kind": (tf.string, ["a", "b", "a", ""]),
    }
    assert labels_of(delays, expression="delay > 15") == [1, 0, NO_CLASS, NO_CLASS]
    assert labels_of(delays, expression="not delay > 15") == [0, 1, NO_CLASS, NO_CLASS]
    assert labels_of(delays, expression="kind == 'a' or delay > 15") == [1, 0, NO_CLASS, NO_CLASS]


def test_a_division_by_zero_makes_no_label() -> None:
    paid: Table = {"tips": (tf.float32, [1, 0, 1]), "fare": (tf.float32, [2, 0, 0])}
    assert labels_of(paid, expression="tips / fare > 0.2") == [1, NO_CLASS, NO_CLASS]


def test_seconds_since_1970_keep_their_digits() -> None:
    start = list(range(1_700_000_000, 1_700_000_300))
    end = [at + 60 + (at % 3 == 0) for at in start]
    times: Table = {"start": (tf.int64, start), "end": (tf.int64, end)}
    expected = [int(after - before > 60) for before, after in zip(start, end)]
    assert labels_of(times, expression="end - start > 60") == expected


@pytest.mark.parametrize("text", ["0.1", "2.47", "0.2", "1234567", "1e-7"])
def test_a_decimal_is_not_above_itself(text: str) -> None:
    prices: Table = {"x": (tf.float32, [float(text)])}
    assert labels_of(prices, expression=f"x > {text}") == [0]
    assert labels_of(prices, expression=f"x == {text}") == [1]


def test_integers_and_decimals_calculate_together() -> None:
    table: Table = {"count": (tf.int64, [3, 2**53]), "price": (tf.float32, [0.5, 1.0])}
    assert labels_of(table, expression="count * price > 1.4") == [1, 1]
    assert labels_of(table, expression="count / 2 > 1") == [1, 1]


@pytest.mark.parametrize(
    ("kind", "values", "positive", "expected"),
    [
        (tf.string, ["yes", "no", None, ""], "yes", [1, 0, NO_CLASS, NO_CLASS]),
        (tf.int64, [1, 2, None], 2, [0, 1, NO_CLASS]),
        (tf.float32, [-1, 1, None], 1, [0, 1, NO_CLASS]),
        (tf.int64, [1, -1, 0], -1, [0, 1, 0]),
    ],
)
def test_the_positive_value_is_named(
    kind: tf.DType, values: list[Any], positive: Any, expected: list[int]
) -> None:
    assert labels_of({"y": (kind, values)}, column="y", positive=positive) == expected


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (tf.int64, [1, 1, 2], r"'y' is 1 in 4 rows, 2 in 2 rows: .* positive = 2"),
        (tf.float32, [-1, 1, 1], r"'y' is 1 in 4 rows, -1 in 2 rows: .* positive = 1"),
        (tf.int64, [0, 1, 2], r"0 in 2 rows, 1 in 2 rows, 2 in 2 rows"),
        (tf.float32, [0, 1, 0.7], r"0\.7 in 2 rows"),
        (tf.string, ["no", "no", "yes"], r'"no" in 4 rows, "yes" in 2 rows: .* positive = "yes"'),
    ],
)
def test_other_values_are_refused_with_their_counts_and_the_fix(
    tmp_path: Path, kind: tf.DType, values: list[Any], said: str
) -> None:
    with pytest.raises(DataGateError, match=said):
        gate(tmp_path, Label("binary", column="y"), {"y": (kind, values)})


def test_too_many_rows_without_a_label_stop_the_run(tmp_path: Path) -> None:
    table: Table = {"y": (tf.int64, [0, 1, None, None, None])}
    with pytest.raises(DataGateError, match=r"missing in 3 of the 5 rows of the train split, .* allows 50%"):
        gate(tmp_path, Label("binary", column="y"), table)
    counted = gate(tmp_path, Label("binary", column="y", max_missing=0.6), table)["train"][""]
    assert counted.string_stats.common_stats.num_missing == 3


def test_a_class_that_training_does_not_see_is_named(tmp_path: Path) -> None:
    train: Table = {"y": (tf.string, ["a", "b", "a"])}
    evaluated: Table = {"y": (tf.string, ["a", "c"])}
    with pytest.raises(DataGateError, match=r"'y' is \"c\" in 1 row of the eval split, .* \[label\] classes"):
        gate(tmp_path, Label("multiclass", column="y"), train, evaluated)
    gate(tmp_path, Label("multiclass", column="y", classes=("a", "b", "c")), train, evaluated)
    with pytest.raises(
        DataGateError, match=r"\"b\" in 1 row of the train split, which classes does not name"
    ):
        gate(tmp_path, Label("multiclass", column="y", classes=("a", "c")), train)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ({"expression": "status == '1'"}, "'status' holds numbers, write 1 without quotes"),
        ({"expression": "name == 1"}, "'name' holds texts, write '1' in quotes"),
        ({"expression": "name > 'a'"}, "order of texts"),
        ({"expression": "name + 1 > 2"}, "calculates with 'name'"),
        ({"expression": "status and name == 'a'"}, "uses 'status' as yes or no"),
        ({"expression": "(status > 0) == 1"}, "compares yes or no"),
        ({"column": "name", "positive": 1}, 'write "1"'),
        ({"column": "status", "positive": "1"}, "holds numbers"),
        ({"column": "gone"}, "'gone', which the data does not have"),
    ],
)
def test_types_that_do_not_fit_are_one_sentence_before_any_training(
    tmp_path: Path, label: dict[str, Any], said: str
) -> None:
    table: Table = {"status": (tf.int64, [0, 1]), "name": (tf.string, ["a", "b"])}
    with pytest.raises(DataGateError, match=said):
        gate(tmp_path, Label("binary", **label), table)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ({"task": "regression", "column": "y", "positive": 1}, "positive is for binary labels"),
        ({"task": "binary", "column": "y", "classes": ("a",)}, "classes are of multiclass labels"),
        ({"task": "binary", "expression": "y > 1", "positive": 1}, "true or false already"),
        ({"task": "binary", "column": "y", "max_missing": 2.0}, "max_missing is 2"),
    ],
)
def test_settings_without_effect_are_refused(label: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Label(**label)


CLASSES: dict[str, Any] = {
    "features": {"x": {"kind": "numeric"}},
    "label": {"task": "multiclass", "column": "y"},
    "model": {"hidden_units": [4]},
    "training": {"global_batch_size": 4},
}
TYPES = {"x": tf.float32, "y": tf.string, "number": tf.float32}


def test_named_classes_have_an_output_without_a_row_of_theirs() -> None:
    tables = {**CLASSES, "label": {**CLASSES["label"], "classes": ["a", "b", "c"]}}
    rows = [{"x": [1.0], "y": [name]} for name in (b"a", b"a", b"b", b"")]
    made = transform(tables, rows, types=TYPES)
    assert made.settings.label.rules.outputs(made.output) == 3
    assert set(made.output.vocabulary_by_name("label_classes")) == {b"a", b"b", b"c"}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_rows_without_a_label_are_not_read_and_not_counted_by_any_worker(workers: int) -> None:
    rows = [{"x": [float(row)], "y": [b"a" if row % 2 else b"b"] if row % 3 else []} for row in range(40)]
    made = transform(CLASSES, rows, types=TYPES)
    spec = made.output.transformed_feature_spec()
    labelled = sum(bool(row["y"]) for row in rows)
    known = survey(made.files, spec)
    assert known.rows == labelled
    counted = Shard(0, workers).rows(known.rows_by_file)
    read = [
        [
            label
            for batch in read_rows(made.files, spec, Shard(worker, workers))
            for label in batch[TRANSFORMED_LABEL].numpy()
        ]
        for worker in range(workers)
    ]
    assert [len(labels) for labels in read] == counted and sum(counted) == labelled
    assert NO_CLASS not in {label for labels in read for label in labels}


def test_classes_that_are_numbers_are_called_as_they_were_written() -> None:
    ratings: Table = {"y": (tf.float32, [4.5, 4.0, 0.1, 1e-7, 16777216.0, None])}
    assert labels_of(ratings, "multiclass", column="y") == [b"4.5", b"4", b"0.1", b"1e-07", b"16777216", b""]


def test_a_class_with_a_line_end_is_a_class_of_its_own(tmp_path: Path) -> None:
    rows = [{"x": [float(row)], "y": [["a\nb", "a", "b\\n", "b\r"][row % 4].encode()]} for row in range(20)]
    tables = {
        "features": {"x": {"kind": "numeric"}},
        "label": {"task": "multiclass", "column": "y"},
        "training": {"global_batch_size": 4},
    }
    made = transform(tables, rows, types={"x": tf.float32, "y": tf.string})
    labels = [
        label
        for part in read_rows(made.files, made.output.transformed_feature_spec()).as_numpy_iterator()
        for label in part[TRANSFORMED_LABEL].tolist()
    ]
    assert [labels.count(each) for each in range(4)] == [5] * 4 and len(labels) == 20
    named = {**tables, "label": {**tables["label"], "classes": ["a\nb", "a", "b\\n", "b\r", "never seen"]}}
    made = transform(named, rows, types={"x": tf.float32, "y": tf.string})
    assert made.output.vocabulary_size_by_name("label_classes") == 5


def test_a_weight_for_a_class_that_no_row_has_is_refused(tmp_path: Path) -> None:
    table: Table = {"y": (tf.string, ["yes", "no", "yes"])}
    label = Label("binary", column="y", positive="yes", class_weights={"yes": 2.0})
    with pytest.raises(
        DataGateError, match=r"class_weights names 'yes', and no row is of .* classes are 0, 1"
    ):
        gate(tmp_path, label, table)
    gate(tmp_path, replace(label, class_weights={"1": 2.0}), table)
