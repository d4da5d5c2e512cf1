// The label and the probabilities: one bar a class, each a button that asks for its reasons.

import { percent } from "./numbers.js";

const FEW = 6; // that many classes keep their places, so that bars grow and shrink calmly
const STRONGEST = 5; // of more classes, that many are shown at first

const label = document.getElementById("label");
const note = document.getElementById("label-note");
const bars = document.getElementById("bars");
const more = document.getElementById("more");
const announcement = document.getElementById("announcement");

const rows = new Map(); // label -> its list item, kept so that bars glide and focus stays
let all = false;
let shown = null;
let timer = null;

/** Call `choose(label)` when a bar is chosen. */
export function onChoose(choose) {
  bars.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(button.dataset.label);
  });
  more.addEventListener("click", () => {
    all = !all;
    showBars();
  });
}

/** Show an answer's label and probabilities; `explained` is the label whose reasons are shown. */
export function showVerdict(answer, model, explained) {
  const ranked = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  const [best, probability] = ranked[0];
  const unsure = answer.label === null;
  label.textContent = answer.label ?? "not sure";
  label.classList.toggle("unsure", unsure);
  const threshold = model?.min_confidence ?? null;
  note.textContent = unsure
    ? `The most probable label, ${best}, has ${percent(probability)}` +
      (threshold === null ? "." : `; this model wants ${percent(threshold)} to be sure.`)
    : "";
  shown = { ranked, places: placesOf(model, ranked), explained };
  showBars();
  announce(unsure ? `Not sure; perhaps ${best}, ${percent(probability)}` : `${best}, ${percent(probability)}`);
}

/** Show that there is nothing to show, and why. */
export function clearVerdict(sentence) {
  shown = null;
  label.textContent = "";
  note.textContent = sentence;
  bars.replaceChildren();
  rows.clear();
  more.hidden = true;
  announce("");
}

/** Tell screen readers, once the typing has stopped. */
function announce(sentence) {
  clearTimeout(timer);
  timer = setTimeout(() => (announcement.textContent = sentence), 1000);
}

function placesOf(model, ranked) {
  if (ranked.length > FEW || !model) return ranked.map(([name]) => name);
  return model.labels.filter((name) => ranked.some(([other]) => other === name));
}

function showBars() {
  if (!shown) return;
  const { ranked, places, explained } = shown;
  const cut = places.length > FEW && !all;
  const names = cut ? places.slice(0, STRONGEST) : places;
  if (explained && !names.includes(explained)) names.push(explained);
  const probabilities = new Map(ranked);
  const items = names.map((name) => row(name, probabilities.get(name), name === explained));
  const focused = document.activeElement;
  bars.replaceChildren(...items);
  if (bars.contains(focused)) focused.focus(); // moving an element takes its focus away
  more.hidden = places.length <= FEW;
  more.textContent = all ? `Only the first ${STRONGEST}` : `All ${places.length} labels`;
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
