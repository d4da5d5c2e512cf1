"""Collapse long runs of white space and of combining marks before a text is tokenized.

The tokenizer ignores these characters, but it needs a second for a million of them. Heed tokenizes
only a prefix of a long text, and such a run must not fill this prefix.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass

INVISIBLE = (
    "\\s\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
"""White space and the Unicode categories Cc and Cf. No word contains these characters."""
COMBINING = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\ufe00-\ufe0f\ufe20-\ufe2f"
    "\U000e0100-\U000e01ef"
)
"""Combining marks and variation selectors. Some tokenizers strip them."""
WHITESPACE_RUN = re.compile(f"(?<![{INVISIBLE}])[{INVISIBLE}]{{32,}}")
"""Separates words as one space does."""
COMBINING_RUN = re.compile(f"(?<![{COMBINING}])[{COMBINING}]{{32,}}")
"""Equals its first character where the tokenizer strips combining marks."""


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """Maps offsets in a collapsed text to offsets in the original text."""

    positions: list[int]
    """Offset in the collapsed text of each character that replaces a run."""
    shifts: list[int]
    """Code points removed before the first such character, after the first, after the second..."""

    def restore(self, offset: int) -> int:
        """Return the offset in the original text of an offset in the collapsed text."""
        return offset + self.shifts[bisect_left(self.positions, offset)]


def collapse_whitespace(text: str, *, collapse_combining: bool) -> tuple[str, OffsetMap]:
    """Replace each long run of white space by one space.

    Args:
        text: the text.
        collapse_combining: also replace each long run of combining marks by its first mark. Correct
            only for a tokenizer that strips combining marks.

    Returns:
        The collapsed text, and the map back to the offsets of `text`.
    """
    runs = list(WHITESPACE_RUN.finditer(text))
    if collapse_combining:
        runs = sorted([*runs, *COMBINING_RUN.finditer(text)], key=lambda match: match.start())
    parts: list[str] = []
    offset_map = OffsetMap([], [0])
    end = length = 0
    for run in runs:
        parts += text[end : run.start()], " " if run.re is WHITESPACE_RUN else run[0][0]
        length += run.start() - end + 1
        end = run.end()
        offset_map.positions.append(length - 1)
        offset_map.shifts.append(end - length)
    return "".join([*parts, text[end:]]), offset_map
