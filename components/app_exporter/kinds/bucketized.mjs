/** A quantity as the bucket that it lies in. */
export function encoder(entry) {
  const exact = entry.type === "integer" ? Number : Math.fround;
  return (value) => entry.boundaries.filter((boundary) => exact(value) >= boundary).length;
}
