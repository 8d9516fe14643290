"""FarmHash's Fingerprint64 (Pike and Alakuijala, github.com/google/farmhash); standard library only.

TensorFlow's `to_hash_bucket_fast` is this of a text's UTF-8 bytes, or of an integer's decimal text.
"""

import struct

_MASK = 2**64 - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def fingerprint64(data: bytes) -> int:
    """FarmHash's Fingerprint64, in [0, 2**64)."""
    size = len(data)
    if size <= 16:
        return _up_to_16(data, size)
    if size <= 32:
        return _up_to_32(data, size)
    if size <= 64:
        return _up_to_64(data, size)
    return _longer(data, size)


def _fetch(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<Q", data, at)[0])


def _rotate(value: int, by: int) -> int:
    return ((value >> by) | (value << (64 - by))) & _MASK


def _shift_mix(value: int) -> int:
    return value ^ (value >> 47)


def _mix(u: int, v: int, factor: int) -> int:
    a = _shift_mix(((u ^ v) * factor) & _MASK)
    b = _shift_mix(((v ^ a) * factor) & _MASK)
    return (b * factor) & _MASK


def _sum(a: int, b: int, c: int, d: int) -> int:
    return (_rotate((a + b) & _MASK, 43) + _rotate(c, 30) + d) & _MASK


def _other_sum(a: int, b: int, c: int, added: int) -> int:
    return (a + _rotate((b + added) & _MASK, 18) + c) & _MASK


def _up_to_16(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    if size >= 8:
        a, b = (_fetch(data, 0) + _K2) & _MASK, _fetch(data, size - 8)
        c = (_rotate(b, 37) * factor + a) & _MASK
        d = ((_rotate(a, 25) + b) * factor) & _MASK
        return _mix(c, d, factor)
    if size >= 4:
        first, last = struct.unpack_from("<I", data, 0)[0], struct.unpack_from("<I", data, size - 4)[0]
        return _mix((size + (first << 3)) & _MASK, last, factor)
    if size > 0:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[size - 1] << 2)
        return (_shift_mix((y * _K2 ^ z * _K0) & _MASK) * _K2) & _MASK
    return _K2


def _up_to_32(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    a, b = (_fetch(data, 0) * _K1) & _MASK, _fetch(data, 8)
    c, d = (_fetch(data, size - 8) * factor) & _MASK, (_fetch(data, size - 16) * _K2) & _MASK
    return _mix(_sum(a, b, c, d), _other_sum(a, b, c, _K2), factor)


def _up_to_64(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    a, b = (_fetch(data, 0) * _K2) & _MASK, _fetch(data, 8)
    c, d = (_fetch(data, size - 8) * factor) & _MASK, (_fetch(data, size - 16) * _K2) & _MASK
    y = _sum(a, b, c, d)
    z = _mix(y, _other_sum(a, b, c, _K2), factor)
    e, f = (_fetch(data, 16) * factor) & _MASK, _fetch(data, 24)
    g = ((y + _fetch(data, size - 32)) * factor) & _MASK
    h = ((z + _fetch(data, size - 24)) * factor) & _MASK
    return _mix(_sum(e, f, g, h), _other_sum(e, f, g, a), factor)


def _longer(data: bytes, size: int) -> int:
    x, y = 81, (81 * _K1 + 113) & _MASK
    z = (_shift_mix((y * _K2 + 113) & _MASK) * _K2) & _MASK
    v, w = (0, 0), (0, 0)
    x = (x * _K2 + _fetch(data, 0)) & _MASK
    end = (size - 1) // 64 * 64
    for at in range(0, end, 64):
        x, y, z, v, w = _round(data, at, (x, y, z), v, w, _K1, 1)
    factor = (_K1 + ((z & 0xFF) << 1)) & _MASK
    w = ((w[0] + ((size - 1) & 63)) & _MASK, w[1])
    v = ((v[0] + w[0]) & _MASK, v[1])
    w = ((w[0] + v[0]) & _MASK, w[1])
    x, y, z, v, w = _round(data, size - 64, (x, y, z), v, w, factor, 9)
    return _mix(
        (_mix(v[0], w[0], factor) + _shift_mix(y) * _K0 + z) & _MASK,
        (_mix(v[1], w[1], factor) + x) & _MASK,
        factor,
    )


_Pair = tuple[int, int]


def _round(
    data: bytes, at: int, state: tuple[int, int, int], v: _Pair, w: _Pair, factor: int, weight: int
) -> tuple[int, int, int, _Pair, _Pair]:
    """64 bytes from `at`; returns x, y, z, v, w, with x and z already exchanged."""
    x, y, z = state
    x = (_rotate((x + y + v[0] + _fetch(data, at + 8)) & _MASK, 37) * factor) & _MASK
    y = (_rotate((y + v[1] + _fetch(data, at + 48)) & _MASK, 42) * factor) & _MASK
    x ^= (w[1] * weight) & _MASK
    y = (y + v[0] * weight + _fetch(data, at + 40)) & _MASK
    z = (_rotate((z + w[0]) & _MASK, 33) * factor) & _MASK
    v = _weak(data, at, (v[1] * factor) & _MASK, (x + w[0]) & _MASK)
    w = _weak(data, at + 32, (z + w[1]) & _MASK, (y + _fetch(data, at + 16)) & _MASK)
    return z, y, x, v, w


def _weak(data: bytes, at: int, a: int, b: int) -> _Pair:
    first, second, third, fourth = struct.unpack_from("<QQQQ", data, at)
    a = (a + first) & _MASK
    b = _rotate((b + a + fourth) & _MASK, 21)
    c = a
    a = (a + second + third) & _MASK
    b = (b + _rotate(a, 44)) & _MASK
    return (a + fourth) & _MASK, (b + c) & _MASK
