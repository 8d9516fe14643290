/** A quantity, scaled to about zero mean and unit variance. */
export function encoder(entry) {
  const linear = entry.linear_deviations;
  return (value) => {
    const number = entry.type === "integer" ? Number(value) : Math.fround(value);
    const distance = (number - entry.mean) / entry.standard_deviation;
    const size = Math.abs(distance);
    if (size <= linear) return distance;
    return Math.sign(distance) * (linear + Math.log1p(Math.log1p(size - linear)));
  };
}
