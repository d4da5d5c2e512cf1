"""A text cut at the tokens of its answer, to be shaded piece by piece."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass
class Segment:
    """A part of a text: a word, with its numbers, or what stands between words, without."""

    start: int
    end: int
    attention: float | None = None
    contribution: float | None = None

    @property
    def weight(self) -> float:
        """What it is shaded by: the contribution if there is one, else the attention."""
        return self.contribution if self.contribution is not None else self.attention or 0.0

    @property
    def kind(self) -> str:
        """`looked`, `for` or `against`."""
        if self.contribution is None:
            return "looked"
        return "for" if self.contribution >= 0 else "against"


def split_segments(text: str, tokens: Iterable[Mapping[str, Any]]) -> list[Segment]:
    """Cut a text at its tokens; the pieces in order are the text, exactly.

    Spans may coincide or overlap, where normalisation made one character several tokens: those
    become one piece, and their numbers are summed.
    """
    words = [Segment(0, 0)]
    for token in sorted(tokens, key=lambda token: int(token["start"])):
        numbers = token["attention"], token.get("contribution")
        new = Segment(token["start"], token["end"], *numbers)
        last = words[-1]
        if new.start < last.end and last.attention is not None and new.attention is not None:
            last.end = max(last.end, new.end)
            last.attention += new.attention
            if last.contribution is not None and new.contribution is not None:
                last.contribution += new.contribution
        else:
            words.append(new)
    words.append(Segment(len(text), len(text)))
    between = [Segment(left.end, right.start) for left, right in pairwise(words)]
    return [
        piece
        for pair in zip(words[:-1], between, strict=True)
        for piece in pair
        if piece.start < piece.end
    ]
