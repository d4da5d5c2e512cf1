"""Long stretches of a text that say nothing, cut short before it is tokenized.

To tokenize a million of such characters takes a second, and a text is read only as far as its
tokens may need.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass

INVISIBLE = (
    "\\s\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
"""White space, Cc and Cf: what no word is made of."""
COMBINING = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\ufe00-\ufe0f\ufe20-\ufe2f"
    "\U000e0100-\U000e01ef"
)
"""Marks that stand over, under or behind a character; some tokenizers read none of them."""
WHITESPACE_RUN = re.compile(f"(?<![{INVISIBLE}])[{INVISIBLE}]{{32,}}")
"""Parts words as a space does."""
COMBINING_RUN = re.compile(f"(?<![{COMBINING}])[{COMBINING}]{{32,}}")
"""Is as good as the first of its marks, where these are not read."""


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """Where stretches of a text were replaced by one character each."""

    places: list[int]
    """Of these characters, in the shortened text."""
    shifts: list[int]
    """Code points that are missing before the first gap, after the first, after the second..."""

    def restore(self, place: int) -> int:
        """Where a place of the shortened text stands in the text as sent."""
        return place + self.shifts[bisect_left(self.places, place)]


def collapse_whitespace(text: str, *, with_piles: bool) -> tuple[str, OffsetMap]:
    """A text with a space for each gap and, if they are not read, a mark for each pile of marks."""
    found = list(WHITESPACE_RUN.finditer(text))
    if with_piles:
        found = sorted([*found, *COMBINING_RUN.finditer(text)], key=lambda match: match.start())
    pieces: list[str] = []
    offset_map = OffsetMap([], [0])
    end = length = 0
    for match in found:
        pieces += text[end : match.start()], " " if match.re is WHITESPACE_RUN else match[0][0]
        length += match.start() - end + 1
        end = match.end()
        offset_map.places.append(length - 1)
        offset_map.shifts.append(end - length)
    return "".join([*pieces, text[end:]]), offset_map
