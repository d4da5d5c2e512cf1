"""A tokenizer with a pretrained vector per token. One for English is part of Heed.

In a few hundred training rows most words occur once or twice, and most words of new texts do not
occur. The pretrained vectors represent the meanings of words, learnt from a billion sentences.
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
from heed.model.text import Tokenizer

ENGLISH = Path(__file__).parent / "english"
"""Written by `scripts/english_vectors.py`; its README names the source."""
ENGLISH_ENCODER = "all-MiniLM-L6-v2"
"""The encoder that the English vectors are from."""
MIN_ENGLISH_SHARE = 0.4
"""Minimum share of letters in words of the vocabulary for texts to count as English. English texts
have 0.75 to 0.85; German, French and Spanish texts 0.1 to 0.25."""
MAX_SAMPLED_TEXTS = 2_000
"""Maximum number of texts that `is_english` reads."""
MAX_SAMPLED_TOKENS = 512
"""Maximum number of tokens that `is_english` reads of a text."""
MIN_WORD_COUNT = 5
"""A word of the training texts becomes a token from this frequency on."""
MAX_NEW_WORDS = 3_000
"""Maximum number of words that become tokens."""
MAX_WORD_CHARACTERS = 32
"""Maximum length of a word that becomes a token."""
TOKENIZER, VECTORS = "tokenizer.json", "vectors.safetensors"


@dataclass(frozen=True)
class StaticVectors:
    """A tokenizer and a vector for each of its tokens."""

    tokenizer: Tokenizer
    vectors: Tensor
    """(V, width) with mean norm 1, principal components first. The vector of id 0 is 0."""

    @classmethod
    def load(cls, folder: Path) -> "StaticVectors":
        """Read the files that `save` wrote."""
        tensors = load_file(folder / VECTORS)
        vectors = tensors["vectors"].float() * tensors["scales"].float()[:, None]
        return cls(Tokenizer.from_json((folder / TOKENIZER).read_text("utf-8")), vectors)

    def save(self, folder: Path) -> None:
        """Write the tokenizer, and the vectors in 8 bits per number with one scale per vector."""
        scales = (self.vectors.abs().amax(dim=1) / 127).half()
        quantised = (self.vectors / scales.float().clamp(min=1e-9)[:, None]).round()
        (folder / TOKENIZER).write_text(self.tokenizer.to_json(), "utf-8")
        content = save({"vectors": quantised.to(torch.int8), "scales": scales})
        (folder / VECTORS).write_bytes(content)

    def narrowed(self, width: int) -> "StaticVectors":
        """Return the vectors with only the first `width` principal components."""
        vectors = self.vectors[:, :width]
        return StaticVectors(self.tokenizer, vectors / vectors[1:].norm(dim=1).mean())

    def with_words_of(self, texts: Sequence[str]) -> "StaticVectors":
        """Return the vectors with new tokens for frequent words of the texts, such as names.

        The vector of a new token is the mean over the tokens that the word had before. It is 0 if
        one of them was unknown. The tokenizer must be WordPiece.
        """
        tree = json.loads(self.tokenizer.to_json())
        vocabulary: dict[str, int] = tree["model"]["vocab"]
        counts = Counter(word for text in texts for word in self.tokenizer.split(text))
        rows = [self.vectors]
        for word, count in counts.most_common():
            if count < MIN_WORD_COUNT or len(rows) > MAX_NEW_WORDS:
                break
            if word in vocabulary or len(word) > MAX_WORD_CHARACTERS:
                continue
            ids = self.tokenizer.ids(word)
            unknown = vocabulary[tree["model"]["unk_token"]] in ids
            vocabulary[word] = len(vocabulary)
            rows.append(self.vectors[ids].mean(dim=0, keepdim=True) * (not unknown))
        return StaticVectors(Tokenizer.from_json(json.dumps(tree)), torch.cat(rows))


def load_english_vectors(texts: Sequence[str], width: int) -> StaticVectors | None:
    """Return the vectors that are part of Heed if the texts are English, or None.

    Args:
        texts: the training texts. Their frequent words become tokens.
        width: size of the vectors. None is returned if it is larger than those of Heed.
    """
    vectors = StaticVectors.load(ENGLISH)
    if width > vectors.vectors.shape[1] or not is_english(texts, vectors.tokenizer):
        return None
    return vectors.narrowed(width).with_words_of(texts)


def is_english(texts: Sequence[str], tokenizer: Tokenizer) -> bool:
    """Return whether most letters are in words of three or more letters that are one token."""
    letters = known_letters = 0
    for text in texts[:: max(1, len(texts) // MAX_SAMPLED_TEXTS)]:
        try:
            encoding = tokenizer.encode(text, MAX_SAMPLED_TOKENS)
        except TextError:  # a text without a token; tokenizing the rows reports it
            continue
        tokens_of_word = Counter(encoding.words)
        for (start, end), word in zip(encoding.spans, encoding.words, strict=True):
            count = sum(map(str.isalpha, text[start:end]))
            letters += count
            if tokens_of_word[word] == 1 and count >= 3 and text[start:end].isascii():
                known_letters += count
    return known_letters > MIN_ENGLISH_SHARE * letters
