"""Table files to tf.Examples in splits, by columns instead of by rows.

TFX's ExampleGens hand each row through Python and Beam (0.3 to 0.55 ms a row). Here Beam hands out
blocks of some ten thousand rows, and a block is read, encoded and written whole, as the format says
(`components.example_gen.source_format`).
The examples are the same bytes and fall into the same splits as TFX's, in the order of the files; TFX
shuffles them, which the training does anyway. No worker holds more than a block.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components.example_gen.column_types import ColumnType, ColumnTypes, merge
from components.example_gen.source_format import Block, ConversionError, source_format

COLUMN_TYPES = "column_types.json"
"""File beside the splits: the type that each column was given, by name."""

# Level 6, the default, takes three times as long for files that are a tenth smaller.
_GZIP_LEVEL = 1

Counts = dict[str, int]


def convert(
    pipeline: beam.Pipeline,
    files: Sequence[str],
    file_format: str,
    destination: str,
    splits: Mapping[str, int],
    column_types: Mapping[str, ColumnType] | None = None,
) -> beam.PCollection:
    """Adds the conversion of `files` to a Beam pipeline.

    Args:
      pipeline: To which runner it goes is the caller's business.
      files: Of one table.
      file_format: A name in `components/example_gen/sources/`.
      destination: Gets ``Split-<name>/data_tfrecord-<file>-<block>.gz`` and `COLUMN_TYPES`.
      splits: Shares of the rows by split, by hash of the row: TFX's ``hash_buckets``.
      column_types: The narrowest types that columns may have, by name; see `components.example_gen.column_types`.

    Returns:
      One element: the rows by split.

    Raises:
      ConversionError: When the pipeline runs, in one sentence; Beam may wrap it, see `raise_conversion_error`.
    """
    files = sorted(files)
    source = source_format(file_format)
    source.check_files([Path(file) for file in files])
    blocks = (
        pipeline
        | "Files" >> beam.Create([(file, number) for number, file in enumerate(files)])
        | "FindBlocks" >> beam.FlatMapTuple(source.find_blocks)
        # Without it the runner would fuse the steps, and one worker convert all of a file.
        | "SpreadBlocks" >> beam.Reshuffle()
    )
    types = (
        blocks
        | "InferTypes" >> beam.Map(source.infer_types)
        | "MergeTypes" >> beam.CombineGlobally(merge)
        | "AtLeast" >> beam.Map(_at_least, dict(column_types or {}))
    )
    _ = types | "WriteTypes" >> beam.Map(_write_types, destination)
    return (
        blocks
        | "ConvertBlocks"
        >> beam.ParDo(_ConvertBlock(file_format, destination, dict(splits)), beam.pvalue.AsSingleton(types))
        | "CountRows" >> beam.CombineGlobally(_add)
        | "CheckRows" >> beam.Map(_check_counts, dict(splits))
    )


def raise_conversion_error(error: BaseException) -> None:
    """Raises a `ConversionError` without what Beam put around it; returns if `error` holds none.

    Beam hands on the type and appends the step's name, or, from another process, only a traceback's text.
    """
    marker = f"{ConversionError.__name__}: "
    for text in (f"{type(error).__name__}: {error}", str(error)):
        _, found, rest = text.rpartition(marker)
        if found:
            raise ConversionError(rest.split(" [while running")[0].splitlines()[0].strip())


def _at_least(found: ColumnTypes, narrowest: Mapping[str, ColumnType]) -> ColumnTypes:
    return merge([found, {name: kind for name, kind in narrowest.items() if name in found}])


def _write_types(merged: ColumnTypes, destination: str) -> None:
    temporary = f"{destination}/.{COLUMN_TYPES}"
    fileio.makedirs(destination)
    with fileio.open(temporary, "w") as stream:
        stream.write(json.dumps({name: kind.name for name, kind in sorted(merged.items())}, indent=1) + "\n")
    fileio.rename(temporary, f"{destination}/{COLUMN_TYPES}", overwrite=True)


class _ConvertBlock(beam.DoFn):
    """A block to a shard in each split; yields the rows by split."""

    def __init__(self, file_format: str, destination: str, splits: Mapping[str, int]) -> None:
        self._file_format = file_format
        self._destination = destination
        self._splits = splits

    def process(self, block: Block, column_types: ColumnTypes) -> Iterator[Counts]:
        """See the class."""
        names = list(self._splits)
        ends = np.cumsum(list(self._splits.values()))
        counts = dict.fromkeys(names, 0)
        with _Shards(self._destination, block.shard) as shards:
            for rows in source_format(self._file_format).read_examples(block, column_types):
                places = np.searchsorted(ends, hash_buckets(rows, int(ends[-1])), side="right")
                for place, row in zip(places.tolist(), rows):
                    shards.write(names[place], row)
                for place, count in enumerate(np.bincount(places, minlength=len(names)).tolist()):
                    counts[names[place]] += count
        logging.info("%s, block %d: %d rows", block.file, block.number, sum(counts.values()))
        yield counts


def hash_buckets(rows: Sequence[bytes], count: int) -> NDArray[np.int64]:
    """int64 [rows]: SHA-256 of each row, modulo `count`, as `base_example_gen_executor` splits rows.

    A digest is read as one number of 256 bits: four of 64, highest first.
    """
    digests = b"".join([hashlib.sha256(row).digest() for row in rows])
    words = (np.frombuffer(digests, ">u8").reshape(-1, 4) % np.uint64(count)).astype(np.int64)
    buckets = np.zeros(len(rows), np.int64)
    for column in range(4):
        buckets = (buckets * (2**64 % count) + words[:, column]) % count
    return buckets


class _Shards:
    """One file in each split, under a temporary name until all are whole.

    A block that is begun twice (Beam's retry, or a second attempt of the step) ends in the same files.
    """

    def __init__(self, destination: str, name: str) -> None:
        self._destination = destination
        self._name = name
        self._writers: dict[str, tf.io.TFRecordWriter] = {}
        self._options = tf.io.TFRecordOptions("GZIP", compression_level=_GZIP_LEVEL)

    def __enter__(self) -> "_Shards":
        return self

    def write(self, split: str, row: bytes) -> None:
        if split not in self._writers:
            fileio.makedirs(f"{self._destination}/Split-{split}")
            self._writers[split] = tf.io.TFRecordWriter(self._temporary(split), self._options)
        self._writers[split].write(row)

    def __exit__(self, error: Any, *rest: Any) -> None:
        for split, writer in self._writers.items():
            writer.close()
            if error is None:
                fileio.rename(
                    self._temporary(split), f"{self._destination}/Split-{split}/{self._name}", overwrite=True
                )
            else:
                fileio.remove(self._temporary(split))

    def _temporary(self, split: str) -> str:
        # Beside the splits: what lies in one is read as examples.
        return f"{self._destination}/.{split}-{self._name}"


def _add(parts: Iterable[Counts]) -> Counts:
    total: Counts = {}
    for part in parts:
        for split, count in part.items():
            total[split] = total.get(split, 0) + count
    return total


def _check_counts(counts: Counts, splits: Mapping[str, int]) -> Counts:
    if not any(counts.values()):
        raise ConversionError("The table has no rows: bring files that have some.")
    for split in splits:
        if not counts.get(split):
            raise ConversionError(
                f"The {split} split is empty: of {sum(counts.values())} rows none fell into it by hash; bring "
                "more rows, or change [splits]."
            )
    return counts
