// The state of the page in its address. The text stands after the '#', which browsers do not send to
// servers.

const MAX_LINK_LENGTH = 200_000; // characters; browsers truncate or reject much longer links

/** Returns the state in the address; null stands for the default of the server. */
export function readState() {
  const fields = new URLSearchParams(location.hash.slice(1));
  return {
    text: fields.get("text"),
    model: fields.get("model"),
    label: fields.get("label"),
    view: fields.get("view") === "contributions" ? "contributions" : "attention",
  };
}

/** Returns the part of a link that holds the state, or null if the text is too long. */
export function linkOf({ text, model, label, view }) {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries({ model, view, label, text })) {
    if (value) fields.set(name, value);
  }
  const link = `#${fields}`;
  return link.length > MAX_LINK_LENGTH ? null : link;
}

/** Writes the state to the address, so that the address is the link. */
export function writeState(state) {
  try {
    history.replaceState(null, "", linkOf(state) ?? "#");
  } catch { /* some browsers reject many changes within seconds; a later change succeeds */ }
}
