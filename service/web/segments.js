// Splits a text into segments, which together are exactly the text that was sent.

/**
 * Splits a text at the words of an answer.
 *
 * Offsets of an answer count code points; JavaScript strings count UTF-16 units. Words can coincide or
 * overlap if normalisation made several words of one character: they become one segment, and their
 * numbers are added.
 *
 * Returns segments {kind, text}. The kind is "word", "between" for text between words, or "truncated"
 * for the end of a text that the model did not use. A word also has start and end (code points),
 * attention and contribution.
 */
export function segment(text, tokens, truncated) {
  const units = unitOffsets(text);
  const segments = [];
  let position = 0; // code points
  for (const word of mergeOverlapping(tokens)) {
    if (word.start > position) segments.push(slice("between", position, word.start));
    segments.push({ ...slice("word", word.start, word.end), ...word });
    position = word.end;
  }
  const end = units.length - 1;
  if (end > position) segments.push(slice(truncated ? "truncated" : "between", position, end));
  return segments;

  function slice(kind, start, end) {
    return { kind, text: text.slice(units[start], units[end]) };
  }
}

/** Returns the offset of each code point in UTF-16 units, and last the length of the text. */
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

function mergeOverlapping(tokens) {
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
