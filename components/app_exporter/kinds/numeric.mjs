/** A quantity, scaled to about zero mean and unit variance; where there is an indicator, whether it is missing, too. */
export function encoder(entry) {
  const linear = entry.linear_deviations;
  const scale = (value) => {
    const number = entry.type === "integer" ? Number(value) : Math.fround(value);
    const distance = (number - entry.mean) / entry.standard_deviation;
    const size = Math.abs(distance);
    if (size <= linear) return distance;
    return Math.sign(distance) * (linear + Math.log1p(Math.log1p(size - linear)));
  };
  return (value) => (entry.indicator ? [scale(value), 0] : scale(value));
}
