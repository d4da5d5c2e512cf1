"""A tokenizer that remembers: what stands between two spaces is tokenized once.

Text repeats its words, and to look one up is quicker than to normalise, cut and merge it again:
`python -m benchmarks.reading` measures by how much.
"""

from dataclasses import dataclass
from typing import cast

import tokenizers

MAX_CACHED_CHUNKS = 30_000
"""Chunks that are remembered, twenty megabytes; when there are more, it begins anew."""
MAX_CACHED_CHARACTERS = 32
"""Characters of a chunk that is remembered."""
PROBE = (
    " The  cat's mat, (sat) on a MAT\u00e9! e\u0301 好看 1,5 U.S. don't\tx \u0301 \ufb01n\n "
    '"no": 3:2; a?!(b)(c).. d?. !\u0301! e,.  the end.'
)
"""Text that a tokenizer must read alike whole and in chunks."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The tokens of a piece of text."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    """Start and end of each, in code points of the chunk."""
    words: tuple[int, ...]
    """The number of the word (pre-token) of each."""


Chunks = list[tuple[int, Chunk]]
"""A text's chunks that have tokens, each with the place where it begins."""


class TokenCache:
    """Reads text in chunks where that changes nothing, else whole."""

    def __init__(self, inner: tokenizers.Tokenizer, most: int = MAX_CACHED_CHUNKS) -> None:
        """Read with `inner`; remember at most so many chunks."""
        self._inner = inner
        self._most = most
        self._known: dict[str, Chunk] = {}
        self._parts = True
        self._parts = self._may_part()

    def read(self, text: str) -> Chunks:
        """Tokenize a text; any thread may."""
        if not self._parts:
            return [(0, self._tokenize([text])[0])]
        known = self._known
        pieces = text.split(" ")
        once: dict[str, Chunk] = {}
        if fresh := list({piece: None for piece in pieces if piece and piece not in known}):
            for piece, chunk in zip(fresh, self._tokenize(fresh), strict=True):
                (known if len(piece) <= MAX_CACHED_CHARACTERS else once)[piece] = chunk
            if len(known) > self._most:  # in threads that read with it, it lives on
                self._known = {}
        chunks = []
        place = 0
        for piece in pieces:
            if piece:
                chunk = known.get(piece) or once[piece]
                if chunk.ids:
                    chunks.append((place, chunk))
                place += len(piece)
            place += 1
        return chunks

    def _may_part(self) -> bool:
        """Whether the probe reads alike: where words end at spaces. For some, a space is of a word.

        A tokenizer that has no token for what it does not know cannot read it, and other text yet.
        """
        try:
            return _describe(self.read(PROBE)) == _describe([(0, self._tokenize([PROBE])[0])])
        except Exception:  # the library raises a bare one
            return False

    def _tokenize(self, pieces: list[str]) -> list[Chunk]:
        """Tokenize pieces, all at once: joined by spaces they are a text."""
        found = self._inner.encode(" ".join(pieces), add_special_tokens=False)
        ids, spans = found.ids, found.offsets
        words = cast("list[int]", found.word_ids)  # only special tokens are of no word
        chunks = []
        place = last = 0
        for piece in pieces:
            first, end = last, place + len(piece)
            while last < len(ids) and spans[last][0] < end:
                last += 1
            chunks.append(
                Chunk(
                    tuple(ids[first:last]),
                    tuple([(start - place, stop - place) for start, stop in spans[first:last]]),
                    tuple([word - words[first] for word in words[first:last]]),
                )
            )
            place = end + 1
        return chunks


def ids_of(chunks: Chunks) -> list[int]:
    """The ids of all tokens."""
    return [number for _, chunk in chunks for number in chunk.ids]


def spans_of(chunks: Chunks) -> list[tuple[int, int]]:
    """Where each token stands in the text, in code points."""
    return [(place + start, place + end) for place, chunk in chunks for start, end in chunk.spans]


def words_of(chunks: Chunks) -> list[int]:
    """The number of the word of each token, ascending."""
    words: list[int] = []
    for _, chunk in chunks:
        before = words[-1] + 1 if words else 0
        words += [before + number for number in chunk.words]
    return words


def _describe(chunks: Chunks) -> tuple[list[int], list[tuple[int, int]], list[bool]]:
    """Ids, spans, and whether each token begins a word."""
    words = words_of(chunks)
    begins = [number != before for before, number in zip([-1, *words], words, strict=False)]
    return ids_of(chunks), spans_of(chunks), begins
