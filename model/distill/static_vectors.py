"""A tokenizer and what its tokens mean by themselves; one for English is part of Heed.

A few hundred rows show each word once or twice, and most words of the next text never. What those
mean has been learnt before, from a billion sentences.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from heed.model.errors import TextError
from heed.model.text.tokenizer import Tokenizer

ENGLISH = Path(__file__).parent / "english"
"""Made by `benchmarks/english.py`; the README in it says from what."""
NAME = "all-MiniLM-L6-v2"
"""The encoder whose they are."""
MIN_ENGLISH_SHARE = 0.4
"""Of all letters, that must stand in words of the vocabulary: of English it has 0.75 to 0.85, of
German, French or Spanish 0.1 to 0.25."""
MAX_SAMPLED_TEXTS = 2_000
"""Texts that decide whether they are English."""
MAX_SAMPLED_TOKENS = 512
"""Tokens of such a text that are looked at."""
MIN_WORD_COUNT = 5
"""Times that training text has a word which becomes a token of its own."""
MAX_NEW_WORDS = 3_000
"""Such words, at most."""
MAX_WORD_CHARACTERS = 32
"""Characters of such a word, at most."""
TOKENIZER, VECTORS = "tokenizer.json", "vectors.safetensors"


@dataclass(frozen=True)
class StaticVectors:
    """A tokenizer and a vector for each of its tokens."""

    tokenizer: Tokenizer
    table: Tensor
    """(V, width), of mean length 1; the row of id 0 is 0."""

    @classmethod
    def load(cls, folder: Path) -> "StaticVectors":
        """Read what `save` wrote."""
        saved = load_file(folder / VECTORS)
        table = saved["vectors"].float() * saved["scales"].float()[:, None]
        return cls(Tokenizer.from_json((folder / TOKENIZER).read_text("utf-8")), table)

    def save(self, folder: Path) -> None:
        """Write both, each number in 8 bits and a scale for each vector."""
        scales = (self.table.abs().amax(dim=1) / 127).half()
        steps = (self.table / scales.float().clamp(min=1e-9)[:, None]).round()
        (folder / TOKENIZER).write_text(self.tokenizer.to_json(), "utf-8")
        saved = save({"vectors": steps.to(torch.int8), "scales": scales})
        (folder / VECTORS).write_bytes(saved)

    def narrowed(self, width: int) -> "StaticVectors":
        """The first `width` numbers of each vector: they are principal components, in order."""
        table = self.table[:, :width]
        return StaticVectors(self.tokenizer, table / table[1:].norm(dim=1).mean())

    def with_words_of(self, texts: Sequence[str]) -> "StaticVectors":
        """Give words that the texts have often, names and emoji say, a token of their own.

        Its vector is the mean of its pieces', or 0 where they cannot be read. The tokenizer must
        be a WordPiece.
        """
        tree = json.loads(self.tokenizer.to_json())
        vocabulary: dict[str, int] = tree["model"]["vocab"]
        counts = Counter(word for text in texts for word in self.tokenizer.split(text))
        rows = [self.table]
        for word, count in counts.most_common():
            if count < MIN_WORD_COUNT or len(rows) > MAX_NEW_WORDS:
                break
            if word in vocabulary or len(word) > MAX_WORD_CHARACTERS:
                continue
            pieces = self.tokenizer.ids(word)
            unread = vocabulary[tree["model"]["unk_token"]] in pieces
            vocabulary[word] = len(vocabulary)
            rows.append(self.table[pieces].mean(dim=0, keepdim=True) * (not unread))
        return StaticVectors(Tokenizer.from_json(json.dumps(tree)), torch.cat(rows))


def load_english_vectors(texts: Sequence[str], width: int) -> StaticVectors | None:
    """The vectors that are part of Heed, where the texts are English; else None."""
    vectors = StaticVectors.load(ENGLISH)
    if width > vectors.table.shape[1] or not is_english(texts, vectors.tokenizer):
        return None
    return vectors.narrowed(width).with_words_of(texts)


def is_english(texts: Sequence[str], tokenizer: Tokenizer) -> bool:
    """Whether most letters stand in words of three letters and more that are one token."""
    letters = known = 0
    for text in texts[:: max(1, len(texts) // MAX_SAMPLED_TEXTS)]:
        try:
            read = tokenizer.encode(text, MAX_SAMPLED_TOKENS)
        except TextError:  # it has nothing to read, which `encode` of the rows tells
            continue
        pieces = Counter(read.words)
        for (start, end), word in zip(read.spans, read.words, strict=True):
            count = sum(map(str.isalpha, text[start:end]))
            letters += count
            if pieces[word] == 1 and count >= 3 and text[start:end].isascii():
                known += count
    return known > MIN_ENGLISH_SHARE * letters
