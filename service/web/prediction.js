// The label and the probabilities: one bar for each label, which is a button that explains the label.

import { percent } from "./format.js";

const MAX_FIXED_BARS = 6; // up to this many labels keep their order, so that only the bars change
const FIRST_BARS = 5; // with more labels, this many are shown at first

const label = document.getElementById("label");
const note = document.getElementById("label-note");
const bars = document.getElementById("bars");
const more = document.getElementById("more");
const announcement = document.getElementById("announcement");

// Label to list item. Items are used again, so that bars move smoothly and keep the focus.
const rows = new Map();
let showAll = false;
let shown = null;
let timer = null;

/** Calls `choose(label)` when a bar is clicked. */
export function onChoose(choose) {
  bars.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(button.dataset.label);
  });
  more.addEventListener("click", () => {
    showAll = !showAll;
    showBars();
  });
}

/** Shows the label and the probabilities; `explained` is the label that the page explains. */
export function showPrediction(answer, model, explained) {
  const ranked = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  const [best, probability] = ranked[0];
  const withheld = answer.label === null;
  label.textContent = answer.label ?? "no label";
  label.classList.toggle("withheld", withheld);
  const threshold = model?.min_confidence ?? null;
  note.textContent = withheld
    ? `The most probable label is ${best} with ${percent(probability)}.` +
      (threshold === null ? "" : ` This model gives no label below ${percent(threshold)}.`)
    : "";
  shown = { ranked, order: barOrder(model, ranked), explained };
  showBars();
  const summary = `${best}, ${percent(probability)}`;
  announce(withheld ? `No label. The most probable label is ${summary}` : summary);
}

/** Removes the prediction and shows a sentence instead. */
export function clearPrediction(sentence) {
  shown = null;
  label.textContent = "";
  note.textContent = sentence;
  bars.replaceChildren();
  rows.clear();
  more.hidden = true;
  announce("");
}

/** Announces a sentence to screen readers after a pause in typing. */
function announce(sentence) {
  clearTimeout(timer);
  timer = setTimeout(() => (announcement.textContent = sentence), 1000);
}

/** Returns the labels in the order of their bars. */
function barOrder(model, ranked) {
  if (ranked.length > MAX_FIXED_BARS || !model) return ranked.map(([name]) => name);
  return model.labels.filter((name) => ranked.some(([other]) => other === name));
}

function showBars() {
  if (!shown) return;
  const { ranked, order, explained } = shown;
  const shortened = order.length > MAX_FIXED_BARS && !showAll;
  const names = shortened ? order.slice(0, FIRST_BARS) : [...order];
  if (explained && !names.includes(explained)) names.push(explained);
  const probabilities = new Map(ranked);
  const items = names.map((name) => row(name, probabilities.get(name), name === explained));
  const focused = document.activeElement;
  bars.replaceChildren(...items);
  if (bars.contains(focused)) focused.focus(); // an element that moves loses the focus
  more.hidden = order.length <= MAX_FIXED_BARS;
  more.textContent = showAll ? `Show the first ${FIRST_BARS} labels` : `Show all ${order.length} labels`;
}

function row(name, probability, explained) {
  const item = rows.get(name) ?? newRow(name);
  const button = item.firstChild;
  button.style.setProperty("--probability", probability);
  button.dataset.probability = probability;
  button.setAttribute("aria-pressed", explained);
  button.querySelector(".value").textContent = percent(probability);
  return item;
}

function newRow(name) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "bar";
  button.dataset.label = name;
  for (const part of ["name", "track", "value"]) {
    const span = document.createElement("span");
    span.className = part;
    button.append(span, " ");
  }
  button.querySelector(".name").textContent = name;
  button.querySelector(".name").dir = "auto";
  item.append(button);
  rows.set(name, item);
  return item;
}
