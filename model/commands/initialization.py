"""What training starts from: a tokenizer and, where tokens are known beforehand, their vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from heed.model.commands.options import TrainingRows, TrainOptions
from heed.model.distill.static_vectors import NAME, load_english_vectors
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.checkpoint import Checkpoint
from heed.model.training.config import LARGE_TRAINING_SET, TrainConfig, vocabulary_size

OWN = "none"
"""Value of `--init-embeddings`: nothing is known beforehand."""


@dataclass(frozen=True)
class Initialization:
    """What training starts from."""

    tokenizer: Tokenizer
    source: str | None
    """Whose vectors they are, and so the tokenizer; None: learnt from the rows."""
    table: Tensor | None
    """(V, D) the vectors."""


def choose_initialization(
    order: TrainOptions,
    rows: TrainingRows,
    begun: tuple[Checkpoint, dict[str, Any]] | None,
    note: Callable[[str], None],
) -> Initialization:
    """The vectors that were asked for; else, for English texts, Heed's own; else none.

    Text of 50,000 rows or more teaches its own. So does any where a number of tokens was asked for,
    or vectors wider than Heed's.

    Args:
        order: what was asked for.
        rows: what was read.
        begun: the checkpoint to go on from and its job.
        note: tells the person what takes a while.
    """
    if begun:
        checkpoint, job = begun
        tokenizer = checkpoint.tokenizer()
        return Initialization(tokenizer, job["training"].get("init_embeddings"), checkpoint.table())
    wanted = order.chosen.get("vocabulary")
    width = order.chosen.get("width") or TrainConfig.width
    texts = rows.train.texts
    if order.init_embeddings not in (None, OWN):
        from heed.model.distill.encoder import read_encoder, static_vectors

        note(f"reading the tokens' vectors of {order.init_embeddings}")
        encoder = read_encoder(order.init_embeddings, "--init-embeddings")
        vectors = static_vectors(encoder, width, texts, wanted)
        return Initialization(vectors.tokenizer, order.init_embeddings, vectors.table)
    may = order.init_embeddings is None and not wanted and len(texts) < LARGE_TRAINING_SET
    if may and (known := load_english_vectors(texts, width)):
        return Initialization(known.tokenizer, NAME, known.table)
    return Initialization(Tokenizer.fit(texts, wanted or vocabulary_size(texts)), None, None)
