"""Choose what a training starts with: a tokenizer and, if possible, pretrained token vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from heed.model.commands.options import TrainOptions
from heed.model.distill import ENGLISH_ENCODER, load_english_vectors
from heed.model.text import Tokenizer
from heed.model.training import LARGE_TRAINING_SET, TrainConfig, vocabulary_size

RANDOM = "none"
"""Value of `--init-embeddings` for random vectors."""


@dataclass(frozen=True)
class Initialization:
    """What a training starts with."""

    tokenizer: Tokenizer
    encoder: str | None
    """The encoder of vectors and tokenizer; None: both are learnt from the training rows."""
    embeddings: Tensor | None
    """(V, D) initial token vectors; None: random."""


def choose_initialization(
    options: TrainOptions, texts: Sequence[str], on_message: Callable[[str], None]
) -> Initialization:
    """Return the tokenizer and the initial vectors of a new training.

    Without `--init-embeddings`, English texts start with the vectors that are part of Heed. They
    are not used for 50,000 rows or more, if `--vocabulary` is given, or if `--width` is larger.

    Args:
        options: of the command.
        texts: of the training rows.
        on_message: callback for progress messages.

    Raises:
        HeedError: the encoder cannot be read.
    """
    vocabulary = options.overrides.get("vocabulary")
    width = options.overrides.get("width") or TrainConfig.width
    if options.init_embeddings not in (None, RANDOM):
        from heed.model.distill import extract_static_vectors, read_encoder

        on_message(f"reading the token vectors of {options.init_embeddings}")
        encoder = read_encoder(options.init_embeddings, "--init-embeddings")
        known = extract_static_vectors(encoder, width, texts, vocabulary)
        return Initialization(known.tokenizer, options.init_embeddings, known.vectors)
    may_use_english = (
        options.init_embeddings is None and not vocabulary and len(texts) < LARGE_TRAINING_SET
    )
    if may_use_english and (english := load_english_vectors(texts, width)):
        return Initialization(english.tokenizer, ENGLISH_ENCODER, english.vectors)
    tokenizer = Tokenizer.fit(texts, vocabulary or vocabulary_size(texts))
    return Initialization(tokenizer, None, None)
