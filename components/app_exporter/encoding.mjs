/**
 * Turns raw values into the inputs of an app model, as `features.json` says; no dependencies.
 *
 * This file is shipped beside the model, with `farmhash.mjs` and a file of `kinds/` for each kind of feature
 * that the model has, and runs in browsers and in Node. `encoding.py` is the same in Python. Missing means
 * absent, null, the empty text, a number that is not finite as a float32, or -2**63. A quantity whose entry has the
 * type "integer" is calculated in double precision; a decimal one is a float32 first.
 */

import * as kinds from "./kinds/index.mjs";

/**
 * The model's inputs for raw rows.
 * @param {object} features the parsed features.json
 * @param {object[]} rows column name → value, or values of a column with lists
 * @returns {{numeric?: number[][], categorical?: number[][]}} those inputs that the model has
 */
export function encode(features, rows) {
  const encoded = {};
  for (const name of ["numeric", "categorical"]) {
    if (!features[name].length) continue;
    const encoders = features[name].map(encoderOf);
    // A feature may be several numbers.
    encoded[name] = rows.map((row) => encoders.flatMap((encoder) => encoder(row)));
  }
  return encoded;
}

function encoderOf(entry) {
  if (!(entry.kind in kinds)) {
    throw new Error(`${entry.name} is of kind '${entry.kind}', and ./kinds/index.mjs has no such kind`);
  }
  const ofPresent = kinds[entry.kind].encoder(entry);
  const ofMissing = entry.missing ?? entry.missing_id;
  if ("max_length" in entry) return (row) => encodeList(entry, ofPresent, row[entry.name]);
  return (row) => {
    const value = row[entry.name];
    return isMissing(value) ? ofMissing : ofPresent(value);
  };
}

/** The first values of a list that are not missing, filled up with the id of missing. */
function encodeList(entry, ofPresent, values) {
  const given = Array.isArray(values) ? values : [values];
  const there = given.filter((value) => !isMissing(value)).slice(0, entry.max_length).map(ofPresent);
  return [...there, ...Array(entry.max_length - there.length).fill(entry.missing_id)];
}

function isMissing(value) {
  if (typeof value === "number") return !Number.isFinite(Math.fround(value)) || value === -(2 ** 63);
  return value === undefined || value === null || value === "";
}
