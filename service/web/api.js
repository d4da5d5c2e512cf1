// The two requests of the page. Each error becomes a sentence for the reader.

const KEY = "heed-key";

let key = null;
try {
  key = sessionStorage.getItem(KEY);
} catch { /* storage is disabled: the key lasts until the page is closed */ }

/** Returns true if requests send an API key. */
export function hasKey() {
  return key !== null;
}

/** Sends this API key with every later request of this tab. */
export function setKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch { /* as above */ }
}

/** An error whose message is a sentence; `status` is 0 if the server did not answer. */
export class Problem extends Error {
  constructor(sentence, status, retryAfter) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter; // seconds, or null if a second request cannot succeed
  }
}

/** GET /models; returns {default, models}. */
export function fetchModels(signal) {
  return send("models", { signal });
}

/** POST /classify; returns the answer. */
export function classify(request, signal) {
  const headers = { "Content-Type": "application/json" };
  return send("classify", { method: "POST", headers, body: JSON.stringify(request), signal });
}

async function send(path, { headers = {}, ...options }) {
  if (key) headers = { ...headers, Authorization: `Bearer ${key}` };
  try {
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return await response.json();
    throw await problemOf(response);
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. The page tries again every few seconds.", 0, 3);
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const text = problem.errors?.[0]?.msg ?? problem.detail ?? `The server answered ${response.status}.`;
  const retryable = response.status === 429 || response.status === 503;
  const seconds = Number(response.headers.get("Retry-After")) || 3;
  return new Problem(sentence(text), response.status, retryable ? seconds : null);
}

function sentence(text) {
  const capitalised = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?。]$/.test(capitalised) ? capitalised : `${capitalised}.`;
}
