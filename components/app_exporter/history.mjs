/**
 * Turns what somebody took into the inputs of a recommender's app model, as `features.json` says.
 *
 * The same as `history.py`, which says more; no dependencies.
 */

const DAY = 86_400_000;

/** The model's inputs for one history of [item, milliseconds since 1970], oldest first: rows of "numbers" and "ages". */
export function encodeHistory(features, items, events) {
  const numberOf = new Map(items.map((name, number) => [name, number]));
  const known = events.filter(([item]) => numberOf.has(item)).slice(-features.history);
  const numbers = Array(features.history).fill(-1);
  const ages = Array(features.history).fill(0);
  known.forEach(([item, time], place) => {
    numbers[place] = numberOf.get(item);
    ages[place] = (known.at(-1)[1] - time) / DAY;
  });
  return { numbers: [numbers], ages: [ages] };
}

/** [item, score] of what is recommended, best first, from a row of each of the model's outputs. */
export function decodeAnswer(features, items, numbers, scores) {
  return Array.from(numbers, (number, place) => [items[number], scores[place]]).filter(
    ([, score]) => score > features.least_score,
  );
}
