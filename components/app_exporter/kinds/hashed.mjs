/** A category as the hash of its text. */
import { hashBucket } from "../farmhash.mjs";

export function encoder(entry) {
  return (value) => hashBucket(value, entry.buckets);
}
