// The main module: when the text changes, it sends a request and shows the answer.

import { Problem, classify, fetchModels, hasKey, setKey } from "./api.js";
import { examplesFor } from "./examples.js";
import { clearExplanation, showExplanation, showView } from "./explanation.js";
import { clearPrediction, onChoose, showPrediction } from "./prediction.js";
import { connectCopyButton, curlOf, pythonOf } from "./snippets.js";
import { linkOf, readState, writeState } from "./state.js";

const DELAY = 120; // milliseconds from the last key press to the request
const DELAY_PER_CHARACTER = 0.02; // more for long texts, which take longer to draw
const DIM_DELAY = 400; // milliseconds from the request until the old answer is dimmed

const RIGHT_TO_LEFT = /\p{Script=Arabic}|\p{Script=Hebrew}|\p{Script=Syriac}|\p{Script=Thaana}|\p{Script=Nko}/u;
const DIRECTION_CHARACTERS = 1000; // the first letter among them decides the direction of the text

const element = (id) => document.getElementById(id);
const text = element("text");

let state = readState(); // {text, model, label, view}
let models = []; // of GET /models
let answer = null; // the latest answer, to state.text
let controller = new AbortController(); // of the request in flight
let timer = null;

const model = () => models.find(({ name }) => name === state.model);

/** Sets the direction of the text by its first letter; `dir="auto"` takes ten seconds for a megabyte. */
function setDirection() {
  const first = text.value.slice(0, DIRECTION_CHARACTERS).match(/\p{Letter}/u)?.[0] ?? "";
  text.dir = RIGHT_TO_LEFT.test(first) ? "rtl" : "ltr";
}

/** Sends a request after a pause in typing, and aborts the one in flight at once. */
function scheduleRequest(delay = DELAY + DELAY_PER_CHARACTER * Math.min(text.value.length, 20_000)) {
  controller.abort();
  clearTimeout(timer);
  timer = setTimeout(sendRequest, delay);
}

async function sendRequest() {
  controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  const dim = setTimeout(() => document.body.classList.add("waiting"), DIM_DELAY);
  try {
    if (!models.length) await loadModels(signal);
    answer = state.text ? await classify(requestBody(), signal) : null;
    if (answer) show();
    else clear("The answer appears here as you type.");
    element("key-form").hidden = true;
    showMessage("");
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    showProblem(error);
  } finally {
    clearTimeout(dim);
    if (!signal.aborted) document.body.classList.remove("waiting");
  }
  writeState(state);
}

/** Returns the body of a request for attention and contributions; a change of view needs no other. */
function requestBody() {
  const { text, model, label } = state;
  const fields = { text, model, explain: "contributions", explain_label: label, unit: "word" };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

function show() {
  showPrediction(answer, model(), explainedLabel());
  showExplanation(state.text, answer, model(), state.view);
  const url = new URL("classify", document.baseURI).href;
  element("curl").textContent = curlOf(url, requestBody(), hasKey());
  element("python").textContent = pythonOf(url, requestBody(), hasKey());
  element("request").hidden = false;
  element("explain-best").hidden = state.label === null;
}

/** Returns the label that the page explains; attention belongs to no label. */
function explainedLabel() {
  return state.view === "contributions" ? answer.explain_label : null;
}

function clear(sentence) {
  answer = null;
  clearPrediction(sentence);
  clearExplanation();
  element("request").hidden = true;
}

function showMessage(sentence) {
  const problem = element("problem");
  if (problem.textContent !== sentence) problem.textContent = sentence; // screen readers announce it once
}

function showProblem(problem) {
  const needsKey = problem.status === 401;
  clear("There is no answer to show.");
  showMessage(needsKey ? "This server requires an API key. Enter a valid key." : problem.message);
  element("key-form").hidden = !needsKey;
  if (problem.retryAfter !== null) timer = setTimeout(sendRequest, 1000 * problem.retryAfter);
}

async function loadModels(signal) {
  const served = await fetchModels(signal);
  models = served.models;
  if (!model()) state.model = served.default ?? models[0].name;
  element("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
  element("model-choice").hidden = models.length < 2;
  if (state.text === null) state.text = examplesFor(model())[0];
  showModel();
}

function showModel() {
  const { name, version, labels, max_tokens, provider } = model();
  if (state.label !== null && !labels.includes(state.label)) state.label = null;
  element("model").value = name;
  if (text.value !== state.text) text.value = state.text;
  setDirection();
  element("examples").replaceChildren(...examplesFor(model()).map(exampleItem));
  element("footer").textContent =
    `${name} ${version} · ${labels.length} labels · up to ${max_tokens} tokens · ${provider}`;
}

function exampleItem(example) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dir = "auto";
  button.textContent = example;
  button.addEventListener("click", () => {
    text.value = state.text = example;
    setDirection();
    scheduleRequest(0);
  });
  item.append(button);
  return item;
}

function setView(view) {
  state.view = view;
  document.querySelector(`[name=view][value=${view}]`).checked = true;
  showView(view);
  if (answer) showPrediction(answer, model(), explainedLabel());
  writeState(state);
}

text.addEventListener("input", () => {
  state.text = text.value;
  setDirection();
  scheduleRequest();
});
element("model").addEventListener("change", (event) => {
  const wasExample = examplesFor(model()).includes(state.text);
  state.model = event.target.value;
  if (wasExample) state.text = examplesFor(model())[0];
  showModel();
  scheduleRequest(0);
});
for (const choice of document.querySelectorAll("[name=view]")) {
  choice.addEventListener("change", () => setView(choice.value));
}
onChoose((label) => {
  state.label = state.label === label ? null : label;
  setView("contributions");
  scheduleRequest(0);
});
element("explain-best").addEventListener("click", () => {
  state.label = null;
  scheduleRequest(0);
});
element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(element("key").value.trim());
  scheduleRequest(0);
});
connectCopyButton(element("copy-curl"), () => element("curl").textContent);
connectCopyButton(element("copy-python"), () => element("python").textContent);
connectCopyButton(element("copy-link"), () => linkOf(state) && new URL(linkOf(state), document.baseURI).href);

addEventListener("hashchange", start);
start();

/** Reads the state from the address, at the start and after each change of it. */
function start() {
  state = readState();
  models = [];
  clear("");
  setView(state.view);
  text.value = state.text ?? "";
  setDirection();
  scheduleRequest(0);
}
