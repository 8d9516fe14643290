/** A category that is an id already. */
export function encoder(entry) {
  return (value) => (value >= 0 && value < entry.size ? Math.trunc(value) : entry.unknown_id);
}
