/**
 * Asks a TF.js model with raw values, in Node.
 *
 *     node examples/tfjs/predict.mjs EXPORT examples/rows.json
 *
 * EXPORT is the directory that AppExporter wrote. Prints one prediction a row, as JSON.
 */

import { readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { loadModel, predict } from "../../.tfjs/runtime/predict.mjs";

const [directory, rowsFile] = process.argv.slice(2);
if (!rowsFile) {
  console.error("usage: node examples/tfjs/predict.mjs EXPORT ROWS.json");
  process.exit(2);
}
const { encode } = await import(pathToFileURL(path.resolve(directory, "encoding.mjs")));
const features = JSON.parse(await readFile(path.join(directory, "features.json"), "utf8"));
const rows = JSON.parse(await readFile(rowsFile, "utf8"));
const model = await loadModel(path.join(directory, "tfjs"));
console.log(JSON.stringify(predict(model, encode(features, rows))));
