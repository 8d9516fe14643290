"""Files of tf.Examples in large batches, as steps read them that take whole files."""

import tensorflow as tf
from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

_ROWS, _BYTES, _LOOKED_AT = 8192, 16 << 20, 256


def files_of(examples: types.Artifact, split: str) -> list[str]:
    """The files of a split, sorted."""
    found: list[str] = fileio.glob(f"{artifact_utils.get_split_uri([examples], split)}/*")
    return sorted(found)


def read_batches(path: str) -> tf.data.Dataset:
    """Serialized examples of a file in order, string [rows].

    A batch is 8,192 rows, or as many as are 16 MiB if rows are as long as the file's first 256 are in the mean.
    """
    records = tf.data.TFRecordDataset(path, "GZIP" if path.endswith(".gz") else "")
    first = [len(record) for record in records.take(_LOOKED_AT).as_numpy_iterator()]
    row = max(1, sum(first) // max(1, len(first)))
    return records.batch(max(1, min(_ROWS, _BYTES // row)))
