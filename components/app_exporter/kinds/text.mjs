/**
 * A text as its words, each its place among the frequent ones, or its hash: letters, digits and combining marks of
 * any script; n-grams follow all words.
 */
import { hashBucket } from "../farmhash.mjs";

export function encoder(entry) {
  const known = new Map(entry.values.map((word, place) => [word, place]));
  const idOf = (word) => known.get(word) ?? known.size + hashBucket(word, entry.buckets);
  return (value) => {
    const words = String(value).toLowerCase().split(/[^\p{L}\p{N}\p{M}]+/u).filter((word) => word);
    const grams = [];
    for (let size = 1; size <= entry.ngrams; size += 1) {
      for (let at = 0; at + size <= words.length; at += 1) grams.push(words.slice(at, at + size).join(" "));
    }
    const ids = grams.slice(0, entry.words).map(idOf);
    return [...ids, ...entry.missing.slice(ids.length)];
  };
}
