/** A category as its place among the frequent values, or as the hash of its text where it is none of them. */
import { hashBucket } from "../farmhash.mjs";

export function encoder(entry) {
  const ids = new Map(entry.values.map((word, place) => [word, place]));
  return (value) => ids.get(String(value)) ?? ids.size + hashBucket(written(value), entry.oov_buckets);
}

/** As the model's own vocabulary, which has a line for each value, writes it. */
function written(value) {
  return String(value).replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
}
