"""Columns that Arrow has read with types, as the values that examples hold."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.reading.dialect import Dialect, Reading
from components.example_gen.source_format import ConversionError

ARROW_TYPES = {
    ColumnType.UNKNOWN: pa.null(),
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.BYTES: pa.binary(),
}
"""What the values of a column become."""

_READABLE = {
    ColumnType.UNKNOWN: (pa.types.is_null,),
    ColumnType.INT: (pa.types.is_boolean, pa.types.is_integer),
    ColumnType.FLOAT: (pa.types.is_floating,),
    ColumnType.BYTES: (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
    ),
}  # fmt: skip
_EXACT = 2**53
"""The greatest whole number up to which a float64 holds each."""


def infer_schema(file: str, schema: pa.Schema, reading: Reading = Reading()) -> ColumnTypes:
    """Types of the columns that are wanted; that of a list is its values'.

    Raises:
      ConversionError: If an example cannot hold one of them, or two have one name.
    """
    wanted = [field for field in schema if reading.wants(field.name)]
    for field in wanted:
        if len(schema.get_all_field_indices(field.name)) > 1:
            raise ConversionError(f"{file} has the column '{field.name}' twice: rename one of them.")
    return {field.name: _infer_field(file, field, reading) for field in wanted}


def whole_columns(columns: Mapping[str, Sequence[pa.Array]], exact: Collection[str]) -> ColumnTypes:
    """`ColumnType.WHOLE` for each of the `exact` columns whose decimals are all whole, given its parts."""
    return {
        name: ColumnType.WHOLE
        for name, parts in columns.items()
        if name in exact and all(is_whole(_values(part)) for part in parts)
    }


def is_whole(column: pa.Array) -> bool:
    """Whether all numbers of a float column are whole, and small enough to be told from their neighbours."""
    values = _without_nan(column)
    return bool(
        pc.all(
            pc.and_(pc.equal(pc.floor(values), values), pc.less_equal(pc.abs(values), float(_EXACT))),
            min_count=0,
        ).as_py()
    )


def to_whole(value: float) -> int | None:
    """The whole number that `is_whole` has found; None for NaN."""
    return None if value != value else int(value)


def cast_columns(
    file: str, batch: pa.RecordBatch, types: Mapping[str, ColumnType], dialect: Dialect = Dialect()
) -> dict[str, pa.Array]:
    """A batch's columns that are in `types`, each of its type there.

    Raises:
      ConversionError: If a number is beyond int64.
    """
    columns = {}
    for field, column in zip(batch.schema, batch.columns):
        if field.name not in types:
            continue
        try:
            columns[field.name] = _cast(column, types[field.name], dialect)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConversionError(
                f"{file}: column '{field.name}' cannot become {types[field.name].name}: {error}."
            ) from error
    return columns


def first_text(column: pa.Array, dialect: Dialect = Dialect()) -> tuple[int, str] | None:
    """The place and the text of the first value of a column of texts; None where all are missing."""
    present = _cast(column, ColumnType.BYTES, dialect)
    lengths = pc.list_value_length(present) if is_list(present.type) else pc.binary_length(present)
    place = pc.index(pc.greater(lengths.fill_null(0), 0), True).as_py()
    if place < 0:
        return None
    value = present[place].as_py()
    text = (value[0] or b"") if isinstance(value, list) else value
    return place, text.decode(errors="replace")


def is_list(arrow: pa.DataType) -> bool:
    """Whether a value of the type is several."""
    return pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow)


def _infer_field(file: str, field: pa.Field, reading: Reading) -> ColumnType:
    arrow = field.type.value_type if is_list(field.type) else field.type
    if pa.types.is_dictionary(arrow):
        arrow = arrow.value_type
    if field.name in reading.times and _is_time(arrow):
        return ColumnType.BYTES
    for kind, predicates in _READABLE.items():
        if any(is_kind(arrow) for is_kind in predicates):
            return kind
    named_by = (reading.columns or {}).get(field.name)
    raise ConversionError(
        f"{file}: column '{field.name}'{f', which {named_by},' if named_by else ''} is of type {field.type}, which "
        "an example cannot hold: write it as a number or a text."
    )


def _cast(column: pa.Array, kind: ColumnType, dialect: Dialect) -> pa.Array:
    if is_list(column.type):
        values, lengths = _flatten(column)
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        offsets = pa.array(ends, mask=np.append(~column.is_valid().to_numpy(zero_copy_only=False), False))
        return pa.ListArray.from_arrays(offsets, _cast(values, kind, dialect))
    column = _decode(column)
    if kind == ColumnType.BYTES:
        if not pa.types.is_binary(column.type):
            # A number where another file or the schema has text: its decimal spelling.
            column = _clean(column.cast(pa.string()), dialect)
    elif kind == ColumnType.INT and pa.types.is_floating(column.type):
        column = _without_nan(column)
    return column.cast(ARROW_TYPES[kind])


def _clean(column: pa.Array, dialect: Dialect) -> pa.Array:
    if dialect.strip:
        column = pc.utf8_trim_whitespace(column)
    if dialect.null_values:
        is_missing = pc.is_in(column, value_set=pa.array(dialect.null_values, pa.string()))
        column = pc.if_else(is_missing, pa.scalar(None, pa.string()), column)
    return column


def _values(column: pa.Array) -> pa.Array:
    """The numbers of a column, of whatever shape, as float64."""
    values = _flatten(column)[0] if is_list(column.type) else column
    return _decode(values).cast(pa.float64())


def _decode(column: pa.Array) -> pa.Array:
    """Without a dictionary, without half floats, which Arrow casts to nothing, and with times as texts."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_float16(column.type):
        # One by one, as so few have them.
        halves = [None if value is None else float(value) for value in column.to_pylist()]
        return pa.array(halves, pa.float64())
    return _to_iso(column) if _is_time(column.type) else column


def _is_time(arrow: pa.DataType) -> bool:
    return pa.types.is_timestamp(arrow) or pa.types.is_date(arrow)


def _to_iso(column: pa.Array) -> pa.Array:
    """Dates as 2026-01-31, timestamps as 2026-01-31T12:00:00 and the fraction, in UTC where they have a zone."""
    unit = "D" if pa.types.is_date(column.type) else column.type.unit
    if unit == "D":
        numbers = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    else:
        numbers = column.cast(pa.int64())
    present = numbers.drop_null().to_numpy(zero_copy_only=False)
    texts = np.full(len(column), None, object)
    texts[column.is_valid().to_numpy(zero_copy_only=False)] = np.datetime_as_string(
        present.astype(f"datetime64[{unit}]")
    )
    # One spelling of a time, whatever the unit of the file.
    spelled = pc.replace_substring_regex(pa.array(texts, pa.string()), r"(\.\d*[1-9])0+$", r"\1")
    return pc.replace_substring_regex(spelled, r"\.0+$", "")


def _flatten(column: pa.Array) -> tuple[pa.Array, Any]:
    """The values of all lists, and int64: how many each has, 0 for one that is null."""
    present = column.is_valid()
    if pa.types.is_fixed_size_list(column.type):
        lengths = present.to_numpy(zero_copy_only=False).astype(np.int64) * column.type.list_size
    else:
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return column.filter(present).flatten(), lengths


def _without_nan(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def first_values(column: pa.Array) -> pa.Array:
    """The first value of each list of a column; null where there is none."""
    values, lengths = _flatten(column)
    return values.take(pa.array(np.cumsum(lengths) - lengths, mask=lengths == 0))


def decode_examples(rows: Sequence[bytes]) -> dict[str, pa.Array]:
    """The first value of each feature of serialized tf.Examples, by name; null where a row has none."""
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(rows))
    columns = {}
    for field, column in zip(batch.schema, batch.columns):
        if pa.types.is_null(column.type):
            columns[field.name] = pa.nulls(len(column))
            continue
        taken = first_values(column)
        kind = pa.binary() if pa.types.is_large_binary(taken.type) else taken.type
        columns[field.name] = taken.cast(pa.float64() if pa.types.is_float32(kind) else kind)
    return columns
