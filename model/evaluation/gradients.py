"""Gradient-based explanation methods, for comparison. Heed's own contributions need no gradient.

Both methods differentiate the logit of the explained class with respect to the token embeddings,
before positions are added. For the n-gram model, which is linear, they equal its contributions.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heed.model.errors import DataError
from heed.model.evaluation.attributions import Attribution, timed
from heed.model.evaluation.faithfulness import ExplainedText
from heed.model.export import TOLERANCE, ServedNetwork, max_difference
from heed.model.inference import Bundle, OnnxClassifier
from heed.model.metrics import NETWORK_ONLY, Mixture
from heed.model.text import length_batches, pad
from heed.model.training import Checkpoint

STEPS = 50
"""Steps of the integral in integrated gradients."""
BATCH_TOKENS = 4096
"""Maximum number of tokens of one batch."""
PROBE_TEXT = "What is this, and why?"
"""Text on which a checkpoint must give the same outputs as its bundle."""


def load_network(folder: Path, bundle: Bundle) -> ServedNetwork:
    """Return the network of the checkpoint folder that the bundle was exported from.

    Raises:
        DataError: there is no checkpoint, or the bundle was exported from another one.
    """
    checkpoint = Checkpoint(folder)
    labels = list(checkpoint.metadata().labels)
    tokenizer = checkpoint.tokenizer().to_json()
    if labels != bundle.config.labels or tokenizer != bundle.tokenizer.to_json():
        raise DataError(
            f"{folder}: its labels or its tokenizer are not those of {bundle.path}; name the "
            "checkpoint folder of this bundle's training"
        )
    network = checkpoint.network()
    ngrams = checkpoint.ngrams()
    mixture = bundle.config.training.get("mixture", asdict(NETWORK_ONLY))
    if isinstance(mixture, dict):  # a list in old bundles, which do not support this
        shipped = ServedNetwork(network, ngrams, Mixture(**mixture)).requires_grad_(False)
        ids = bundle.tokenizer.encode(PROBE_TEXT, bundle.config.max_tokens).ids
        if max_difference(shipped, OnnxClassifier(bundle), [ids]) <= TOLERANCE:
            return shipped
    raise DataError(
        f"{folder}: its weights are not those of {bundle.path}; name the checkpoint folder of "
        "this bundle's training"
    )


def attribute_by_gradients(
    network: ServedNetwork, texts: Sequence[ExplainedText]
) -> dict[str, Attribution]:
    """Apply both methods. Returns the attributions by method."""
    gradient, gradient_ms = timed(lambda: integrate(network, texts, steps=1, offset=1.0))
    integrated, integrated_ms = timed(lambda: integrate(network, texts, steps=STEPS))
    return {
        "gradient × input": Attribution(gradient, "1 and back", gradient_ms),
        "integrated gradients": Attribution(integrated, f"{STEPS} and back", integrated_ms),
    }


def integrate(
    network: ServedNetwork, texts: Sequence[ExplainedText], steps: int, offset: float = 0.5
) -> list[NDArray[np.float64]]:
    """Return integrated gradients (Sundararajan et al. 2017) from a baseline of zero embeddings.

    e_t · (1 / m) sum_k dF(a_k e) / de_t, with a_k = (k + offset) / m for k = 0..m-1.

    Args:
        network: the network of the bundle.
        texts: the texts and the classes to explain.
        steps: number of steps m.
        offset: position of a_k within its step, 0 to 1. A single step with offset 1 is
            gradient × input.

    Returns:
        (T,) for each text.
    """
    scores: dict[int, NDArray[np.float64]] = {}
    for batch in length_batches([len(text.ids) for text in texts], BATCH_TOKENS):
        ids = torch.from_numpy(pad([texts[index].ids for index in batch]))
        labels = torch.tensor([texts[index].label for index in batch])
        embedded = network.embed(ids)  # (B, T, D)
        gradient = torch.zeros_like(embedded)
        for step in range(steps):
            gradient += _gradient(network, ids, labels, (step + offset) / steps * embedded)
        products = (gradient * embedded).sum(dim=-1).double() / steps  # (B, T)
        if network.ngrams:
            of_label = labels[:, None, None].expand(-1, ids.shape[1], 1)
            products += network.ngrams.contributions(ids).gather(2, of_label).squeeze(2)
        for row, index in zip(products.numpy(), batch, strict=True):
            scores[index] = row[: len(texts[index].ids)]
    return [scores[index] for index in range(len(texts))]


def _gradient(network: ServedNetwork, ids: Tensor, labels: Tensor, embedded: Tensor) -> Tensor:
    """Return dF/de at the given embeddings (B, T, D), which replace those of the ids."""
    leaf = embedded.detach().requires_grad_()
    chosen = network(ids, leaf).logits.gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, leaf)
    return gradient
