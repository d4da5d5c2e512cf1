"""A cache of tokenized chunks. A chunk is the text between two spaces.

Texts repeat their words, and a look-up is faster than tokenizing a word again.
`python -m benchmarks.speed.tokenizer` measures the gain.
"""

from dataclasses import dataclass
from typing import cast

import tokenizers

MAX_CACHED_CHUNKS = 30_000
"""Maximum number of cached chunks (about 20 MB). Above it the cache starts empty again."""
MAX_CACHED_CHARACTERS = 32
"""Maximum length of a cached chunk."""
PROBE = (
    " The  cat's mat, (sat) on a MAT\u00e9! e\u0301 好看 1,5 U.S. don't\tx \u0301 \ufb01n\n "
    '"no": 3:2; a?!(b)(c).. d?. !\u0301! e,.  the end.'
)
"""Text on which tokenizing by chunks must equal tokenizing the whole text."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The tokens of one chunk."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    """Start and end of each token, in code points from the start of the chunk."""
    words: tuple[int, ...]
    """Index of the word (pre-token) of each token; the first word of the chunk is 0."""


Chunks = list[tuple[int, Chunk]]
"""The chunks of a text that have tokens, each with its offset in the text, in code points."""


class TokenCache:
    """Tokenizes a text chunk by chunk and caches the chunks.

    Where the tokens would differ (see `_can_split`), it tokenizes the whole text instead.

    Args:
        inner: the Hugging Face tokenizer.
        max_chunks: maximum number of cached chunks.
    """

    def __init__(self, inner: tokenizers.Tokenizer, max_chunks: int = MAX_CACHED_CHUNKS) -> None:
        self._inner = inner
        self._max_chunks = max_chunks
        self._cache: dict[str, Chunk] = {}
        self._splits = True
        self._splits = self._can_split()

    def __len__(self) -> int:
        """The number of cached chunks."""
        return len(self._cache)

    def tokenize(self, text: str) -> Chunks:
        """Tokenize a text. Safe to call from several threads."""
        if not self._splits:
            return [(0, self._tokenize([text])[0])]
        cache = self._cache
        parts = text.split(" ")
        uncached: dict[str, Chunk] = {}
        if new := list({part: None for part in parts if part and part not in cache}):
            for part, chunk in zip(new, self._tokenize(new), strict=True):
                (cache if len(part) <= MAX_CACHED_CHARACTERS else uncached)[part] = chunk
            if len(cache) > self._max_chunks:  # other threads keep their reference to the old dict
                self._cache = {}
        chunks = []
        offset = 0
        for part in parts:
            if part:
                chunk = cache.get(part) or uncached[part]
                if chunk.ids:
                    chunks.append((offset, chunk))
                offset += len(part)
            offset += 1
        return chunks

    def _can_split(self) -> bool:
        """True if tokenizing chunk by chunk gives the same tokens as tokenizing the whole text.

        False for tokenizers that include the space in the token (GPT-2 BPE), and for those that
        cannot tokenize the probe because they have no unknown token.
        """
        try:
            return _describe(self.tokenize(PROBE)) == _describe([(0, self._tokenize([PROBE])[0])])
        except Exception:  # the library raises a bare Exception
            return False

    def _tokenize(self, parts: list[str]) -> list[Chunk]:
        """Tokenize several chunks in one call, joined by spaces."""
        encoding = self._inner.encode(" ".join(parts), add_special_tokens=False)
        ids, spans = encoding.ids, encoding.offsets
        words = cast("list[int]", encoding.word_ids)  # None only for special tokens
        chunks = []
        offset = last = 0
        for part in parts:
            first, end = last, offset + len(part)
            while last < len(ids) and spans[last][0] < end:
                last += 1
            chunks.append(
                Chunk(
                    tuple(ids[first:last]),
                    tuple([(start - offset, stop - offset) for start, stop in spans[first:last]]),
                    tuple([word - words[first] for word in words[first:last]]),
                )
            )
            offset = end + 1
        return chunks


def token_ids(chunks: Chunks) -> list[int]:
    """Return the token ids of a text, given as its chunks."""
    return [token_id for _, chunk in chunks for token_id in chunk.ids]


def token_spans(chunks: Chunks) -> list[tuple[int, int]]:
    """Return start and end of each token in the text, in code points."""
    return [
        (offset + start, offset + end) for offset, chunk in chunks for start, end in chunk.spans
    ]


def word_ids(chunks: Chunks) -> list[int]:
    """Return the word index of each token, ascending."""
    words: list[int] = []
    for _, chunk in chunks:
        first = words[-1] + 1 if words else 0
        words += [first + word for word in chunk.words]
    return words


def _describe(chunks: Chunks) -> tuple[list[int], list[tuple[int, int]], list[bool]]:
    """Return ids, spans, and whether each token is the first of its word."""
    words = word_ids(chunks)
    starts_word = [word != before for before, word in zip([-1, *words], words, strict=False)]
    return token_ids(chunks), token_spans(chunks), starts_word
