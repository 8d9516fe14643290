/**
 * Encodes what is in the page and asks the model; nothing leaves the browser.
 *
 * `?rows=JSON` fills the page in and asks at once.
 */

/* global tf */
import { encode } from "/model/encoding.mjs";

const TYPES = { numeric: "float32", categorical: "int32" };
const byId = (id) => document.getElementById(id);

async function load() {
  // The model is small: plain JavaScript answers in about a millisecond, and needs no GPU.
  await tf.setBackend("cpu");
  const [features, model] = await Promise.all([
    fetch("/model/features.json").then((reply) => reply.json()),
    tf.loadGraphModel("/model/tfjs/model.json"),
  ]);
  return (rows) =>
    tf.tidy(() => {
      const inputs = {};
      for (const [name, values] of Object.entries(encode(features, rows))) {
        inputs[name] = tf.tensor2d(values, undefined, TYPES[name]);
      }
      const outputs = model.predict(inputs);
      return (outputs.predictions ?? outputs).arraySync();
    });
}

const ready = load();

async function show() {
  try {
    const predict = await ready;
    byId("predictions").textContent = JSON.stringify(predict(JSON.parse(byId("rows").value)));
  } catch (error) {
    byId("predictions").textContent = `Could not predict: ${error.message}`;
  }
}

byId("predict").addEventListener("click", show);
const given = new URLSearchParams(location.search).get("rows");
if (given) {
  byId("rows").value = given;
  await show();
}
