"""Replace words by words with similar pretrained vectors."""

from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from heed.model.text import Encoding, Tokenizer

MAX_NEIGHBOURS = 20
"""Number of words that may replace a word."""
QUANTISATION_STEPS = 127
"""Vectors are rounded to integers up to this one, so that the order of a sum does not matter."""
WORDS_PER_STEP = 1024
"""Words compared with all others at once, to limit memory."""


class Synonyms:
    """The words with the most similar vectors for each word that is a single token."""

    def __init__(self, tokenizer: Tokenizer, vectors: Tensor) -> None:
        """Use the vectors of a tokenizer.

        Args:
            tokenizer: defines which tokens are words.
            vectors: (V, D) pretrained token vectors.
        """
        self._words = tokenizer.whole_words()
        self._ids = np.array(sorted(self._words), dtype=np.int64)
        self._vectors = vectors

    @cached_property
    def _neighbours(self) -> dict[int, NDArray[np.int64]]:
        """The ids of the most similar words, by cosine, for the id of each word."""
        vectors = self._vectors[torch.from_numpy(self._ids)]
        normal = F.normalize(vectors - vectors.mean(dim=0), dim=1)
        quantised = (normal * (QUANTISATION_STEPS / normal.abs().max().clamp(min=1e-9))).round()
        neighbours: dict[int, NDArray[np.int64]] = {}
        for start in range(0, len(quantised), WORDS_PER_STEP):
            similarity = quantised[start : start + WORDS_PER_STEP] @ quantised.T
            similarity[:, start:].fill_diagonal_(-torch.inf)  # not the word itself
            count = min(MAX_NEIGHBOURS, len(quantised) - 1)
            nearest = similarity.topk(count, dim=1).indices.numpy()
            ids = self._ids[start : start + WORDS_PER_STEP].tolist()
            neighbours |= dict(zip(ids, self._ids[nearest], strict=True))
        return neighbours

    def replace_words(self, text: str, encoding: Encoding, random: np.random.Generator) -> str:
        """Return a text in which 10 to 50 % of the words, at least one, are replaced.

        A text without a word that has neighbours is returned unchanged.

        Args:
            text: the text.
            encoding: of the text.
            random: chooses the words and their replacements.
        """
        ids, words, spans = encoding.ids, encoding.words, encoding.spans
        replaceable = [
            index
            for index, token in enumerate(ids)
            if token in self._neighbours
            and words[index] not in (words[index - 1 : index] + words[index + 1 : index + 2])
        ]
        if not replaceable:
            return text
        replaced = random.random(len(replaceable)) < random.uniform(0.1, 0.5)
        replaced[random.integers(len(replaceable))] = True
        parts, end = [], 0
        for index in np.array(replaceable)[replaced]:
            start, next_end = spans[index]
            other = random.choice(self._neighbours[ids[index]])
            parts += [text[end:start], self._words[int(other)]]
            end = next_end
        return "".join([*parts, text[end:]])
