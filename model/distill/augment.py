"""More text like the training text, for a teacher to label (after Tang et al. 2019).

Long texts give their sentences, which are real text. Where that leaves room, short ones are taken
to pieces, in three kinds, as many of each:

- crossed: one text up to some word, and what follows the same word in another text;
- thinned: a text with a share of its words left out;
- cropped: some words of a text, in a row.

Where `Synonyms` are known, twice as many are put in other words: so the network meets words that no
row has, and is told what the teacher makes of them.

None has a label of its own: who crosses two texts cannot know what became of their meaning, nor who
reads one sentence of a review what the others say.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from heed.model.distill.synonyms import Synonyms
from heed.model.text.tokenizer import Tokenizer

MAX_TEXTS_PER_ROW = 30
"""New texts for each row, at most."""
MAX_WORDS = 12_000_000
"""Words of short rows and new texts together."""
MAX_TEACHER_TOKENS = 128
"""Tokens of a text that is longer than what a teacher reads at once."""
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*|\s*<br\s*/?>\s*|\n+")


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


def augment(
    texts: Sequence[str], tokenizer: Tokenizer, seed: int, synonyms: Synonyms | None = None
) -> list[str]:
    """Make new texts of old ones: at most thirty for each short one, and 12 million words of all.

    Equal arguments give equal texts.

    Args:
        texts: training text.
        tokenizer: says what a word is, in any script.
        seed: decides what is made.
        synonyms: what may stand for its tokens, where that is known.
    """
    random = np.random.default_rng((seed, 2))
    short, long = list[str](), list[str]()
    for text in texts:
        (long if is_long(text, tokenizer) else short).append(text)
    words = _words(short, tokenizer)
    room = MAX_WORDS - len(words.keys)
    made = []
    for sentence in _shuffled(sentences(long), random):
        if room <= 0:
            break
        room -= len(set(tokenizer.encode(sentence, MAX_TEACHER_TOKENS).words))
        made.append(sentence)
    if short and room > 0:
        count = min(MAX_TEXTS_PER_ROW * len(short), room * len(short) // len(words.keys))
        pieces = count // 3 if synonyms else count
        made += _recombine(words, pieces, random)
        if synonyms:
            read = [(text, tokenizer.encode(text, MAX_TEACHER_TOKENS)) for text in short]
            again = islice(cycle(read), count - pieces)
            made += (synonyms.put(text, encoding, random) for text, encoding in again)
    return [text for text in map(str.strip, made) if tokenizer.ids(text)]


def is_long(text: str, tokenizer: Tokenizer) -> bool:
    """Whether a teacher would not read the whole of it."""
    return (
        len(text) > MAX_TEACHER_TOKENS
        and len(tokenizer.encode(text, MAX_TEACHER_TOKENS + 1).ids) > MAX_TEACHER_TOKENS
    )


def sentences(texts: Iterable[str]) -> list[str]:
    """Cut texts where a sentence ends, in any script, or a line."""
    parts = chain.from_iterable(map(_SENTENCE_END.split, texts))
    return [part for part in parts if any(map(str.isalnum, part))]


def _shuffled(texts: list[str], random: np.random.Generator) -> Iterator[str]:
    return (texts[place] for place in random.permutation(len(texts)))


def _recombine(words: _Words, count: int, random: np.random.Generator) -> Iterator[str]:
    """Texts crossed, thinned and cropped, in turn."""
    texts = len(words.texts)
    by_key = np.argsort(words.keys, kind="stable")
    bounds = np.searchsorted(words.keys[by_key], np.arange(words.keys.max() + 2))
    for number in range(count):
        text, kind = number % texts, (number + number // texts) % 3
        pieces = words.pieces(text)
        if kind == 0:
            here = int(random.integers(len(pieces)))
            key = words.keys[words.first[text] + here]
            there = by_key[random.integers(bounds[key], bounds[key + 1])]
            other = int(np.searchsorted(words.first, there, side="right")) - 1
            rest = words.texts[other][words.places[there] : words.ends[other]]
            yield "".join(pieces[:here]) + rest
        elif kind == 1:
            kept = random.random(len(pieces)) >= random.uniform(0.1, 0.5)
            kept[random.integers(len(pieces))] = True
            yield "".join(map(_drop_word, pieces, kept))
        else:
            begin, end = np.sort(random.integers(0, len(pieces), 2))
            yield "".join(pieces[begin : end + 1])


def _drop_word(piece: str, stays: bool) -> str:
    """A piece, or the space it ends with: words that it parted stay apart."""
    return piece if stays else piece[len(piece.rstrip()) :]


def _words(texts: Sequence[str], tokenizer: Tokenizer) -> _Words:
    numbers: dict[str, int] = {}
    first, places, ends, keys = [0], [], [], []
    for text in texts:
        encoding = tokenizer.encode(text, MAX_TEACHER_TOKENS)
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
