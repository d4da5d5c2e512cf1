// From an answer's tokens to pieces of text to show, which together are the text exactly as sent.

/**
 * Cut a text at its words.
 *
 * Offsets of an answer count code points, JavaScript's strings count UTF-16 units. Spans may coincide
 * or overlap, where normalisation made one character several words: those become one piece, with
 * their numbers summed.
 *
 * Returns pieces {kind, text}: kind is "gap" between words, "unread" past the last word of a
 * truncated text, or "word", which also has start, end (code points), attention and contribution.
 */
export function segment(text, tokens, truncated) {
  const units = unitOffsets(text);
  const pieces = [];
  let read = 0; // code points
  for (const word of merge(tokens)) {
    if (word.start > read) pieces.push(piece("gap", read, word.start));
    pieces.push({ ...piece("word", word.start, word.end), ...word });
    read = word.end;
  }
  const end = units.length - 1;
  if (end > read) pieces.push(piece(truncated ? "unread" : "gap", read, end));
  return pieces;

  function piece(kind, from, to) {
    return { kind, text: text.slice(units[from], units[to]) };
  }
}

/** Where each code point begins, in UTF-16 units, and at last the text's length. */
export function unitOffsets(text) {
  const offsets = [];
  let unit = 0;
  for (const character of text) {
    offsets.push(unit);
    unit += character.length;
  }
  offsets.push(unit);
  return offsets;
}

function merge(tokens) {
  const words = [];
  for (const { start, end, attention, contribution } of tokens.toSorted((a, b) => a.start - b.start)) {
    const last = words.at(-1);
    if (last && (start < last.end || start === end || last.start === last.end)) {
      last.end = Math.max(last.end, end);
      last.attention += attention;
      last.contribution += contribution;
    } else {
      words.push({ start, end, attention, contribution });
    }
  }
  return words;
}
