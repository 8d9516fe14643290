"""Columns to serialized tf.Examples, without a Python object for any row.

A serialized tf.Example is its map entries one behind the other, and with the keys sorted (which is what
protobuf calls deterministic) an entry's bytes depend on its column and value alone. So each column is
turned into an array of entries with numpy, and Arrow joins the arrays. Wire format:
https://protobuf.dev/programming-guides/encoding; messages: tensorflow/core/example/feature.proto.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# A field's tag is (number << 3) | 2 for a length-delimited one, which all of them are.
_FIRST, _SECOND = b"\x0a", b"\x12"
_INT64_LIST, _FLOAT_LIST, _BYTES_LIST = b"\x1a", b"\x12", b"\x0a"
# The length of a varint is one more than the number of these that its value reaches.
_VARINT_STEPS = np.array([1 << (7 * size) for size in range(1, 10)], np.uint64)


def encode_rows(columns: Mapping[str, pa.Array], typed_when_missing: bool) -> pa.Array:
    """Serializes rows.

    Args:
      columns: By feature name, equally long: pa.int64(), pa.float64(), pa.binary(), pa.null(), or lists of
        these. Null and, for bytes, empty is missing; a list without values is, too.
      typed_when_missing: Whether a missing value is an empty list of the column's type (CsvExampleGen)
        or a feature without a kind (TFX's Parquet executor). A null column never has a kind.

    Returns:
      pa.binary(): the bytes of ``tf.train.Example.SerializeToString(deterministic=True)``.
    """
    if not any(map(len, columns.values())):
        return pa.array([], pa.binary())
    pieces: list[pa.Array] = []
    for name in sorted(columns, key=str.encode):
        pieces += _encode_column(name.encode(), columns[name], typed_when_missing)
    features = pc.binary_join_element_wise(*pieces, b"")
    prefixes = _prefixes(features, lambda size: _FIRST + _varint(size))
    return pc.binary_join_element_wise(prefixes, features, b"")


def _encode_column(name: bytes, column: pa.Array, typed_when_missing: bool) -> list[pa.Array]:
    """Arrays whose texts, joined row by row, are the map entries of the column."""

    def start(feature_size: int) -> bytes:
        """All of an entry before its feature."""
        key = _FIRST + _varint(len(name)) + name + _SECOND + _varint(feature_size)
        return _FIRST + _varint(len(key) + feature_size) + key

    def start_in(kind: bytes) -> Callable[[int], bytes]:
        """All of an entry before a value of a size in a list of its kind; of size 0, the entry of no value."""

        def start_of(size: int) -> bytes:
            if not size:
                return start(2) + kind + b"\x00" if typed_when_missing else start(0)
            value = _FIRST + _varint(size)
            listed = kind + _varint(len(value) + size) + value
            return start(len(listed) + size) + listed

        return start_of

    def start_of_texts(size: int) -> bytes:
        """All of an entry before several texts that take `size` bytes, each with its own start."""
        if not size:
            return start_in(_BYTES_LIST)(0)
        listed = _BYTES_LIST + _varint(size)
        return start(len(listed) + size) + listed

    if pa.types.is_null(column.type):
        return [pa.repeat(pa.scalar(start(0), pa.binary()), len(column))]
    if pa.types.is_binary(column.type):
        filled = column.fill_null(b"")
        return [_prefixes(filled, start_in(_BYTES_LIST)), filled]
    if pa.types.is_float64(column.type):
        with np.errstate(over="ignore"):  # beyond float32 is infinity, in protobuf too
            values = column.fill_null(0).to_numpy(zero_copy_only=False).astype("<f4")
        matrix = values.view(np.uint8).reshape(-1, 4)
        sizes = np.where(column.is_valid(), 4, 0)
        return [_scatter(sizes, lambda size, rows: matrix[rows, :size], start_in(_FLOAT_LIST))]
    if pa.types.is_int64(column.type):
        unsigned = column.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
        lengths = np.searchsorted(_VARINT_STEPS, unsigned, side="right") + 1
        sizes = np.where(column.is_valid(), lengths, 0)
        return [_scatter(sizes, lambda size, rows: _varints(unsigned[rows], size), start_in(_INT64_LIST))]
    values, offsets = _present_values(column)
    if not len(values):
        nothing = start(0) if pa.types.is_null(values.type) else start_in(_list_kind(values.type))(0)
        return [pa.repeat(pa.scalar(nothing, pa.binary()), len(column))]
    if pa.types.is_binary(values.type):
        each = _prefixes(values, lambda size: _FIRST + _varint(size))
        payloads = _regroup(pc.binary_join_element_wise(each, values, b""), offsets)
        return [_prefixes(payloads, start_of_texts), payloads]
    if pa.types.is_float64(values.type):
        with np.errstate(over="ignore"):
            flat = values.fill_null(np.nan).to_numpy(zero_copy_only=False).astype("<f4")
        payloads = _binary(flat.view(np.uint8), offsets * 4)
        return [_prefixes(payloads, start_in(_FLOAT_LIST)), payloads]
    data, places = _packed_varints(values.to_numpy(zero_copy_only=False).view(np.uint64))
    payloads = _binary(data, places[offsets])
    return [_prefixes(payloads, start_in(_INT64_LIST)), payloads]


def _list_kind(values: pa.DataType) -> bytes:
    if pa.types.is_int64(values):
        return _INT64_LIST
    return _FLOAT_LIST if pa.types.is_float64(values) else _BYTES_LIST


def _present_values(column: pa.Array) -> tuple[pa.Array, NDArray[Any]]:
    """The values of a column of lists one behind the other, and int64: where each row's begin, and the end.

    A value that is missing is left out of a list of texts or whole numbers; among decimals its place may
    count, as in a vector, and it stays, as null.
    """
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    values = column.flatten()
    if values.null_count and not pa.types.is_float64(values.type):
        rows = np.repeat(np.arange(len(column)), lengths)
        valid = values.is_valid().to_numpy(zero_copy_only=False)
        lengths = np.bincount(rows[valid], minlength=len(column))
        values = values.drop_null()
    return values, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _regroup(texts: pa.Array, offsets: NDArray[Any]) -> pa.Array:
    """pa.binary(): texts from `offsets[i]` to `offsets[i + 1]` joined."""
    places = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    return _binary(data, places[offsets].astype(np.int64))


def _binary(data: NDArray[Any], offsets: NDArray[Any]) -> pa.Array:
    """pa.binary() of the bytes between offsets."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def _scatter(
    sizes: NDArray[Any],
    bytes_of: Callable[[int, NDArray[Any]], NDArray[Any]],
    start_of: Callable[[int], bytes],
) -> pa.Array:
    """pa.binary(): start_of(size) and the value's bytes in each row, rows of one size at a time."""
    chunks, order = [], []
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        start = np.frombuffer(start_of(size), np.uint8)
        matrix = np.empty((len(rows), len(start) + size), np.uint8)
        matrix[:, : len(start)] = start
        if size:
            matrix[:, len(start) :] = bytes_of(size, rows)
        offsets = np.arange(len(rows) + 1, dtype=np.int32) * matrix.shape[1]
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(matrix)]
        chunks.append(pa.BinaryArray.from_buffers(pa.binary(), len(rows), buffers))
        order.append(rows)
    if len(chunks) == 1:
        return chunks[0]
    places = np.empty(len(sizes), np.int64)
    places[np.concatenate(order)] = np.arange(len(sizes))
    return pa.concat_arrays(chunks).take(pa.array(places))


def _varints(values: NDArray[Any], size: int) -> NDArray[Any]:
    """uint8 [rows, size]: seven bits a byte, lowest first, the top bit set but in the last."""
    shifts = np.arange(size, dtype=np.uint64) * np.uint64(7)
    groups = ((values[:, None] >> shifts) & np.uint64(0x7F)).astype(np.uint8)
    groups[:, :-1] |= 0x80
    return groups


def _packed_varints(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """uint8: all varints one behind the other; int64: where each begins, and the end."""
    lengths = np.ones(len(values), np.uint8)
    for step in _VARINT_STEPS[values.max(initial=0) >= _VARINT_STEPS]:
        lengths += values >= step
    places = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    data = np.empty(places[-1], np.uint8)
    starts, left = places[:-1], values
    for number in range(1, lengths.max(initial=0) + 1):
        # The number-th byte of each varint that has one.
        longer = lengths > number
        data[starts] = (left & np.uint64(0x7F)).astype(np.uint8) | (longer.view(np.uint8) << 7)
        starts, left, lengths = starts[longer] + 1, left[longer] >> np.uint64(7), lengths[longer]
    return data, places


def _prefixes(texts: pa.Array, prefix_of: Callable[[int], bytes]) -> pa.Array:
    """For each text what `prefix_of` gives for its length; called once for each length."""
    lengths = pc.binary_length(texts).dictionary_encode()
    prefixes = pa.array([prefix_of(size) for size in lengths.dictionary.to_pylist()], pa.binary())
    return prefixes.take(lengths.indices)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
