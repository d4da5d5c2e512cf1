// The page's one loop: the text changes, the server is asked, the answer is shown.

import { Problem, classify, fetchModels, hasKey, useKey } from "./api.js";
import { examplesFor } from "./examples.js";
import { clearReading, showReading, showView } from "./reading.js";
import { copies, curlOf, pythonOf } from "./snippets.js";
import { linkOf, readState, writeState } from "./state.js";
import { clearVerdict, onChoose, showVerdict } from "./verdict.js";

const PAUSE = 120; // milliseconds without a key before the server is asked,
const PAUSE_PER_CHARACTER = 0.02; // and more for long texts, whose reasons take longer to draw
const SLOW = 400; // milliseconds after which an old answer is dimmed

const RIGHT_TO_LEFT = /\p{Script=Arabic}|\p{Script=Hebrew}|\p{Script=Syriac}|\p{Script=Thaana}|\p{Script=Nko}/u;
const LOOKED_AT = 1000; // characters that tell a text's direction

const element = (id) => document.getElementById(id);
const text = element("text");

let state = readState(); // {text, model, label, view}
let models = []; // as /models describes them
let answer = null; // the last one, to state.text
let asked = new AbortController(); // the call in flight
let timer = null;

const model = () => models.find(({ name }) => name === state.model);

/** Let the text run as its first letter does: to `dir="auto"` a megabyte is ten seconds of layout. */
function turn() {
  const first = text.value.slice(0, LOOKED_AT).match(/\p{Letter}/u)?.[0] ?? "";
  text.dir = RIGHT_TO_LEFT.test(first) ? "rtl" : "ltr";
}

/** Ask after a pause in typing; what was asked before is dropped at once. */
function askSoon(pause = PAUSE + PAUSE_PER_CHARACTER * Math.min(text.value.length, 20_000)) {
  asked.abort();
  clearTimeout(timer);
  timer = setTimeout(ask, pause);
}

async function ask() {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  const dim = setTimeout(() => document.body.classList.add("waiting"), SLOW);
  try {
    if (!models.length) await loadModels(signal);
    answer = state.text ? await classify(request(), signal) : null;
    if (answer) show();
    else clear("The answer appears here as you type.");
    element("key-form").hidden = true;
    tell("");
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

/** One call brings both attention and contributions, so that switching needs no other. */
function request() {
  const { text, model, label } = state;
  const fields = { text, model, explain: "contributions", explain_label: label, unit: "word" };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

function show() {
  showVerdict(answer, model(), explained());
  showReading(state.text, answer, model(), state.view);
  const url = new URL("classify", document.baseURI).href;
  element("curl").textContent = curlOf(url, request(), hasKey());
  element("python").textContent = pythonOf(url, request(), hasKey());
  element("call").hidden = false;
  element("follow").hidden = state.label === null;
}

/** The label whose reasons are shown; attention speaks for none. */
function explained() {
  return state.view === "contributions" ? answer.explain_label : null;
}

function clear(sentence) {
  answer = null;
  clearVerdict(sentence);
  clearReading();
  element("call").hidden = true;
}

function tell(sentence) {
  const problem = element("problem");
  if (problem.textContent !== sentence) problem.textContent = sentence; // said aloud only once
}

function showProblem(problem) {
  const wantsKey = problem.status === 401;
  clear("There is no answer to show.");
  tell(wantsKey ? "This server wants an API key; enter one that it knows." : problem.message);
  element("key-form").hidden = !wantsKey;
  if (problem.retryAfter !== null) timer = setTimeout(ask, 1000 * problem.retryAfter);
}

async function loadModels(signal) {
  const answer = await fetchModels(signal);
  models = answer.models;
  if (!model()) state.model = answer.default ?? models[0].name;
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
  turn();
  element("examples").replaceChildren(...examplesFor(model()).map(exampleItem));
  element("footer").textContent =
    `${name} ${version} · ${labels.length} labels · reads up to ${max_tokens} tokens · ${provider}`;
}

function exampleItem(example) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dir = "auto";
  button.textContent = example;
  button.addEventListener("click", () => {
    text.value = state.text = example;
    turn();
    askSoon(0);
  });
  item.append(button);
  return item;
}

function setView(view) {
  state.view = view;
  document.querySelector(`[name=view][value=${view}]`).checked = true;
  showView(view);
  if (answer) showVerdict(answer, model(), explained());
  writeState(state);
}

text.addEventListener("input", () => {
  state.text = text.value;
  turn();
  askSoon();
});
element("model").addEventListener("change", (event) => {
  const wasExample = examplesFor(model()).includes(state.text);
  state.model = event.target.value;
  if (wasExample) state.text = examplesFor(model())[0];
  showModel();
  askSoon(0);
});
for (const choice of document.querySelectorAll("[name=view]")) {
  choice.addEventListener("change", () => setView(choice.value));
}
onChoose((label) => {
  state.label = state.label === label ? null : label;
  setView("contributions");
  askSoon(0);
});
element("follow").addEventListener("click", () => {
  state.label = null;
  askSoon(0);
});
element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(element("key").value.trim());
  askSoon(0);
});
copies(element("copy-curl"), () => element("curl").textContent);
copies(element("copy-python"), () => element("python").textContent);
copies(element("copy-link"), () => linkOf(state) && new URL(linkOf(state), document.baseURI).href);

addEventListener("hashchange", start);
start();

/** Take the state from the address, at first and whenever a link changes it. */
function start() {
  state = readState();
  models = [];
  clear("");
  setView(state.view);
  text.value = state.text ?? "";
  turn();
  askSoon(0);
}
