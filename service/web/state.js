// What the page shows, and the link that brings it back. The text stays behind the '#', which
// browsers do not send to servers.

const LONGEST_LINK = 200_000; // characters; browsers cut or refuse much longer ones

/** The state that the address holds; null stands for "as the server has it". */
export function readState() {
  const fields = new URLSearchParams(location.hash.slice(1));
  return {
    text: fields.get("text"),
    model: fields.get("model"),
    label: fields.get("label"),
    view: fields.get("view") === "contributions" ? "contributions" : "attention",
  };
}

/** The part of a link that holds the state, or null when the text is too long for one. */
export function linkOf({ text, model, label, view }) {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries({ model, view, label, text })) {
    if (value) fields.set(name, value);
  }
  const link = `#${fields}`;
  return link.length > LONGEST_LINK ? null : link;
}

/** Put the state into the address, so that the page's address is the link. */
export function writeState(state) {
  try {
    history.replaceState(null, "", linkOf(state) ?? "#");
  } catch { /* some browsers refuse after many changes within seconds; the next one will do */ }
}
