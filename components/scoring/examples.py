"""Rows of a table that comes as tf.Examples, as columns."""

from collections.abc import Collection, Sequence

import pyarrow as pa

from components.example_gen.arrow_columns import first_values
from components.example_gen.source_format import ConversionError


def decode_rows(
    file: str, rows: Sequence[bytes], names: Collection[str], lists: Collection[str]
) -> dict[str, pa.Array]:
    """Columns of serialized tf.Examples.

    Args:
      file: Of the rows, for errors.
      rows: The examples.
      names: Of the columns; those that no row has hold nothing.
      lists: The columns of which all values are read; of others the first, as a model does.

    Returns:
      By name pa.int64(), pa.float64(), pa.binary() or lists of these, or pa.null() for nothing; equally long.

    Raises:
      ConversionError: If a column has values of several types.
    """
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    try:
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(rows))
    except (RuntimeError, ValueError) as error:
        raise ConversionError(f"{file} has records that do not go together: {error}.") from error
    columns = dict(zip(batch.schema.names, batch.columns))
    return {
        name: _plain(columns[name], name in lists) if name in columns else pa.nulls(len(rows))
        for name in names
    }


def _plain(column: pa.Array, is_list: bool) -> pa.Array:
    """A column of the decoder's, which are lists of pa.int64(), pa.float32() or pa.large_binary(), or pa.null()."""
    if pa.types.is_null(column.type):
        return column
    kinds = {pa.float32(): pa.float64(), pa.large_binary(): pa.binary()}
    kind = kinds.get(column.type.value_type, column.type.value_type)
    return column.cast(pa.list_(kind)) if is_list else first_values(column).cast(kind)
