/**
 * Asks a TF.js graph model in Node, on its plain JavaScript backend.
 *
 *     node predict.mjs MODEL_DIRECTORY INPUTS.json ANSWERS.json
 *
 * INPUTS has "numeric" and "categorical", rows of numbers; ANSWERS gets "predictions", rows of
 * numbers, and "milliseconds", the median time of a batch of 1.
 */

import { realpathSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs";

const TYPES = { numeric: "float32", categorical: "int32" };
const CHUNK = 500;
const TIMED_CALLS = 50;

/** A graph model from the files that the converter wrote. */
export async function loadModel(directory) {
  const description = JSON.parse(await readFile(path.join(directory, "model.json"), "utf8"));
  const paths = description.weightsManifest.flatMap((group) => group.paths);
  const shards = await Promise.all(paths.map((name) => readFile(path.join(directory, name))));
  const weights = Buffer.concat(shards);
  return tf.loadGraphModel(
    tf.io.fromMemory({
      modelTopology: description.modelTopology,
      format: description.format,
      signature: description.signature,
      userDefinedMetadata: description.userDefinedMetadata,
      weightSpecs: description.weightsManifest.flatMap((group) => group.weights),
      weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength),
    }),
  );
}

/** Predictions for encoded rows, as rows of numbers. */
export function predict(model, inputs) {
  return tf.tidy(() => {
    const tensors = {};
    for (const [name, rows] of Object.entries(inputs)) tensors[name] = tf.tensor2d(rows, undefined, TYPES[name]);
    const answer = model.predict(tensors);
    if (answer instanceof tf.Tensor) return answer.arraySync();
    // Several heads are outputs of a column each: side by side in the order of their names.
    const outputs = Object.keys(answer).sort().map((name) => answer[name]);
    return tf.concat(outputs, 1).arraySync();
  });
}

function slice(inputs, from, to) {
  return Object.fromEntries(Object.entries(inputs).map(([name, rows]) => [name, rows.slice(from, to)]));
}

function medianMilliseconds(model, inputs) {
  const one = slice(inputs, 0, 1);
  const times = [];
  for (let call = 0; call < TIMED_CALLS; call += 1) {
    const started = performance.now();
    predict(model, one);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[TIMED_CALLS / 2];
}

async function main([directory, inputsFile, answersFile]) {
  await tf.setBackend("cpu");
  const model = await loadModel(directory);
  const inputs = JSON.parse(await readFile(inputsFile, "utf8"));
  const count = Object.values(inputs)[0].length;
  const predictions = [];
  for (let at = 0; at < count; at += CHUNK) predictions.push(...predict(model, slice(inputs, at, at + CHUNK)));
  await writeFile(answersFile, JSON.stringify({ predictions, milliseconds: medianMilliseconds(model, inputs) }));
}

// Node resolves links and escapes spaces in the module's URL, and not in the argument.
const script = process.argv[1];
if (script && import.meta.url === pathToFileURL(realpathSync(script)).href) await main(process.argv.slice(2));
