"""What the first records of a TFRecord file hold, read without TensorFlow, which takes seconds to import.

A record is its length (8 bytes, little endian), 4 bytes of checksum, the record, and 4 more bytes
(tensorflow/core/lib/io/record_writer.h). Of a tf.Example only the names of its features are read, by protobuf's
wire format: https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterator

from components.example_gen.reading.compression import open_decompressed
from components.example_gen.reading.dialect import Dialect
from components.example_gen.source_format import ConversionError

_RECORDS, _BYTES = 300, 16 << 20
"""How much of a file is looked at."""


def first_names(file: str, dialect: Dialect) -> list[str]:
    """The features that the first records name, in order of appearance.

    Raises:
      ConversionError: If the file is none of tf.Examples.
    """
    names: dict[str, None] = {}
    number = 0
    with open_decompressed(file, dialect) as stream:
        while number < _RECORDS and (frame := stream.read(12)):
            number += 1
            size = struct.unpack("<Q", frame[:8])[0] if len(frame) == 12 else _BYTES + 1
            record = stream.read(size + 4) if size <= _BYTES else b""
            if len(record) < size + 4:
                # A large first record, or a damaged file: the conversion tells which.
                break
            try:
                for features in _fields(record[:size], 1):
                    for entry in _fields(features, 1):
                        names |= dict.fromkeys(key.decode() for key in _fields(entry, 1))
            except (IndexError, ValueError) as error:
                raise ConversionError(f"{file}, record {number} is not a tf.Example.") from error
    return list(names)


def _fields(message: bytes, number: int) -> Iterator[bytes]:
    """The values of a message's length-delimited field."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        wire = tag & 7
        if wire == 2:
            size, place = _varint(message, place)
            if place + size > len(message):
                raise ValueError("cut short")
            if tag >> 3 == number:
                yield message[place : place + size]
            place += size
        elif wire == 0:
            _, place = _varint(message, place)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        else:
            raise ValueError("no such wire type")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
