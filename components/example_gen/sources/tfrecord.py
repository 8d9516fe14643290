"""TFRecord files of tf.Example, a file a block, passed through but for the features that nobody wants.

Each record is parsed and serialized anew with sorted keys, which the split by hash needs. It is the one
format whose rows pass through Python one by one, in C++ at each step: some ten microseconds a row.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.reading.compression import compression_of
from components.example_gen.source_format import Block, ConversionError, SourceFormat

_BATCH_ROWS = 10_000
_COMPRESSIONS = {"gzip": "GZIP", "none": ""}


class Format(SourceFormat):
    """See the module."""

    files = "*"
    keys = ("compression",)
    all_rows_have_all_columns = False

    def columns(self, file: Path) -> list[str] | None:
        """The features of the first records; None where there is none to look at.

        Raises:
          ConversionError: If a record is no tf.Example.
        """
        from components.example_gen.reading.tfrecords import first_names

        return first_names(str(file), self.reading.dialect) or None

    def find_blocks(self, file: str, file_number: int) -> Iterator[Block]:
        """The file itself."""
        yield Block(file, file_number, 0)

    def infer_types(self, block: Block) -> ColumnTypes:
        """None: each value of an example has a type of its own."""
        return {}

    def read_examples(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[list[bytes]]:
        """The file's examples.

        Raises:
          ConversionError: If the file is damaged, or holds something else.
        """
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        compression = compression_of(block.file, self.reading.dialect)
        if compression not in _COMPRESSIONS:
            raise ConversionError(
                f"{block.file} is compressed as {compression}: a TFRecord file may be gzip."
            )
        dataset = tf.data.TFRecordDataset(block.file, _COMPRESSIONS[compression])
        number = 0
        try:
            for batch in dataset.batch(_BATCH_ROWS).as_numpy_iterator():
                examples = []
                for record in batch.tolist():
                    number += 1
                    example = tf.train.Example.FromString(record)
                    features = example.features.feature
                    for name in [name for name in features if not self.reading.wants(name)]:
                        del features[name]
                    examples.append(example.SerializeToString(deterministic=True))
                yield examples
            if not number and compression == "none" and os.path.getsize(block.file):
                # TensorFlow takes what is shorter than a record's length for the end.
                raise _damaged(block.file, number)
        except DecodeError as error:
            raise ConversionError(f"{block.file}, record {number} is not a tf.Example.") from error
        except tf.errors.DataLossError as error:
            raise _damaged(block.file, number) from error


def _damaged(file: str, records: int) -> ConversionError:
    return ConversionError(f"{file} is not a TFRecord file, or is damaged after record {records}.")
