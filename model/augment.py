"""More text like the training text, for a teacher to label (after Tang et al. 2019).

Three kinds, as many of each:

- crossed: one text up to some word, and what follows the same word in another text;
- thinned: a text with a share of its words left out;
- cropped: some words of a text, in a row.

None has a label of its own: who crosses two texts cannot know what became of their meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.tokenizer import Tokenizer

MOST_OF_EACH = 10
"""New texts for each row, at most."""
MOST_WORDS = 2_000_000
"""Words of all texts, old and new: what a teacher labels in less time than it takes to train it."""
LONGEST = 512
"""Tokens of a row that are used."""


@dataclass(frozen=True)
class _Words:
    """Where the words of N texts begin, one text after another."""

    texts: Sequence[str]
    first: NDArray[np.int64]  # (N + 1,): text n has the words first[n] to first[n + 1]
    places: NDArray[np.int64]  # (words,), in code points of their text
    ends: NDArray[np.int64]  # (N,), where what is used of a text ends
    keys: NDArray[np.int64]  # (words,), equal for equal words

    def pieces(self, text: int) -> list[str]:
        """A text, cut where its words begin."""
        places = [*self.places[self.first[text] : self.first[text + 1]], self.ends[text]]
        return [self.texts[text][a:b] for a, b in pairwise(places)]


def augment(texts: Sequence[str], tokenizer: Tokenizer, seed: int) -> list[str]:
    """Make new texts of old ones: ten for each, fewer where there are many words already.

    Equal arguments give equal texts.

    Args:
        texts: training text.
        tokenizer: says what a word is, in any script.
        seed: decides what is made.
    """
    words = _words(texts, tokenizer)
    room = max(0, MOST_WORDS - len(words.keys)) * len(texts) // len(words.keys)
    random = np.random.default_rng((seed, 2))
    by_key = np.argsort(words.keys, kind="stable")
    bounds = np.searchsorted(words.keys[by_key], np.arange(words.keys.max() + 2))
    made = []
    for number in range(min(MOST_OF_EACH * len(texts), room)):
        text, kind = number % len(texts), (number + number // len(texts)) % 3
        pieces = words.pieces(text)
        if kind == 0:
            here = int(random.integers(len(pieces)))
            key = words.keys[words.first[text] + here]
            there = by_key[random.integers(bounds[key], bounds[key + 1])]
            other = int(np.searchsorted(words.first, there, side="right")) - 1
            rest = words.texts[other][words.places[there] : words.ends[other]]
            made.append("".join(pieces[:here]) + rest)
        elif kind == 1:
            kept = random.random(len(pieces)) >= random.uniform(0.1, 0.5)
            kept[random.integers(len(pieces))] = True
            made.append("".join(map(_thin, pieces, kept)))
        else:
            begin, end = np.sort(random.integers(0, len(pieces), 2))
            made.append("".join(pieces[begin : end + 1]))
    return [text for text in map(str.strip, made) if tokenizer.ids(text)]


def _thin(piece: str, stays: bool) -> str:
    """A piece, or the space it ends with: words that it parted stay apart."""
    return piece if stays else piece[len(piece.rstrip()) :]


def _words(texts: Sequence[str], tokenizer: Tokenizer) -> _Words:
    numbers: dict[str, int] = {}
    first, places, ends, keys = [0], [], [], []
    for text in texts:
        encoding = tokenizer.encode(text, LONGEST)
        spans, words = encoding.spans, encoding.words
        begins = [0]  # tokens that begin a word; what shares a character (¼) is one
        for token in range(1, len(words)):
            if words[token] != words[token - 1] and spans[token][0] > spans[begins[-1]][0]:
                begins.append(token)
        places += [spans[token][0] for token in begins]
        ends.append(spans[-1][1])
        keys += [
            numbers.setdefault(text[spans[a][0] : spans[b - 1][1]].casefold(), len(numbers))
            for a, b in pairwise([*begins, len(words)])
        ]
        first.append(len(places))
    return _Words(texts, *(np.array(part, dtype=np.int64) for part in (first, places, ends, keys)))
