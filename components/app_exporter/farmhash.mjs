/**
 * FarmHash's Fingerprint64 (Pike and Alakuijala, github.com/google/farmhash); no dependencies.
 *
 * TensorFlow's `to_hash_bucket_fast` is this of a text's UTF-8 bytes, or of an integer's decimal text.
 */

const K0 = 0xc3a5c85c97cb3127n;
const K1 = 0xb492b66fbe98f273n;
const K2 = 0x9ae16a3b2f90404fn;

/** The bucket, of so many, that the text of a value falls into. */
export function hashBucket(value, buckets) {
  return Number(fingerprint64(new TextEncoder().encode(String(value))) % BigInt(buckets));
}

/** FarmHash's Fingerprint64 of a Uint8Array, as a BigInt in [0, 2**64). */
export function fingerprint64(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fetch = (at) => view.getBigUint64(at, true);
  const size = bytes.length;
  if (size <= 16) return upTo16(bytes, view, fetch, size);
  if (size <= 32) return upTo32(fetch, size);
  if (size <= 64) return upTo64(fetch, size);
  return longer(fetch, size);
}

const wrap = (value) => BigInt.asUintN(64, value);
const rotate = (value, by) => (value >> by) | wrap(value << (64n - by));
const shiftMix = (value) => value ^ (value >> 47n);

function mix(u, v, factor) {
  const a = shiftMix(wrap((u ^ v) * factor));
  const b = shiftMix(wrap((v ^ a) * factor));
  return wrap(b * factor);
}

const sum = (a, b, c, d) => wrap(rotate(wrap(a + b), 43n) + rotate(c, 30n) + d);
const otherSum = (a, b, c, added) => wrap(a + rotate(wrap(b + added), 18n) + c);

function upTo16(bytes, view, fetch, size) {
  const factor = wrap(K2 + BigInt(size) * 2n);
  if (size >= 8) {
    const a = wrap(fetch(0) + K2);
    const b = fetch(size - 8);
    return mix(wrap(rotate(b, 37n) * factor + a), wrap((rotate(a, 25n) + b) * factor), factor);
  }
  if (size >= 4) {
    const first = BigInt(view.getUint32(0, true));
    const last = BigInt(view.getUint32(size - 4, true));
    return mix(wrap(BigInt(size) + (first << 3n)), last, factor);
  }
  if (size > 0) {
    const y = BigInt(bytes[0] + (bytes[size >> 1] << 8));
    const z = BigInt(size + (bytes[size - 1] << 2));
    return wrap(shiftMix(wrap((y * K2) ^ (z * K0))) * K2);
  }
  return K2;
}

function upTo32(fetch, size) {
  const factor = wrap(K2 + BigInt(size) * 2n);
  const a = wrap(fetch(0) * K1);
  const b = fetch(8);
  const c = wrap(fetch(size - 8) * factor);
  const d = wrap(fetch(size - 16) * K2);
  return mix(sum(a, b, c, d), otherSum(a, b, c, K2), factor);
}

function upTo64(fetch, size) {
  const factor = wrap(K2 + BigInt(size) * 2n);
  const a = wrap(fetch(0) * K2);
  const b = fetch(8);
  const c = wrap(fetch(size - 8) * factor);
  const d = wrap(fetch(size - 16) * K2);
  const y = sum(a, b, c, d);
  const z = mix(y, otherSum(a, b, c, K2), factor);
  const e = wrap(fetch(16) * factor);
  const f = fetch(24);
  const g = wrap((y + fetch(size - 32)) * factor);
  const h = wrap((z + fetch(size - 24)) * factor);
  return mix(sum(e, f, g, h), otherSum(e, f, g, a), factor);
}

function longer(fetch, size) {
  let y = wrap(81n * K1 + 113n);
  let z = wrap(shiftMix(wrap(y * K2 + 113n)) * K2);
  let state = { x: wrap(81n * K2 + fetch(0)), y, z, v: [0n, 0n], w: [0n, 0n] };
  const end = Math.floor((size - 1) / 64) * 64;
  for (let at = 0; at < end; at += 64) state = round(fetch, at, state, K1, 1n);
  const factor = wrap(K1 + ((state.z & 0xffn) << 1n));
  state.w[0] = wrap(state.w[0] + BigInt((size - 1) & 63));
  state.v[0] = wrap(state.v[0] + state.w[0]);
  state.w[0] = wrap(state.w[0] + state.v[0]);
  const { x, y: last, z: other, v, w } = round(fetch, size - 64, state, factor, 9n);
  return mix(
    wrap(mix(v[0], w[0], factor) + shiftMix(last) * K0 + other),
    wrap(mix(v[1], w[1], factor) + x),
    factor,
  );
}

/** 64 bytes from `at`; returns the state with x and z already exchanged. */
function round(fetch, at, { x, y, z, v, w }, factor, weight) {
  x = wrap(rotate(wrap(x + y + v[0] + fetch(at + 8)), 37n) * factor);
  y = wrap(rotate(wrap(y + v[1] + fetch(at + 48)), 42n) * factor);
  x ^= wrap(w[1] * weight);
  y = wrap(y + v[0] * weight + fetch(at + 40));
  z = wrap(rotate(wrap(z + w[0]), 33n) * factor);
  v = weak(fetch, at, wrap(v[1] * factor), wrap(x + w[0]));
  w = weak(fetch, at + 32, wrap(z + w[1]), wrap(y + fetch(at + 16)));
  return { x: z, y, z: x, v, w };
}

function weak(fetch, at, a, b) {
  a = wrap(a + fetch(at));
  b = rotate(wrap(b + a + fetch(at + 24)), 21n);
  const c = a;
  a = wrap(a + fetch(at + 8) + fetch(at + 16));
  b = wrap(b + rotate(a, 44n));
  return [wrap(a + fetch(at + 24)), wrap(b + c)];
}
