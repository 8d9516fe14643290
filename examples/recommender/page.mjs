/**
 * Recommends from a history that is typed in; nothing leaves the browser.
 *
 * `?history=JSON`, a list of [item, days ago], fills the history in.
 */

/* global tf */
import { decodeAnswer, encodeHistory } from "/model/history.mjs";

const DAY = 86_400_000;
const SHOWN = 10;
const MATCHES = 20;
const byId = (id) => document.getElementById(id);
const readJson = async (name) => {
  const reply = await fetch(`/model/${name}`);
  return reply.ok ? reply.json() : null;
};

/** Events of [item, days ago], in the order in which they were typed in. */
let history = [];

async function load() {
  await tf.setBackend("cpu");
  const [features, items, titles, model] = await Promise.all([
    readJson("features.json"),
    readJson("items.json"),
    readJson("titles.json"),
    tf.loadGraphModel("/model/tfjs/model.json"),
  ]);
  const shown = titles ?? items;
  return { features, items, model, titleOf: new Map(items.map((item, at) => [item, shown[at]])), shown };
}

/** The item that a text means: an identifier, or a title, of which the first in the catalogue counts. */
function find({ items, titleOf, shown }, text) {
  return titleOf.has(text) ? text : items[shown.indexOf(text)];
}

async function recommend({ features, items, model }) {
  const now = Date.now();
  const events = history.map(([item, days]) => [item, now - days * DAY]).sort((a, b) => a[1] - b[1]);
  const { numbers, ages } = encodeHistory(features, items, events);
  const inputs = { numbers: tf.tensor2d(numbers, undefined, "int32"), ages: tf.tensor2d(ages, undefined, "float32") };
  // Not `predict`: a recurrent encoder is a loop, which only this one runs.
  const answer = await model.predictAsync(inputs);
  const best = decodeAnswer(features, items, answer.numbers.arraySync()[0], answer.scores.arraySync()[0]);
  tf.dispose([inputs, answer]);
  return best.slice(0, SHOWN);
}

/** A line of a list; texts only, as an item's name may be anybody's. */
function line(text, ...children) {
  const made = document.createElement("li");
  made.append(text, ...children);
  return made;
}

function drawHistory({ titleOf }) {
  const lines = history.map(([item, days], place) => {
    const remove = document.createElement("button");
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${titleOf.get(item)}`);
    remove.addEventListener("click", () => change((events) => events.toSpliced(place, 1)));
    return line(`${titleOf.get(item)}, ${days} days ago`, remove);
  });
  byId("history").replaceChildren(...lines);
}

/** Changes the history and asks again. */
async function change(edit) {
  try {
    const app = await ready;
    history = edit(history);
    drawHistory(app);
    const started = performance.now();
    const best = await recommend(app);
    byId("recommended").replaceChildren(
      ...best.map(([item, score]) => line(`${app.titleOf.get(item)}  ${score.toFixed(3)}`)),
    );
    byId("status").textContent = `${best.length} of ${app.items.length} items, in ${Math.round(performance.now() - started)} ms.`;
  } catch (error) {
    byId("status").textContent = `Could not recommend: ${error.message}`;
  }
}

byId("item").addEventListener("input", async () => {
  const { shown } = await ready;
  const text = byId("item").value.toLowerCase();
  const matches = text ? shown.filter((title) => title.toLowerCase().includes(text)).slice(0, MATCHES) : [];
  byId("matches").replaceChildren(...matches.map((title) => new Option(title, title)));
});

byId("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const item = find(await ready, byId("item").value);
  if (item === undefined) {
    byId("status").textContent = `No item is called ${byId("item").value}.`;
    return;
  }
  const days = Number(byId("days").value);
  byId("item").value = "";
  await change((events) => [...events, [item, days]]);
});

const ready = load();
const given = JSON.parse(new URLSearchParams(location.search).get("history") ?? "[]");
await change(() => given);
