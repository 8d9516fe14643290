"""Files of tf.Examples in large batches, as steps read them that take whole files."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

_SERIALIZED = tf.TensorSpec([None], tf.string)
_MAPPED_BYTES = 4 << 20
"""Of a batch in `map_batches`: parsed, a table of 500 columns takes ten times that."""
_AHEAD = 1
"""Batches that are being made while another is in use."""
_ROWS, _BYTES, _LOOKED_AT, _FEWEST = 8192, 16 << 20, 256, 256
_GROUPS = 32


def files_of(examples: types.Artifact, split: str) -> list[str]:
    """The files of a split, sorted."""
    found: list[str] = fileio.glob(f"{artifact_utils.get_split_uri([examples], split)}/*")
    return sorted(found)


def bytes_of(files: Iterable[str]) -> int:
    """How many bytes the files have together, as they are on the disk."""
    return sum(tf.io.gfile.stat(path).length for path in files)


def group_files(files: Sequence[str]) -> list[Sequence[str]]:
    """Groups that are worked on apart: 32, or one for each file of fewer.

    The groups do not depend on how many processes work, so that neither do sums and sketches of theirs.
    """
    count = min(_GROUPS, len(files))
    return [files[number::count] for number in range(count)]


def read_batches(path: str, most_bytes: int = _BYTES) -> tf.data.Dataset:
    """Serialized examples of a file in order, string [rows].

    A batch is 8,192 rows, or as many as are `most_bytes`, if rows are as long as the file's first 256 are in the mean;
    but then 256, or as many as are 16 MiB.
    """
    compression = _compression(path)
    return tf.data.TFRecordDataset(path, compression).batch(_rows_of_batch(path, compression, most_bytes))


def read_all_batches(files: Sequence[str]) -> tf.data.Dataset:
    """The same of files that are alike, several at a time.

    Batches are made within a file: when records went one by one through the interleave, counting the labels of 1.5 M
    rows took a third of a run.
    """
    if not files:
        return tf.data.Dataset.from_tensor_slices(tf.zeros([0, 0], tf.string))
    compression = _compression(files[0])
    rows = _rows_of_batch(files[0], compression, _BYTES)
    return tf.data.Dataset.from_tensor_slices(list(files)).interleave(
        lambda path: tf.data.TFRecordDataset(path, compression).batch(rows),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def trace(function: Callable[[tf.Tensor], Any]) -> Any:
    """A function of a batch of `read_batches`, traced, for `map_batches`."""
    return tf.function(function, input_signature=[_SERIALIZED], autograph=False).get_concrete_function()


def specs_of(traced: Any) -> dict[str, tf.TypeSpec]:
    """Of what a traced function gives, by name."""
    specs: dict[str, tf.TypeSpec] = tf.nest.map_structure(tf.type_spec_from_value, traced.structured_outputs)
    return specs


def map_batches(path: str, traced: Callable[[tf.Tensor], Any]) -> Iterator[Any]:
    """What a traced function makes of a file's batches, in their order; some are made ahead.

    tf.data's own `map` optimises the function again for each file: of 500 columns that took longer than the rows.
    """
    with ThreadPoolExecutor(_AHEAD) as threads:
        waiting: deque[Future[Any]] = deque()
        for batch in read_batches(path, _MAPPED_BYTES).prefetch(1):
            waiting.append(threads.submit(traced, batch))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _compression(path: str) -> str:
    return "GZIP" if path.endswith(".gz") else ""


def _rows_of_batch(path: str, compression: str, most_bytes: int) -> int:
    # One batch: record by record it took 80 ms a file.
    for first in tf.data.TFRecordDataset(path, compression).batch(_LOOKED_AT).take(1):
        row = max(1, int(tf.reduce_mean(tf.strings.length(first))))
        # A batch has a cost for each column: with fewer rows the wider the table, the work would grow with the square.
        fewest = min(_FEWEST, _BYTES // row)
        return max(1, min(_ROWS, max(fewest, most_bytes // row)))
    return _ROWS
