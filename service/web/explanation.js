// The text with each word coloured. Pointer and keyboard show the numbers of a word.

import { percent, sign, signed, weight } from "./format.js";
import { segment } from "./segments.js";

const LISTED_WORDS = 6;
const MAX_TRUNCATED_SHOWN = 20_000; // characters of the truncated end
const MIN_SIGNED_SHARE = 0.06; // of the largest contribution; smaller ones get no sign

const section = document.getElementById("explanation");
const words = document.getElementById("words");
const readout = document.getElementById("readout");

let wordSegments = []; // in order
let spans = []; // their elements
let current = 0; // index of the word that Tab reaches
let shown = null; // {answer, maxima}

/** Shows the explanation of an answer to `text`, coloured by `view`. */
export function showExplanation(text, answer, model, view) {
  const segments = segment(text, answer.tokens, answer.truncated);
  wordSegments = segments.filter(({ kind }) => kind === "word");
  const maxima = {
    attention: Math.max(...wordSegments.map((word) => word.attention)),
    contribution: Math.max(...wordSegments.map((word) => Math.abs(word.contribution))),
  };
  shown = { answer, maxima };
  const focused = words.contains(document.activeElement);
  current = Math.min(current, wordSegments.length - 1);
  spans = [];
  words.replaceChildren(...segments.map((each) => createNode(each, maxima)));
  spans[current].tabIndex = 0;
  showTruncation(segments.at(-1), model);
  showView(view);
  showNumbers(null);
  section.hidden = false;
  if (focused) spans[current].focus();
}

/** Removes the explanation. */
export function clearExplanation() {
  section.hidden = true;
  words.replaceChildren();
  [wordSegments, spans, current, shown] = [[], [], 0, null];
}

/** Colours the words by "attention" or by "contributions". */
export function showView(view) {
  section.dataset.view = view;
  if (!shown) return;
  const { answer, maxima } = shown;
  const contributions = view === "contributions";
  const label = answer.explain_label;
  set("meaning", contributions
    ? `The contribution of each word to the score of “${label}”: + raised the score, − lowered it.`
    : "Attention is the weight of each word in the model. It does not show which label the word supports.");
  set("low", contributions ? signed(-maxima.contribution) : "0");
  set("high", contributions ? signed(maxima.contribution) : weight(maxima.attention));
  listStrongest(contributions ? "contribution" : "attention");
  const [score, bias, sum] = [answer.logit, answer.bias, answer.logit - answer.bias].map(signed);
  set("equation", contributions
    ? `The score ${score} is the bias ${bias} plus the sum of all contributions ${sum}.`
    : "The attention of all words adds up to 1.");
}

function createNode(part, maxima) {
  if (part.kind === "between") return document.createTextNode(part.text);
  const span = document.createElement("span");
  span.textContent = part.kind === "truncated" ? beginning(part.text) : part.text;
  span.className = part.kind;
  if (part.kind === "word") {
    const { start, end, attention, contribution } = part;
    const share = Math.abs(contribution) / maxima.contribution || 0;
    const numbers = { index: spans.length, start, end, attention, contribution };
    for (const name in numbers) span.setAttribute(`data-${name}`, numbers[name]);
    if (share >= MIN_SIGNED_SHARE) span.setAttribute("data-sign", sign(contribution));
    span.className = contribution < 0 ? "word against" : "word for";
    span.style.setProperty("--attention", (attention / maxima.attention).toFixed(3));
    span.style.setProperty("--contribution", share.toFixed(3));
    spans.push(span);
  }
  return span;
}

function beginning(text) {
  const rest = text.length - MAX_TRUNCATED_SHOWN;
  return rest <= 0 ? text : `${text.slice(0, MAX_TRUNCATED_SHOWN)} … (${rest.toLocaleString()} more characters)`;
}

function showTruncation(last, model) {
  const note = document.getElementById("truncation-note");
  note.hidden = last.kind !== "truncated";
  const limit = model ? ` ${model.max_tokens} tokens` : " part";
  note.textContent = `The model uses only the first${limit} of a text. It did not use the part in grey.`;
}

function listStrongest(measure) {
  set("strongest-title", measure === "attention" ? "Highest attention" : "Largest contributions");
  const size = (word) => Math.abs(word[measure]);
  const strongest = wordSegments.toSorted((a, b) => size(b) - size(a)).slice(0, LISTED_WORDS);
  document.getElementById("strongest").replaceChildren(
    ...strongest.map((word) => {
      const item = document.createElement("li");
      const name = document.createElement("bdi");
      name.textContent = word.text;
      item.append(name, " ", measure === "attention" ? weight(word.attention) : signed(word.contribution));
      item.className = measure === "attention" ? "" : word.contribution < 0 ? "against" : "for";
      return item;
    }),
  );
}

/** Shows the numbers of one word; with null, how to select a word. */
function showNumbers(index) {
  readout.classList.toggle("pinned", index !== null);
  if (index === null) {
    readout.textContent = "Point at a word, or move to it with Tab and the arrow keys, to see its numbers.";
    return;
  }
  const word = wordSegments[index];
  const name = document.createElement("bdi");
  name.textContent = word.text;
  const position = `word ${index + 1} of ${wordSegments.length}`;
  const attention = `attention ${weight(word.attention)} (${percent(word.attention)})`;
  const contribution = `contribution to “${shown.answer.explain_label}” ${signed(word.contribution)}`;
  readout.replaceChildren(name, ...[position, attention, contribution].map((text) => {
    const part = document.createElement("span");
    part.textContent = text;
    return part;
  }));
}

function set(id, text) {
  document.getElementById(id).textContent = text;
}

function indexOf(event) {
  const span = event.target.closest?.(".word");
  return span ? Number(span.dataset.index) : null;
}

function moveTo(index) {
  spans[current].tabIndex = -1;
  spans[current].removeAttribute("aria-describedby");
  current = index;
  spans[index].tabIndex = 0;
  spans[index].setAttribute("aria-describedby", "readout");
}

words.addEventListener("pointerover", (event) => {
  const index = indexOf(event);
  if (index !== null) showNumbers(index);
});
words.addEventListener("pointerleave", () => {
  showNumbers(words.contains(document.activeElement) ? current : null);
});
words.addEventListener("focusin", (event) => {
  const index = indexOf(event);
  moveTo(index);
  showNumbers(index);
});
words.addEventListener("focusout", () => showNumbers(null));
words.addEventListener("click", (event) => {
  const index = indexOf(event);
  if (index === null) return;
  moveTo(index);
  spans[index].focus();
});
words.addEventListener("keydown", (event) => {
  const forward = getComputedStyle(words).direction === "rtl" ? -1 : 1;
  const count = wordSegments.length;
  const steps = { ArrowRight: forward, ArrowLeft: -forward, Home: -count, End: count };
  const step = steps[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const index = Math.max(0, Math.min(wordSegments.length - 1, current + step));
  moveTo(index);
  spans[index].focus();
});
