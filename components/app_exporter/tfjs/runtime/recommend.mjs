/**
 * Asks a recommender's TF.js graph model in Node, on its plain JavaScript backend, with one history after another.
 *
 *     node recommend.mjs MODEL_DIRECTORY INPUTS.json ANSWERS.json
 *
 * INPUTS has "numbers" and "ages", a row for each history; ANSWERS gets "numbers" and "scores", the same, and
 * "milliseconds", the median time of one.
 */

import { realpathSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs";
import { loadModel } from "./predict.mjs";

/** The model's answer to inputs of one history: a row of "numbers" and one of "scores". */
export async function recommend(model, { numbers, ages }) {
  const inputs = { numbers: tf.tensor2d(numbers, undefined, "int32"), ages: tf.tensor2d(ages, undefined, "float32") };
  // Not `predict`: a recurrent encoder is a loop, which only this one runs.
  const answer = await model.predictAsync(inputs);
  const rows = { numbers: answer.numbers.arraySync()[0], scores: answer.scores.arraySync()[0] };
  tf.dispose([inputs, answer]);
  return rows;
}

async function main([directory, inputsFile, answersFile]) {
  await tf.setBackend("cpu");
  const model = await loadModel(directory);
  const inputs = JSON.parse(await readFile(inputsFile, "utf8"));
  const answers = { numbers: [], scores: [] };
  const times = [];
  for (let row = 0; row < inputs.numbers.length; row += 1) {
    const started = performance.now();
    const { numbers, scores } = await recommend(model, { numbers: [inputs.numbers[row]], ages: [inputs.ages[row]] });
    times.push(performance.now() - started);
    answers.numbers.push(numbers);
    answers.scores.push(scores);
  }
  answers.milliseconds = times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  await writeFile(answersFile, JSON.stringify(answers));
}

// Node resolves links and escapes spaces in the module's URL, and not in the argument.
const script = process.argv[1];
if (script && import.meta.url === pathToFileURL(realpathSync(script)).href) await main(process.argv.slice(2));
