"""Columnar reading against TFX's own ExampleGens: the same bytes in the same splits, or one sentence."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.components.example_gen.csv_example_gen.executor import Executor as CsvExecutor
from tfx.components.example_gen.custom_executors.parquet_executor import Executor as ParquetExecutor
from tfx.components.example_gen.import_example_gen.executor import Executor as ImportExecutor
from tfx.proto import example_gen_pb2
from tfx.utils import proto_utils

from components.example_gen.column_types import ColumnType
from components.example_gen.columnar_examples import COLUMN_TYPES, convert, raise_conversion_error
from components.example_gen.single_shard import convert_shard
from components.example_gen.source_format import ConversionError
from components.example_gen.sources import csv as csv_format
from pipeline import config
from pipeline.running import preflight

SPLITS = {"train": 2, "eval": 1}
Examples = dict[str, list[bytes]]

NASTY = (
    "text,whole,negative,small,huge,mixed,spaced,long,none,only one\r\n"
    "plain,1,-1,1e-3,1e300,1,1,12345678901234567890,,\n"
    '"comma, ""quotes""\nand a line",0,-9223372036854775808,.5,-1e400,2.5, 2,1.5,,x\n'
    "ünï ✓,127,9223372036854775807,5.,nan,,+3,,,\n"
    "\n"
    ",,,,inf,3,+1000,7,,\r\n"
    'it"s" so,128,-0,-2.5E+10,3.4028236e38,4,0,8,,\n'
    + "".join(f"{i % 3},{i * i},{-i},{i / 7},{i},{i},{i},{i},,\n" for i in range(300))
)


def convert_here(
    files: Any, file_format: str, directory: Path, types: Any = None, options: Any = (), **more: Any
) -> Examples:
    """What `convert` writes, by split: the same as without Beam, where the table is one shard."""
    names, alone = [str(file) for file in files], Path(f"{directory}-without-beam")
    try:
        has_shard, said = convert_shard(names, file_format, str(alone), SPLITS, types or {}), ""
    except ConversionError as error:
        has_shard, said = False, str(error)
    try:
        with beam.Pipeline(argv=list(options)) as pipeline:
            convert(pipeline, names, file_format, str(directory), SPLITS, types, **more)
    except Exception as error:
        assert said in str(error)
        raise_conversion_error(error)
        raise
    assert not said
    if has_shard:
        assert contents(alone) == contents(Path(directory))
    return {split: read(f"{directory}/Split-{split}/*") for split in SPLITS}


def contents(directory: Path) -> dict[Path, bytes]:
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def convert_by_tfx(executor: Any, source: Path, pattern: str, directory: Path) -> Examples:
    """What TFX's ExampleGen would write, with its keys sorted."""
    shares = [example_gen_pb2.SplitConfig.Split(name=k, hash_buckets=v) for k, v in SPLITS.items()]
    properties = {
        "input_base": str(source),
        "input_config": proto_utils.proto_to_json(
            example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern=pattern)])
        ),
        "output_config": proto_utils.proto_to_json(
            example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=shares))
        ),
        "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
    }
    with beam.Pipeline() as pipeline:
        for split, examples in executor().GenerateExamplesByBeam(pipeline, properties).items():
            _ = (
                examples
                | f"Serialize {split}" >> beam.Map(lambda row: row.SerializeToString(deterministic=True))
                | f"Write {split}" >> beam.io.WriteToTFRecord(f"{directory}/tfx-{split}")
            )
    return {split: read(f"{directory}/tfx-{split}*") for split in SPLITS}


def read(pattern: str) -> list[bytes]:
    files = sorted(tf.io.gfile.glob(pattern))
    compression = "GZIP" if files and files[0].endswith(".gz") else ""
    return sorted(tf.data.TFRecordDataset(files, compression).as_numpy_iterator())


def shown(examples: Examples) -> Mapping[str, list[str]]:
    """Readable where pytest shows a difference."""
    return {k: [str(tf.train.Example.FromString(row)) for row in v[:3]] for k, v in examples.items()}


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Examples]:
    """The shipped table's folder, and what CsvExampleGen makes of it."""
    source = preflight.find_source(config.load("taxi", "laptop"))
    return source, convert_by_tfx(CsvExecutor, source, "*.csv", tmp_path_factory.mktemp("tfx"))


def test_the_taxi_table_becomes_the_examples_and_splits_of_csv_example_gen(
    taxi: tuple[Path, Examples], tmp_path: Path
) -> None:
    source, expected = taxi
    assert convert_here(source.glob("*.csv"), "csv", tmp_path) == expected
    assert json.loads((tmp_path / COLUMN_TYPES).read_text())["fare"] == "FLOAT"


@pytest.mark.parametrize("block_bytes", [csv_format.BLOCK_BYTES, 64])
def test_quotes_empty_cells_and_odd_numbers_become_what_csv_example_gen_makes_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    # Blocks of 64 bytes cut inside of quotes, too.
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", block_bytes)
    source = tmp_path / "in"
    source.mkdir()
    (source / "nasty.csv").write_bytes(NASTY.encode())
    (source / "other.csv").write_bytes((NASTY.splitlines()[0] + "\na,1,1,1,1,1,1,1,,").encode())
    expected = convert_by_tfx(CsvExecutor, source, "*.csv", tmp_path)
    assert sum(map(len, expected.values())) == 306
    found = convert_here(source.glob("*.csv"), "csv", tmp_path / "out")
    assert shown(found) == shown(expected)
    assert found == expected
    names = json.loads((tmp_path / "out" / COLUMN_TYPES).read_text())
    assert names == {
        "text": "BYTES",
        "whole": "INT",
        "negative": "INT",
        "small": "FLOAT",
        "huge": "FLOAT",
        "mixed": "FLOAT",
        "spaced": "INT",
        "long": "BYTES",
        "none": "UNKNOWN",
        "only one": "BYTES",
    }


def test_parquet_becomes_what_tfx_makes_of_it_and_a_zero_stays_a_number(tmp_path: Path) -> None:
    rows = 500
    table = pa.table(
        {
            "id": pa.array(range(1, rows + 1), pa.int32()),
            "price": pa.array([None if i % 5 == 0 else i / 3 for i in range(rows)], pa.float64()),
            "name": pa.array([None if i % 7 == 0 else f"nämé {i % 9}" * (i % 2) for i in range(rows)]),
            "kind": pa.array(["a", "b"] * (rows // 2)).dictionary_encode(),
            "tags": pa.array([[f"t{i}", "u"][: i % 3] for i in range(rows)]),
            "sizes": pa.array([[i, -i][: i % 3] for i in range(1, rows + 1)]),
            "empty": pa.nulls(rows),
        }
    )
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet", row_group_size=120)
    expected = convert_by_tfx(ParquetExecutor, tmp_path / "in", "*.parquet", tmp_path)
    assert convert_here([tmp_path / "in" / "a.parquet"], "parquet", tmp_path / "out") == expected

    zeros = pa.table({"whole": pa.array([0, 1] * 20), "broken": pa.array([0.0, 0.5] * 20), "row": range(40)})
    pq.write_table(zeros, tmp_path / "zeros.parquet")
    found = convert_here([tmp_path / "zeros.parquet"], "parquet", tmp_path / "zeros")
    spec = {
        "whole": tf.io.FixedLenFeature([], tf.int64),
        "broken": tf.io.FixedLenFeature([], tf.float32),
        "row": tf.io.FixedLenFeature([], tf.int64),
    }
    parsed = tf.io.parse_example(found["train"] + found["eval"], spec)
    assert sorted(parsed["row"].numpy().tolist()) == list(range(40))
    np.testing.assert_array_equal(parsed["whole"], parsed["row"] % 2)
    np.testing.assert_array_equal(parsed["broken"], tf.cast(parsed["row"] % 2, tf.float32) / 2)


def test_tfrecord_passes_through_as_import_example_gen_does(
    taxi: tuple[Path, Examples], tmp_path: Path
) -> None:
    _, examples = taxi
    (tmp_path / "in").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "in" / "rows.gz"), "GZIP") as writer:
        for row in examples["eval"][:250] + examples["train"][:250]:
            # Keys in another order than sorted: the split must not depend on it.
            example = tf.train.Example.FromString(row)
            halves = [tf.train.Example(), tf.train.Example()]
            for name, feature in example.features.feature.items():
                halves[name < "m"].features.feature[name].CopyFrom(feature)
            writer.write(b"".join(half.SerializeToString() for half in halves))
    expected = convert_by_tfx(ImportExecutor, tmp_path / "in", "*", tmp_path)
    assert convert_here((tmp_path / "in").iterdir(), "tfrecord", tmp_path / "out") == expected
    assert all(expected.values())


def test_a_schema_widens_a_type_and_values_that_need_more_get_more(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b,c\n" + "".join(f"{i},{i},{i}.5\n" for i in range(40)))
    types = {"a": ColumnType.FLOAT, "b": ColumnType.BYTES, "c": ColumnType.INT, "gone": ColumnType.INT}
    convert_here([file], "csv", tmp_path / "out", types)
    found = json.loads((tmp_path / "out" / COLUMN_TYPES).read_text())
    assert found == {"a": "FLOAT", "b": "BYTES", "c": "FLOAT"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "ragged.csv",
            "a,b\n" + "1,2\n" * 20 + '"x\ny",1\n3\n',
            r"ragged\.csv, line 24 has 1 cells where the header has 2",
        ),
        ("quote.csv", 'a,b\n1,2\n"3,4\n', r'quote\.csv has a quote \("\) that is never closed'),
        ("bytes.csv", b"a,b\n1,2\n\xff,3\n", r"bytes\.csv, line 3 is not UTF-8"),
        ("twice.csv", "a,a\n1,2\n", r"twice\.csv, line 1 names the column 'a' twice"),
        ("header.csv", "\n1,2\n", r"header\.csv has no header"),
        ("none.csv", "a,b\n", r"The table has no rows"),
        ("one.csv", "a,b\n1,2\n", r"The (train|eval) split is empty: of 1 rows none fell into it"),
        ("text.parquet", "a,b\n1,2\n", r"text\.parquet is not a Parquet file"),
        ("text.gz", "a,b\n1,2\n", r"text\.gz is not a TFRecord file"),
    ],
)
def test_bad_data_is_refused_in_one_sentence_and_leaves_no_half_shard(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file_format = {".csv": "csv", ".parquet": "parquet", ".gz": "tfrecord"}[file.suffix]
    with pytest.raises(ConversionError, match=f"^.*{message}[^\n]*\\.$"):
        convert_here([file], file_format, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*"))


def test_files_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.csv").write_text("b,a\n1,2\n")
    with pytest.raises(ConversionError, match=r"b\.csv has other columns than .*a\.csv"):
        convert_here(tmp_path.glob("*.csv"), "csv", tmp_path / "out")


def test_many_small_files_become_few_with_the_examples_in_the_same_order(tmp_path: Path) -> None:
    rows = [f"{number},{number / 7},t{number % 5}\n" for number in range(60)]
    (tmp_path / "one.csv").write_text("a,b,c\n" + "".join(rows))
    small = [tmp_path / f"{number:02}.csv" for number in range(30)]
    for number, file in enumerate(small):
        file.write_text("a,b,c\n" + "".join(rows[2 * number : 2 * number + 2]))
    whole = convert_here([tmp_path / "one.csv"], "csv", tmp_path / "whole")
    assert convert_here(small, "csv", tmp_path / "many") == whole and sum(map(len, whole.values())) == 60
    for split in SPLITS:
        assert [file.name for file in (tmp_path / "many" / f"Split-{split}").iterdir()] == [
            "data_tfrecord-00000-00000.gz"
        ]


def test_two_processes_of_beam_write_the_same_and_their_error_is_one_sentence(tmp_path: Path) -> None:
    rows = [f"{i},{i / 7},name {i % 5}\n" for i in range(200)]
    for part in range(4):
        (tmp_path / f"{part}.csv").write_text("a,b,c\n" + "".join(rows[part * 50 : part * 50 + 50]))
    files = sorted(tmp_path.glob("*.csv"))
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    here = convert_here(files, "csv", tmp_path / "here")
    assert convert_here(files, "csv", tmp_path / "there", options=options, processes=None) == here
    files[2].write_text("a,b,c\n1,2\n")
    with pytest.raises(
        ConversionError, match=r"2\.csv, line 2 has 2 cells where the header has 3: [^\n]*\.$"
    ):
        convert_here(files, "csv", tmp_path / "bad", options=options, processes=None)
