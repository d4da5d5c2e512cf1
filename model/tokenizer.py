"""From text to token ids, in training and in serving alike: the only place that does it.

Needs no PyTorch. Id 0 is padding and out of reach of any text; id 1 stands for a character that
the training text never showed.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers

from model.errors import TextError

PADDING, UNKNOWN = "[PAD]", "[UNK]"

WORD = (
    r"[a-z]{1,32}(?=n['’]t(?![a-z]))|n['’]t(?![a-z])"  # do|n't, ca|n't
    r"|[[\p{L}\p{M}]&&[^\p{Han}\p{Hiragana}\p{Katakana}]]{1,32}"
    r"|['’][a-z]{1,2}(?![a-z])"  # it|'s, they|'re
    r"|[\p{Han}\p{Hiragana}\p{Katakana}]"  # scripts without spaces: each character is a word
    r"|\p{N}{1,8}"
    r"|[^\s\p{Cc}\p{Cf}\p{L}\p{M}\p{N}](?:[\p{M}\p{Cf}]+[^\s\p{Cc}\p{Cf}\p{L}\p{M}\p{N}])*"
    # any other sign; an emoji that is joined of several is one
)
"""What counts as a word, after normalisation. Bounded, so that a word is never a whole text."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A tokenized text, cut at `max_tokens`."""

    ids: list[int]
    truncated: bool
    source: tokenizers.Encoding

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Where each token stands in the text as sent: start and end in Unicode code points."""
        return self.source.offsets[: len(self.ids)]

    @property
    def words(self) -> list[int]:
        """The number of the word (pre-token) that each token belongs to."""
        return self.source.word_ids[: len(self.ids)]


class Tokenizer:
    """A Hugging Face tokenizer that adds no special tokens, pads nothing and cuts nothing."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner

    @classmethod
    def fit(cls, texts: Iterable[str], vocabulary: int) -> "Tokenizer":
        """Learn a byte-pair encoding of at most `vocabulary` tokens (Sennrich et al. 2016).

        Byte-pair encoding, because its trainer gives the same result in every process.
        """
        inner = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN))
        inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.WhitespaceSplit(),
                pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True),
            ]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            limit_alphabet=vocabulary // 2,
            special_tokens=[PADDING, UNKNOWN],
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        return cls.from_json(inner.to_str())

    @classmethod
    def from_json(cls, document: str) -> "Tokenizer":
        """Read a `tokenizer.json`, less the tokens that are matched in raw text.

        Such a token (a literal "[PAD]") would let a text reach an id that is not for texts.
        """
        tree = json.loads(document)
        tree["added_tokens"] = []
        tree["post_processor"] = None
        return cls(tokenizers.Tokenizer.from_str(json.dumps(tree)))

    def to_json(self) -> str:
        """The content of `tokenizer.json`."""
        return self._inner.to_str(pretty=True)

    @property
    def vocabulary(self) -> int:
        """Rows that an embedding table needs: the largest id and one."""
        return max(self._inner.get_vocab().values()) + 1

    @property
    def padding_literal(self) -> str:
        """How the vocabulary spells id 0."""
        return self._inner.id_to_token(0) or ""

    def ids(self, text: str) -> list[int]:
        """All ids of a text, none cut."""
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def encode(self, text: str, max_tokens: int) -> Encoding:
        """Tokenize one text, reading no more of it than `max_tokens` tokens need.

        Raises:
            TextError: there is no token in the text.
        """
        length = 16 * max_tokens
        while True:
            whole = length >= len(text)
            source = self._inner.encode(text if whole else text[:length], add_special_tokens=False)
            ids = source.ids
            # What follows a cut can change only the word that the cut goes through.
            if whole or (len(ids) > max_tokens and source.word_ids[max_tokens] < source.word_ids[-1] - 1):
                break
            length *= 4
        if not ids:
            raise TextError("the text has nothing to read in it: send at least one visible character")
        return Encoding(ids[:max_tokens], len(ids) > max_tokens, source)


def pad(encodings: Sequence[Encoding]) -> NDArray[np.int64]:
    """Stack token ids into one batch (B, T), id 0 behind the shorter rows."""
    batch = np.zeros((len(encodings), max(len(e.ids) for e in encodings)), dtype=np.int64)
    for row, encoding in zip(batch, encodings, strict=True):
        row[: len(encoding.ids)] = encoding.ids
    return batch


def length_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group texts of like length, each group at most `budget` tokens once it is padded.

    Yields the positions in `lengths`, longest texts last. A text above the budget goes alone.
    """
    group: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[position] * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(position)
    if group:
        yield group
