"""From text to token ids, in training and in serving alike: the only place that does it.

Needs no PyTorch. Id 0 is padding and out of reach of any text; id 1 stands for a character that
the training text never showed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers

from heed.model.errors import TextError
from heed.model.text.segmentation import learn_words, word_pattern
from heed.model.text.token_cache import Chunks, TokenCache, ids_of, spans_of, words_of
from heed.model.text.whitespace import OffsetMap, collapse_whitespace

PADDING, UNKNOWN = "[PAD]", "[UNK]"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A tokenized text, cut at `max_tokens`."""

    ids: list[int]
    truncated: bool
    chunks: Chunks
    offset_map: OffsetMap | None = None

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Where each token stands in the text as sent: start and end in Unicode code points."""
        spans = spans_of(self.chunks)[: len(self.ids)]
        if self.offset_map is None:
            return spans
        return [
            (self.offset_map.restore(start), self.offset_map.restore(end)) for start, end in spans
        ]

    @property
    def words(self) -> list[int]:
        """The number of the word (pre-token) that each token belongs to."""
        return words_of(self.chunks)[: len(self.ids)]


class Tokenizer:
    """A Hugging Face tokenizer that adds no special tokens, pads nothing and cuts nothing."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self._reader = TokenCache(inner)
        # So for every tokenizer that `fit` makes; another one may make tokens of white space.
        self._skips_gaps = not self.ids(" \n\0\xad\u200b\u3000" * 64)
        # Not so for those, but for WordPiece that strips accents.
        self._skips_marks = self.ids("a" + "\u0301\ufe0f" * 64 + "b \u0301") == self.ids("ab")

    @classmethod
    def fit(cls, texts: Sequence[str], vocabulary: int) -> "Tokenizer":
        """Learn a byte-pair encoding of at most `vocabulary` tokens (Sennrich et al. 2016).

        Byte-pair encoding, because its trainer gives the same result in every process.
        """
        inner = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN))
        inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        pattern = word_pattern(learn_words(texts, inner.normalizer))
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.WhitespaceSplit(),
                pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True),
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

    def whole_words(self) -> dict[int, str]:
        """Tokens that are words by themselves, by their ids; of one letter only those of CJK."""
        spelled = (
            (number, token.lstrip("▁Ġ")) for token, number in self._inner.get_vocab().items()
        )
        return {
            number: word
            for number, word in spelled
            if word.isalpha()
            and (len(word) > 1 or ord(word) > 0x2E80)
            and self.ids(word) == [number]
        }

    def split(self, text: str) -> list[str]:
        """The words that tokens are looked for in, as they are after normalisation."""
        normalizer, splitter = self._inner.normalizer, self._inner.pre_tokenizer
        normal = normalizer.normalize_str(text) if normalizer else text
        return [word for word, _ in splitter.pre_tokenize_str(normal)] if splitter else [normal]

    def ids(self, text: str) -> list[int]:
        """All ids of a text, none cut."""
        return ids_of(self._reader.read(text))

    def encode(self, text: str, max_tokens: int) -> Encoding:
        """Tokenize one text, reading no more of it than `max_tokens` tokens need.

        A token may need up to 64 characters, gaps apart; what is left unread beyond that counts as
        truncated. No text takes long: 2,000,000 letters without a space would take four seconds.

        Raises:
            TextError: there is no token in the text.
        """
        read = text[: max(16 * max_tokens, 1024)]
        offset_map = None
        chunks = self._reader.read(read)
        if len(read) < len(text) and not _suffices(chunks, max_tokens):
            if self._skips_gaps:
                text, offset_map = collapse_whitespace(text, with_piles=self._skips_marks)
            read = text[: max(64 * max_tokens, 4096)]
            chunks = self._reader.read(read)
        ids = ids_of(chunks)
        if not ids:
            raise TextError(
                "the text has nothing to read in it: send at least one visible character"
            )
        truncated = len(ids) > max_tokens or len(read) < len(text)
        return Encoding(ids[:max_tokens], truncated, chunks, offset_map)


def _suffices(chunks: Chunks, max_tokens: int) -> bool:
    """Whether a cut text has enough tokens, all of words that the cut does not go through."""
    words = words_of(chunks)
    return len(words) > max_tokens and words[max_tokens] < words[-1] - 1


def pad(texts: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Stack the token ids of B texts into one batch (B, T), id 0 behind the shorter rows."""
    longest = max(map(len, texts))
    padding = [0] * longest
    return np.array([[*ids, *padding[len(ids) :]] for ids in texts], dtype=np.int64)


RUN_OVERHEAD_TOKENS = 32
"""What a run of the network costs beside its tokens: as much as that many more."""


def length_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group texts of like length, each group at most `budget` tokens once it is padded.

    A longer text begins a new group where padding the others to it would cost more than a run.
    Yields the positions in `lengths`, longest texts last. A text above the budget goes alone.
    """
    group: list[int] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        length, texts = lengths[position], len(group)
        if texts and (
            length * (texts + 1) > budget or (length - longest) * texts > RUN_OVERHEAD_TOKENS
        ):
            yield group
            group = []
        longest = length
        group.append(position)
    if group:
        yield group
