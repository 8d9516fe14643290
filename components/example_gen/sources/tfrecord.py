"""TFRecord files of tf.Example, a file a block, passed through.

Each record is parsed and serialized anew with sorted keys, which the split by hash needs. It is the one
format whose rows pass through Python one by one, in C++ at each step: some ten microseconds a row.
"""

from collections.abc import Iterator, Mapping

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.source_format import Block, ConversionError, SourceFormat

_BATCH_ROWS = 10_000


class Format(SourceFormat):
    """See the module."""

    files = "*"

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

        compression = "GZIP" if block.file.endswith(".gz") else ""
        records = tf.data.TFRecordDataset(block.file, compression).batch(_BATCH_ROWS).as_numpy_iterator()
        number = 0
        try:
            for batch in records:
                examples = []
                for record in batch.tolist():
                    number += 1
                    examples.append(tf.train.Example.FromString(record).SerializeToString(deterministic=True))
                yield examples
        except DecodeError as error:
            raise ConversionError(f"{block.file}, record {number} is not a tf.Example.") from error
        except tf.errors.DataLossError as error:
            raise ConversionError(
                f"{block.file} is not a TFRecord file, or is damaged after record {number}."
            ) from error
