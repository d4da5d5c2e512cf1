// Numbers as people read them.

/** 0.98765 as "98.8 %". */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** "+" or a true minus; nothing for zero. */
export function sign(value) {
  return value > 0 ? "+" : value < 0 ? "−" : "";
}

/** A number with its sign, to three decimals. */
export function signed(value) {
  const digits = Math.abs(value).toFixed(3);
  return (Number(digits) === 0 ? "" : sign(value)) + digits;
}

/** A weight, to three decimals. */
export function weight(value) {
  return value.toFixed(3);
}
