"""Split a text into segments at the tokens of its answer, for shading."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal


@dataclass
class Segment:
    """A part of a text: a word with its numbers, or the text between words without numbers."""

    start: int
    end: int
    attention: float | None = None
    contribution: float | None = None

    @property
    def weight(self) -> float:
        """The number that sets the shade: the contribution if there is one, else the attention."""
        return self.contribution if self.contribution is not None else self.attention or 0.0

    @property
    def kind(self) -> Literal["attention", "for", "against"]:
        """The colour of the shade; `for` and `against` are the sign of the contribution."""
        if self.contribution is None:
            return "attention"
        return "for" if self.contribution >= 0 else "against"


def split_segments(text: str, tokens: Iterable[Mapping[str, Any]]) -> list[Segment]:
    """Split a text at its tokens. The segments, in order, are exactly the text.

    Spans overlap where normalisation made several tokens of one character. Overlapping tokens
    become one segment, and their numbers are summed.
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
        segment
        for pair in zip(words[:-1], between, strict=True)
        for segment in pair
        if segment.start < segment.end
    ]
