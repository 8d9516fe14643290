/** A text as the hashes of its words: letters, digits and combining marks of any script; n-grams follow all words. */
import { hashBucket } from "../farmhash.mjs";

export function encoder(entry) {
  return (value) => {
    const words = String(value).toLowerCase().split(/[^\p{L}\p{N}\p{M}]+/u).filter((word) => word);
    const grams = [];
    for (let size = 1; size <= entry.ngrams; size += 1) {
      for (let at = 0; at + size <= words.length; at += 1) grams.push(words.slice(at, at + size).join(" "));
    }
    const ids = grams.slice(0, entry.words).map((gram) => hashBucket(gram, entry.buckets));
    return [...ids, ...entry.missing.slice(ids.length)];
  };
}
