"""How many rows a second become tf.Examples?

150,000 rows, through Beam's in-memory runner, from files to splits (imports not counted). TFX's side is
CsvExampleGen's executor, and its Parquet executor. The wide table has 200 columns, of which a dataset names ten:
TFX reads all of them, this pipeline those ten.
"""

import hashlib
import shutil
import time
from importlib import import_module
from pathlib import Path

from benchmarks.end_to_end import taxi_directory
from benchmarks.measurement import OURS, PEER, Question, Row
from benchmarks.synthetic_taxi import write_table

TIMES = 10
SPLITS = {"train": 2, "eval": 1}
BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--sdk_container_image=unused"]
QUESTION = Question(
    "reading",
    ("csv", "parquet", "wide"),
    (
        Row("reading CSV, 150 k rows", "csv", "rows_per_second", "rows/s", 5.0, more_is_better=True),
        Row(
            "reading Parquet, 150 k rows, against TFX's Parquet executor",
            "parquet",
            "rows_per_second",
            "rows/s",
            5.0,
            more_is_better=True,
        ),
        Row(
            "reading Parquet, 10 of 200 columns named, 10 k rows",
            "wide",
            "rows_per_second",
            "rows/s",
            5.0,
            more_is_better=True,
        ),
        Row(
            "share of examples with the same bytes and split, CSV",
            "csv",
            "same",
            "",
            1.0,
            more_is_better=True,
            absolute=True,
        ),
    ),
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Rows per second; `same` compares with what the other side wrote in the same round."""
    if case == "wide":
        source = write_wide_table(work / "wide")
    else:
        (file,) = taxi_directory().glob("*.csv")
        source = write_table(file, work / f"taxi-{TIMES}x-{case}", TIMES, parquet=case == "parquet")
    output = work / "reading" / f"{case}-{side}-{number}"
    seconds = convert(source, case, side, output)
    import tensorflow as tf

    records = tf.data.TFRecordDataset([str(file) for file in output.glob("Split-*/*.gz")], "GZIP")
    rows = sum(len(batch) for batch in records.batch(10_000).as_numpy_iterator())
    values = {"rows_per_second": rows / seconds, "rows": rows}
    other = work / "reading" / f"{case}-{PEER}-{number}"
    # The first round alone: reading examples one by one takes longer than what is measured.
    if side == OURS and case == "csv" and number == 0 and other.is_dir():
        same = sum(
            len(digest_split(output / f"Split-{split}") & digest_split(other / f"Split-{split}"))
            for split in SPLITS
        )
        values["same"] = same / rows
    return values


def write_wide_table(directory: Path) -> Path:
    """A Parquet table of 200 columns of decimals; returns its folder."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not directory.is_dir():
        directory.mkdir(parents=True)
        numbers = np.random.default_rng(1).normal(size=(200, 10_000))
        columns = {f"column {number}": numbers[number] for number in range(200)}
        pq.write_table(pa.table(columns), directory / "wide.parquet")
    return directory


def convert(source: Path, case: str, side: str, output: Path) -> float:
    """Seconds that a side takes under Beam's DirectRunner, from files to splits."""
    shutil.rmtree(output, ignore_errors=True)
    convert_side = convert_ours if side == OURS else convert_by_tfx
    import_module("components.example_gen.columnar_examples" if side == OURS else "tfx.components")
    started = time.monotonic()
    convert_side(source, case, output)
    return time.monotonic() - started


def convert_ours(source: Path, case: str, output: Path) -> None:
    """What this pipeline's ExampleGen does."""
    import apache_beam as beam

    from components.example_gen.columnar_examples import convert
    from components.example_gen.reading.dialect import Reading

    file_format = format_of(case)
    named = (
        {f"column {number}": "[features] names" for number in range(0, 200, 20)} if case == "wide" else None
    )
    files = [str(file) for file in source.glob(f"*.{file_format}")]
    with beam.Pipeline(argv=BEAM) as pipeline:
        convert(pipeline, files, file_format, str(output), SPLITS, reading=Reading(columns=named))


def format_of(case: str) -> str:
    """The format of a case's files."""
    return "csv" if case == "csv" else "parquet"


def convert_by_tfx(source: Path, case: str, output: Path) -> None:
    """What CsvExampleGen, or a FileBasedExampleGen with TFX's Parquet executor, does."""
    from tfx.components.example_gen.csv_example_gen.executor import Executor as CsvExecutor
    from tfx.components.example_gen.custom_executors.parquet_executor import Executor as ParquetExecutor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_artifacts
    from tfx.types import standard_component_specs as specs
    from tfx.utils import proto_utils

    file_format = format_of(case)
    shares = [example_gen_pb2.SplitConfig.Split(name=k, hash_buckets=v) for k, v in SPLITS.items()]
    properties = {
        specs.INPUT_BASE_KEY: str(source),
        specs.INPUT_CONFIG_KEY: proto_utils.proto_to_json(
            example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="all", pattern=f"*.{file_format}")]
            )
        ),
        specs.OUTPUT_CONFIG_KEY: proto_utils.proto_to_json(
            example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=shares))
        ),
        specs.OUTPUT_DATA_FORMAT_KEY: example_gen_pb2.FORMAT_TF_EXAMPLE,
    }
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=BEAM, extra_flags=[], tmp_dir=str(output.with_suffix(".tmp")), unique_id="1"
    )
    artifact = standard_artifacts.Examples()
    artifact.uri = str(output)
    executor_class = CsvExecutor if file_format == "csv" else ParquetExecutor
    executor_class(context).Do({}, {specs.EXAMPLES_KEY: [artifact]}, properties)


def digest_split(directory: Path) -> set[bytes]:
    """Digests of a split's examples, their keys sorted; equal rows are numbered."""
    import tensorflow as tf

    counts: dict[bytes, int] = {}
    digests = set()
    files = sorted(str(file) for file in directory.iterdir())
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        row = tf.train.Example.FromString(record).SerializeToString(deterministic=True)
        counts[row] = counts.get(row, 0) + 1
        digests.add(hashlib.sha1(row + str(counts[row]).encode()).digest())
    return digests
