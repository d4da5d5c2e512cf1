"""Make additional texts of the training texts, for a teacher to label (after Tang et al. 2019).

Long texts are split into sentences. If these are too few, new texts of three kinds are made of the
short texts, in equal numbers:

- crossed: one text up to some word, then the rest of another text after the same word;
- thinned: a text without some of its words;
- cropped: a sequence of words of a text.

With `Synonyms`, two thirds of the texts made of short ones have words replaced instead. So the
network is also trained on words that no row contains, with the teacher's labels.

Augmented texts get no hard label, because mixing two texts can change the label, and one sentence
of a review may contradict the others.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, cycle, islice, pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from heed.model.data import LabelledTexts
from heed.model.distill.synonyms import Synonyms
from heed.model.text import Tokenizer
from heed.model.training import LARGE_TRAINING_SET, TrainingTexts

MAX_TEXTS_PER_ROW = 30
"""Maximum number of new texts per short text."""
MAX_WORDS = 12_000_000
"""Maximum number of words of short and new texts together."""
MAX_TEACHER_TOKENS = 128
"""Maximum number of tokens that a teacher reads. Longer texts are split into sentences."""
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*|\s*<br\s*/?>\s*|\n+")


@dataclass(frozen=True)
class _Words:
    """The word boundaries of N texts."""

    texts: Sequence[str]
    first: NDArray[np.int64]  # (N + 1,): text n has the words first[n] to first[n + 1]
    starts: NDArray[np.int64]  # (words,) where each word starts, in code points of its text
    ends: NDArray[np.int64]  # (N,) where the last word of each text ends
    keys: NDArray[np.int64]  # (words,) equal for equal words

    def split(self, text: int) -> list[str]:
        """Return a text split before each of its words."""
        bounds = [*self.starts[self.first[text] : self.first[text + 1]], self.ends[text]]
        return [self.texts[text][a:b] for a, b in pairwise(bounds)]


def augment(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    seed: int,
    synonyms: Synonyms | None = None,
    max_words: int = MAX_WORDS,
) -> list[str]:
    """Make new texts of training texts, at most `MAX_TEXTS_PER_ROW` per short text.

    Equal arguments give equal texts.

    Args:
        texts: the training texts.
        tokenizer: defines what a word is, in any script.
        seed: random seed.
        synonyms: replacements for words; None: no words are replaced.
        max_words: maximum number of words of short and new texts together.
    """
    random = np.random.default_rng((seed, 2))
    short, long = list[str](), list[str]()
    for text in texts:
        (long if is_long(text, tokenizer) else short).append(text)
    words = _find_words(short, tokenizer)
    remaining = max_words - len(words.keys)
    made = []
    for sentence in _shuffled(split_sentences(long), random):
        if remaining <= 0:
            break
        remaining -= len(set(tokenizer.encode(sentence, MAX_TEACHER_TOKENS).words))
        made.append(sentence)
    if short and remaining > 0:
        count = min(MAX_TEXTS_PER_ROW * len(short), remaining * len(short) // len(words.keys))
        recombined = count // 3 if synonyms else count
        made += _recombine(words, recombined, random)
        if synonyms:
            encoded = [(text, tokenizer.encode(text, MAX_TEACHER_TOKENS)) for text in short]
            sources = islice(cycle(encoded), count - recombined)
            made += (synonyms.replace_words(text, encoding, random) for text, encoding in sources)
    return [text for text in map(str.strip, made) if tokenizer.ids(text)]


def add_pseudo_labelled_texts(
    labelled: LabelledTexts,
    unlabelled: LabelledTexts | None,
    tokenizer: Tokenizer,
    embeddings: Tensor | None,
    seed: int,
) -> TrainingTexts:
    """Return training rows with the texts that only a teacher labels: unlabelled and augmented.

    Args:
        labelled: the training rows.
        unlabelled: texts of a file; those that a teacher cannot read completely are split into
            sentences.
        tokenizer: of the network.
        embeddings: (V, D) pretrained token vectors for synonyms, if there are any.
        seed: random seed.
    """
    sentences = _split_long_texts(unlabelled, tokenizer) if unlabelled else None
    synonyms = None
    if embeddings is not None and len(labelled.texts) < LARGE_TRAINING_SET:
        synonyms = Synonyms(tokenizer, embeddings)
    return TrainingTexts(labelled, sentences, augment(labelled.texts, tokenizer, seed, synonyms))


def is_long(text: str, tokenizer: Tokenizer) -> bool:
    """Return whether a text has more tokens than a teacher reads."""
    return (
        len(text) > MAX_TEACHER_TOKENS
        and len(tokenizer.encode(text, MAX_TEACHER_TOKENS + 1).ids) > MAX_TEACHER_TOKENS
    )


def split_sentences(texts: Iterable[str]) -> list[str]:
    """Return the sentences and lines of texts in any script, without those of symbols only."""
    parts = chain.from_iterable(map(_SENTENCE_END.split, texts))
    return [part for part in parts if any(map(str.isalnum, part))]


def _split_long_texts(rows: LabelledTexts, tokenizer: Tokenizer) -> LabelledTexts:
    """Split texts that a teacher cannot read completely into sentences."""
    texts, numbers = list[str](), list[int]()
    for text, number in zip(rows.texts, rows.rows, strict=True):
        parts = split_sentences([text]) if is_long(text, tokenizer) else [text]
        texts += parts
        numbers += [number] * len(parts)
    return replace(rows, texts=texts, labels=[""] * len(texts), rows=numbers)


def _shuffled(texts: list[str], random: np.random.Generator) -> Iterator[str]:
    return (texts[index] for index in random.permutation(len(texts)))


def _recombine(words: _Words, count: int, random: np.random.Generator) -> Iterator[str]:
    """Yield crossed, thinned and cropped texts in turn."""
    texts = len(words.texts)
    by_key = np.argsort(words.keys, kind="stable")
    bounds = np.searchsorted(words.keys[by_key], np.arange(words.keys.max() + 2))
    for number in range(count):
        text, kind = number % texts, (number + number // texts) % 3
        parts = words.split(text)
        if kind == 0:
            cut = int(random.integers(len(parts)))
            key = words.keys[words.first[text] + cut]
            same_word = by_key[random.integers(bounds[key], bounds[key + 1])]
            other = int(np.searchsorted(words.first, same_word, side="right")) - 1
            rest = words.texts[other][words.starts[same_word] : words.ends[other]]
            yield "".join(parts[:cut]) + rest
        elif kind == 1:
            kept = random.random(len(parts)) >= random.uniform(0.1, 0.5)
            kept[random.integers(len(parts))] = True
            yield "".join(map(_keep_or_blank, parts, kept))
        else:
            begin, end = np.sort(random.integers(0, len(parts), 2))
            yield "".join(parts[begin : end + 1])


def _keep_or_blank(part: str, kept: bool) -> str:
    """Return a word with the white space after it, or only that white space."""
    return part if kept else part[len(part.rstrip()) :]


def _find_words(texts: Sequence[str], tokenizer: Tokenizer) -> _Words:
    key_of: dict[str, int] = {}
    first, starts, ends, keys = [0], [], [], []
    for text in texts:
        encoding = tokenizer.encode(text, MAX_TEACHER_TOKENS)
        spans, words = encoding.spans, encoding.words
        begins = [0]  # first token of each word; tokens of one character (¼) are one word
        for token in range(1, len(words)):
            if words[token] != words[token - 1] and spans[token][0] > spans[begins[-1]][0]:
                begins.append(token)
        starts += [spans[token][0] for token in begins]
        ends.append(spans[-1][1])
        keys += [
            key_of.setdefault(text[spans[a][0] : spans[b - 1][1]].casefold(), len(key_of))
            for a, b in pairwise([*begins, len(words)])
        ]
        first.append(len(starts))
    return _Words(texts, *(np.array(part, dtype=np.int64) for part in (first, starts, ends, keys)))
