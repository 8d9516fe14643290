"""How many rows a second become tf.Examples?

150,000 rows, through Beam's in-memory runner, the executor alone (imports not counted). TFX's own side
is CsvExampleGen for every row of the table; its Parquet executor is timed too.
"""

import hashlib
import time
from pathlib import Path

from benchmarks.end_to_end import taxi_directory
from benchmarks.measurement import OURS, PEER, Question, Row
from benchmarks.synthetic_taxi import write_table

TIMES = 10
QUESTION = Question(
    "reading",
    ("csv", "parquet"),
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
    """Rows per second; `same` compares with what the other side's last sample wrote."""
    (file,) = taxi_directory().glob("*.csv")
    source = write_table(file, work / f"taxi-{TIMES}x-{case}", TIMES, parquet=case == "parquet")
    output = work / "reading" / f"{case}-{side}-{number}"
    seconds = convert(source, case, side, output)
    digests = {split: digest_split(output / f"Split-{split}") for split in ("train", "eval")}
    rows = sum(len(found) for found in digests.values())
    values = {"rows_per_second": rows / seconds, "rows": rows}
    other = work / "reading" / f"{case}-{PEER}-{number}"
    if side == OURS and case == "csv" and other.is_dir():
        same = sum(len(found & digest_split(other / f"Split-{split}")) for split, found in digests.items())
        values["same"] = same / rows
    return values


def convert(source: Path, file_format: str, side: str, output: Path) -> float:
    """Seconds that a side's executor takes."""
    import shutil

    from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
    from tfx.components.example_gen.csv_example_gen.executor import Executor as CsvExecutor
    from tfx.components.example_gen.custom_executors.parquet_executor import Executor as ParquetExecutor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_artifacts
    from tfx.types import standard_component_specs as specs
    from tfx.utils import proto_utils

    from components.example_gen import ColumnarExampleGen, Executor

    shutil.rmtree(output, ignore_errors=True)
    shares = {"train": 2, "eval": 1}
    if side == OURS:
        component = ColumnarExampleGen(str(source), file_format, f"*.{file_format}", shares, "")
        executor_class = Executor
    else:
        split = example_gen_pb2.SplitConfig.Split
        component = CsvExampleGen(
            str(source),
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="all", pattern=f"*.{file_format}")]
            ),
            output_config=example_gen_pb2.Output(
                split_config=example_gen_pb2.SplitConfig(
                    splits=[split(name=name, hash_buckets=share) for name, share in shares.items()]
                )
            ),
        )
        executor_class = CsvExecutor if file_format == "csv" else ParquetExecutor
    properties = dict(component.exec_properties)
    for name, value in properties.items():
        if hasattr(value, "DESCRIPTOR"):
            properties[name] = proto_utils.proto_to_json(value)
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=[
            "--runner=DirectRunner",
            "--direct_running_mode=in_memory",
            "--sdk_container_image=unused",
        ],
        extra_flags=[],
        tmp_dir=str(output.with_suffix(".tmp")),
        unique_id="1",
    )
    artifact = standard_artifacts.Examples()
    artifact.uri = str(output)
    executor = executor_class(context)
    started = time.monotonic()
    executor.Do({}, {specs.EXAMPLES_KEY: [artifact]}, properties)
    return time.monotonic() - started


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
