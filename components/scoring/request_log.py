"""Predicted rows in the form in which the data gate reads the requests of a server.

They are what a model is asked in production, as far as batches go: the gate then says when the data that it learns
from has become another (`components.data_gate.serving_logs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.example_gen.encoding import encode_rows
from foundation.replacing import reveal


@dataclass(frozen=True)
class RequestLog:
    """Where rows go, and how many of them.

    Attributes:
      directory: ``[drift] serving_logs``.
      share: Of the rows, above 0 and up to 1.
      name: Tells this prediction's files from those of others.
    """

    directory: str
    share: float
    name: str

    def choose(self, chance: np.random.Generator, rows: int) -> pa.Array:
        """Which of the next rows are written, pa.bool_()."""
        return pa.array(chance.random(rows) < self.share)

    def write(self, block: str, parts: Sequence[Mapping[str, pa.Array]]) -> None:
        """Writes the rows of a block, all or none, as one gzip file of tf.Examples; no file for no rows.

        Args:
          block: Its name.
          parts: Their columns, as `encode_rows` takes them.
        """
        examples = [encode_rows(part, typed_when_missing=False) for part in parts]
        if not any(map(len, examples)):
            return
        path = Path(self.directory, f"scored-{self.name}-{block}.tfrecord.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        # No name that the gate reads, until it is whole.
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            with tf.io.TFRecordWriter(
                str(unfinished), tf.io.TFRecordOptions("GZIP", compression_level=1)
            ) as writer:
                for part in examples:
                    for example in part.to_pylist():
                        writer.write(example)
            reveal(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
