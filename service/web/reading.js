// The text as it was read: each word shaded, reachable by pointer and keyboard, with its numbers.

import { percent, sign, signed, weight } from "./numbers.js";
import { segment } from "./segments.js";

const STRONGEST = 6;
const UNREAD = 20_000; // characters shown of an end that was not read
const FAINT = 0.06; // of the strongest; words below carry no sign

const section = document.getElementById("reading");
const words = document.getElementById("words");
const readout = document.getElementById("readout");

let read = []; // the pieces that are words, in order
let spans = []; // their elements
let current = 0; // the one that Tab reaches
let shown = null; // {answer, model, view}

/** Show the reasons of an answer to `text`, shaded by `view`. */
export function showReading(text, answer, model, view) {
  const pieces = segment(text, answer.tokens, answer.truncated);
  read = pieces.filter((piece) => piece.kind === "word");
  const most = {
    attention: Math.max(...read.map((word) => word.attention)),
    contribution: Math.max(...read.map((word) => Math.abs(word.contribution))),
  };
  shown = { answer, model, most };
  const focused = words.contains(document.activeElement);
  current = Math.min(current, read.length - 1);
  spans = [];
  words.replaceChildren(...pieces.map((piece) => elementOf(piece, most)));
  spans[current].tabIndex = 0;
  showUnread(pieces.at(-1), model);
  showView(view);
  showNumbers(null);
  section.hidden = false;
  if (focused) spans[current].focus();
}

export function clearReading() {
  section.hidden = true;
  words.replaceChildren();
  [read, spans, current, shown] = [[], [], 0, null];
}

/** Shade by "attention" or by "contributions"; the words stay as they are. */
export function showView(view) {
  section.dataset.view = view;
  if (!shown) return;
  const { answer, most } = shown;
  const signedView = view === "contributions";
  const label = answer.explain_label;
  set("meaning", signedView
    ? `What moved the score of “${label}”: + raised it, − lowered it.`
    : "Where the model looked. It has no sign and speaks for no label.");
  set("low", signedView ? signed(-most.contribution) : "0");
  set("high", signedView ? signed(most.contribution) : weight(most.attention));
  showStrongest(signedView ? "contribution" : "attention");
  const total = answer.logit - answer.bias;
  set("equation", signedView
    ? `score ${signed(answer.logit)} = bias ${signed(answer.bias)} and all words ${signed(total)}`
    : "The weights of all words add up to 1.");
}

function elementOf(piece, most) {
  if (piece.kind === "gap") return document.createTextNode(piece.text);
  const span = document.createElement("span");
  span.textContent = piece.kind === "unread" ? beginning(piece.text) : piece.text;
  span.className = piece.kind;
  if (piece.kind === "word") {
    const { start, end, attention, contribution } = piece;
    const strength = Math.abs(contribution) / most.contribution || 0;
    const numbers = { index: spans.length, start, end, attention, contribution };
    for (const name in numbers) span.setAttribute(`data-${name}`, numbers[name]);
    if (strength >= FAINT) span.setAttribute("data-sign", sign(contribution));
    span.className = contribution < 0 ? "word against" : "word for";
    span.style.setProperty("--attention", (attention / most.attention).toFixed(3));
    span.style.setProperty("--contribution", strength.toFixed(3));
    spans.push(span);
  }
  return span;
}

function beginning(text) {
  const rest = text.length - UNREAD;
  return rest <= 0 ? text : `${text.slice(0, UNREAD)} … (${rest.toLocaleString()} more characters)`;
}

function showUnread(last, model) {
  const note = document.getElementById("unread-note");
  note.hidden = last.kind !== "unread";
  const limit = model ? ` ${model.max_tokens} tokens` : "";
  note.textContent = `The grey end was not read: the model reads the first${limit} of a text.`;
}

function showStrongest(measure) {
  set("strongest-title", measure === "attention" ? "Looked at most" : "Moved it most");
  const size = (word) => Math.abs(word[measure]);
  const strongest = read.toSorted((a, b) => size(b) - size(a)).slice(0, STRONGEST);
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

/** The numbers of one word, or, with null, how to get at them. */
function showNumbers(index) {
  readout.classList.toggle("pinned", index !== null);
  if (index === null) {
    readout.textContent = "Point at a word, or go to it with Tab and the arrow keys, for its numbers.";
    return;
  }
  const word = read[index];
  const name = document.createElement("bdi");
  name.textContent = word.text;
  const place = `word ${index + 1} of ${read.length}`;
  const look = `attention ${weight(word.attention)} (${percent(word.attention)})`;
  const push = `contribution to “${shown.answer.explain_label}” ${signed(word.contribution)}`;
  readout.replaceChildren(name, ...[place, look, push].map((text) => {
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
  const steps = { ArrowRight: forward, ArrowLeft: -forward, Home: -read.length, End: read.length };
  const step = steps[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const index = Math.max(0, Math.min(read.length - 1, current + step));
  moveTo(index);
  spans[index].focus();
});
