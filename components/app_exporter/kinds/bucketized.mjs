/** A quantity as the bucket that it lies in. */
export function encoder(entry) {
  return (value) => entry.boundaries.filter((boundary) => Math.fround(value) >= boundary).length;
}
