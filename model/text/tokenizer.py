"""Convert text to token ids. Training and serving both use this module; it needs no PyTorch.

Id 0 is padding, and no text yields it. Id 1 is the unknown token: a character that the training
text does not contain.
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
from heed.model.text.token_cache import Chunks, TokenCache, token_ids, token_spans, word_ids
from heed.model.text.whitespace import OffsetMap, collapse_whitespace

PADDING, UNKNOWN = "[PAD]", "[UNK]"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A tokenized text, cut at `max_tokens`."""

    ids: list[int]
    truncated: bool
    """True if the text has more tokens than `ids`."""
    chunks: Chunks
    """The tokenized chunks, not cut; `spans` and `words` are computed from them on demand."""
    offset_map: OffsetMap | None = None
    """Set if long runs of white space were collapsed before tokenizing."""

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of each token in the text as sent, in Unicode code points."""
        spans = token_spans(self.chunks)[: len(self.ids)]
        if self.offset_map is None:
            return spans
        return [
            (self.offset_map.restore(start), self.offset_map.restore(end)) for start, end in spans
        ]

    @property
    def words(self) -> list[int]:
        """Index of the word (pre-token) of each token."""
        return word_ids(self.chunks)[: len(self.ids)]


class Tokenizer:
    """A Hugging Face tokenizer without special tokens, padding and truncation."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self._cache = TokenCache(inner)
        # True for every tokenizer that `fit` makes. Others may have tokens of white space.
        self._ignores_whitespace = not self.ids(" \n\0\xad\u200b\u3000" * 64)
        # True for WordPiece that strips accents.
        self._ignores_combining = self.ids("a" + "\u0301\ufe0f" * 64 + "b \u0301") == self.ids("ab")

    @classmethod
    def fit(cls, texts: Sequence[str], vocabulary: int) -> "Tokenizer":
        """Learn a byte-pair encoding of at most `vocabulary` tokens (Sennrich et al. 2016).

        The BPE trainer of `tokenizers` gives the same result in every process; the WordPiece and
        Unigram trainers do not.
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
        """Read a `tokenizer.json`, without its added tokens and its post-processor.

        Added tokens are matched in the raw text: a literal "[PAD]" in a text would yield id 0.
        """
        tree = json.loads(document)
        tree["added_tokens"] = []
        tree["post_processor"] = None
        return cls(tokenizers.Tokenizer.from_str(json.dumps(tree)))

    def to_json(self) -> str:
        """Return the content of `tokenizer.json`."""
        return self._inner.to_str(pretty=True)

    @property
    def vocabulary(self) -> int:
        """Number of rows that an embedding table needs: the largest id plus one."""
        return max(self._inner.get_vocab().values()) + 1

    @property
    def padding_literal(self) -> str:
        """The vocabulary's string for id 0."""
        return self._inner.id_to_token(0) or ""

    def whole_words(self) -> dict[int, str]:
        """Return the tokens that are whole words, by id. Single letters count only in CJK."""
        candidates = (
            (token_id, token.lstrip("▁Ġ")) for token, token_id in self._inner.get_vocab().items()
        )
        return {
            token_id: word
            for token_id, word in candidates
            if word.isalpha()
            and (len(word) > 1 or ord(word) > 0x2E80)
            and self.ids(word) == [token_id]
        }

    def split(self, text: str) -> list[str]:
        """Normalise a text and split it into words (pre-tokens)."""
        normalizer, splitter = self._inner.normalizer, self._inner.pre_tokenizer
        normalised = normalizer.normalize_str(text) if normalizer else text
        if not splitter:
            return [normalised]
        return [word for word, _ in splitter.pre_tokenize_str(normalised)]

    def ids(self, text: str) -> list[int]:
        """Return all token ids of a text, without truncation."""
        return token_ids(self._cache.tokenize(text))

    def encode(self, text: str, max_tokens: int) -> Encoding:
        """Tokenize one text, cut at `max_tokens`.

        Only a prefix of a long text is tokenized: up to 64 characters a token, after long runs of
        white space are collapsed. A text with more characters counts as truncated. Without this
        limit, 2,000,000 letters without a space would take four seconds.

        Raises:
            TextError: the text has no token.
        """
        prefix = text[: max(16 * max_tokens, 1024)]
        offset_map = None
        chunks = self._cache.tokenize(prefix)
        if len(prefix) < len(text) and not _has_enough(chunks, max_tokens):
            if self._ignores_whitespace:
                text, offset_map = collapse_whitespace(
                    text, collapse_combining=self._ignores_combining
                )
            prefix = text[: max(64 * max_tokens, 4096)]
            chunks = self._cache.tokenize(prefix)
        ids = token_ids(chunks)
        if not ids:
            raise TextError("the text contains no token; send at least one visible character")
        truncated = len(ids) > max_tokens or len(prefix) < len(text)
        return Encoding(ids[:max_tokens], truncated, chunks, offset_map)


def _has_enough(chunks: Chunks, max_tokens: int) -> bool:
    """True if a prefix has more than `max_tokens` tokens before its last, perhaps cut, word."""
    words = word_ids(chunks)
    return len(words) > max_tokens and words[max_tokens] < words[-1] - 1


def pad(texts: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Stack the token ids of B texts into one batch (B, T), padded with id 0 at the end."""
    longest = max(map(len, texts))
    padding = [0] * longest
    return np.array([[*ids, *padding[len(ids) :]] for ids in texts], dtype=np.int64)


RUN_OVERHEAD_TOKENS = 32
"""Fixed cost of one run of the network, expressed in tokens."""


def length_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group texts of similar length into batches of at most `budget` tokens, padding included.

    A longer text starts a new batch if padding the others to its length would cost more than one
    run (`RUN_OVERHEAD_TOKENS`). A text longer than the budget is a batch of its own.

    Args:
        lengths: number of tokens of each text.
        budget: maximum number of tokens of a batch.

    Yields:
        Indices into `lengths`; the longest texts come last.
    """
    group: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length, texts = lengths[index], len(group)
        if texts and (
            length * (texts + 1) > budget or (length - longest) * texts > RUN_OVERHEAD_TOKENS
        ):
            yield group
            group = []
        longest = length
        group.append(index)
    if group:
        yield group
