"""Words that stand near each other in what tokens mean beforehand, to put one for another."""

from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from heed.model.text.tokenizer import Encoding, Tokenizer

MAX_NEIGHBOURS = 20
"""Words that may stand for one."""
QUANTISATION_STEPS = 127
"""A vector's largest number, in steps: in whatever order steps are added, the sum is the same."""
ROWS_PER_STEP = 1024
"""Words compared with all others at once."""


class Synonyms:
    """For each word that is one token, those whose vectors have the least angle with its own."""

    def __init__(self, tokenizer: Tokenizer, table: Tensor) -> None:
        """Args:
        tokenizer: says which tokens are words.
        table: (V, D) what they mean.
        """
        self._words = tokenizer.whole_words()
        self._ids = np.array(sorted(self._words), dtype=np.int64)
        self._table = table

    @cached_property
    def _near(self) -> dict[int, NDArray[np.int64]]:
        known = self._table[torch.from_numpy(self._ids)]
        turned = F.normalize(known - known.mean(dim=0), dim=1)
        steps = (turned * (QUANTISATION_STEPS / turned.abs().max().clamp(min=1e-9))).round()
        near: dict[int, NDArray[np.int64]] = {}
        for start in range(0, len(steps), ROWS_PER_STEP):
            likeness = steps[start : start + ROWS_PER_STEP] @ steps.T
            likeness[:, start:].fill_diagonal_(-torch.inf)
            nearest = likeness.topk(min(MAX_NEIGHBOURS, len(steps) - 1), dim=1).indices.numpy()
            near |= dict(
                zip(
                    self._ids[start : start + ROWS_PER_STEP].tolist(),
                    self._ids[nearest],
                    strict=True,
                )
            )
        return near

    def put(self, text: str, encoding: Encoding, random: np.random.Generator) -> str:
        """A text with a tenth to a half of its words, at least one, put in other words.

        Args:
            text: which.
            encoding: of it.
            random: decides.

        Returns:
            The text as it was, where none of its words has others near it.
        """
        ids, words, spans = encoding.ids, encoding.words, encoding.spans
        alone = [
            place
            for place, number in enumerate(ids)
            if number in self._near
            and words[place] not in (words[place - 1 : place] + words[place + 1 : place + 2])
        ]
        if not alone:
            return text
        chosen = random.random(len(alone)) < random.uniform(0.1, 0.5)
        chosen[random.integers(len(alone))] = True
        parts, end = [], 0
        for place in np.array(alone)[chosen]:
            start, after = spans[place]
            other = random.choice(self._near[ids[place]])
            parts += [text[end:start], self._words[int(other)]]
            end = after
        return "".join([*parts, text[end:]])
