/** A list of numbers that always has the same length. */
export function encoder(entry) {
  return (values) => {
    if (values.length !== entry.size || !values.every(Number.isFinite)) return entry.missing;
    const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
    if (entry.normalise === "none" || length === 0) return values;
    return values.map((value) => (value / length) * Math.sqrt(entry.size));
  };
}
