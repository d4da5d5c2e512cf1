// Numbers as text.

/** Returns 0.98765 as "98.8 %". */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** Returns "+" or a minus sign; an empty string for zero. */
export function sign(value) {
  return value > 0 ? "+" : value < 0 ? "−" : "";
}

/** Returns a number with its sign and three decimals. */
export function signed(value) {
  const digits = Math.abs(value).toFixed(3);
  return (Number(digits) === 0 ? "" : sign(value)) + digits;
}

/** Returns a weight with three decimals. */
export function weight(value) {
  return value.toFixed(3);
}
