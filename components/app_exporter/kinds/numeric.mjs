/** A quantity, scaled to zero mean and unit variance. */
export function encoder(entry) {
  return (value) => (Math.fround(value) - entry.mean) / entry.standard_deviation;
}
