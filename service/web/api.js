// The two calls that the page makes, and their errors as sentences.

const KEY = "heed-key";

let key = null;
try {
  key = sessionStorage.getItem(KEY);
} catch { /* storage is switched off: the key lasts as long as the page */ }

/** Whether calls carry an API key. */
export function hasKey() {
  return key !== null;
}

/** Use an API key from now on, in this tab only. */
export function useKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch { /* as above */ }
}

/** What went wrong, as a sentence; `status` is 0 when no answer came at all. */
export class Problem extends Error {
  constructor(sentence, status, retryAfter) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter; // seconds, or null when asking again would not help
  }
}

/** GET /models: {default, models}. */
export function fetchModels(signal) {
  return call("models", { signal });
}

/** POST /classify. */
export function classify(request, signal) {
  const headers = { "Content-Type": "application/json" };
  return call("classify", { method: "POST", headers, body: JSON.stringify(request), signal });
}

async function call(path, { headers = {}, ...options }) {
  if (key) headers = { ...headers, Authorization: `Bearer ${key}` };
  try {
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return await response.json();
    throw await problemOf(response);
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. It will be asked again.", 0, 3);
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const text = problem.errors?.[0]?.msg ?? problem.detail ?? `The server answered ${response.status}.`;
  const waits = response.status === 429 || response.status === 503;
  const seconds = Number(response.headers.get("Retry-After")) || 3;
  return new Problem(sentence(text), response.status, waits ? seconds : null);
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?。]$/.test(begun) ? begun : `${begun}.`;
}
