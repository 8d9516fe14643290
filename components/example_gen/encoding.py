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
import tensorflow as tf
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
        these. Null and, for bytes, empty is missing.
      typed_when_missing: Whether a missing value is an empty list of the column's type (CsvExampleGen)
        or a feature without a kind (TFX's Parquet executor). A null column never has a kind.

    Returns:
      pa.binary(): the bytes of ``tf.train.Example.SerializeToString(deterministic=True)``.
    """
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
    # Lists are rare and go value by value through protobuf itself.
    features = (_list_feature(column.type.value_type, value) for value in column.to_pylist())
    return [pa.array([start(len(feature)) + feature for feature in features], pa.binary())]


def _list_feature(kind: pa.DataType, values: list[float | int | bytes] | None) -> bytes:
    if not values:
        return b""
    if pa.types.is_int64(kind):
        feature = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    elif pa.types.is_float64(kind):
        feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    else:
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    return feature.SerializeToString(deterministic=True)


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
