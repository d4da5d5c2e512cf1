"""What gradients say of the tokens: for comparison, since Heed's own reasons need none of it.

Both follow the logit of the explained class, at the token embeddings before positions are added. In
the bag of n-grams, which is linear, they are its contributions.
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
from heed.model.export.served_network import TOLERANCE, ServedNetwork, max_difference
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.metrics.calibration import NETWORK_ONLY, Mixture
from heed.model.text.tokenizer import length_batches, pad
from heed.model.training.checkpoint import Checkpoint

STEPS = 50
BATCH_TOKENS = 4096
ANY_TEXT = "What is this, and why?"


def load_network(folder: Path, bundle: Bundle) -> ServedNetwork:
    """The network of a checkpoint folder, on condition that the bundle was made of it.

    Raises:
        DataError: it was not, or there is no checkpoint.
    """
    checkpoint = Checkpoint(folder)
    job = checkpoint.job()
    tokenizer = checkpoint.tokenizer().to_json()
    if job["labels"] != bundle.config.labels or tokenizer != bundle.tokenizer.to_json():
        raise DataError(
            f"{folder}: its labels or its tokenizer are not those of {bundle.path}; name the "
            "folder that this bundle's training saved to"
        )
    network = checkpoint.network()
    ngrams = checkpoint.ngrams()
    mixture = bundle.config.training.get("mixture", asdict(NETWORK_ONLY))
    if isinstance(mixture, dict):  # a list in bundles from before there were several of each
        shipped = ServedNetwork(network, ngrams, Mixture(**mixture)).requires_grad_(False)
        if max_difference(shipped, OnnxClassifier(bundle), [ANY_TEXT]) <= TOLERANCE:
            return shipped
    raise DataError(
        f"{folder}: its weights are not those of {bundle.path}; name the folder that this "
        "bundle's training saved to"
    )


def attribute_by_gradients(
    network: ServedNetwork, subjects: Sequence[ExplainedText]
) -> dict[str, Attribution]:
    """By name, `gradient × input` and `integrated gradients`."""
    once, once_ms = timed(lambda: integrate(network, subjects, steps=1, offset=1.0))
    many, many_ms = timed(lambda: integrate(network, subjects, steps=STEPS))
    return {
        "gradient × input": Attribution(once, "1 and back", once_ms),
        "integrated gradients": Attribution(many, f"{STEPS} and back", many_ms),
    }


def integrate(
    network: ServedNetwork, subjects: Sequence[ExplainedText], steps: int, offset: float = 0.5
) -> list[NDArray[np.float64]]:
    """Integrated gradients (Sundararajan et al. 2017) from a baseline of zero embeddings.

    e_t · (1 / m) sum_k dF(a_k e) / de_t, with a_k = (k + offset) / m for k = 0..m-1.

    Args:
        network: as the bundle has it.
        subjects: texts and the classes that are explained.
        steps: m.
        offset: of a_k in its step; 1 with a single step is gradient × input.
    """
    scores: dict[int, NDArray[np.float64]] = {}
    for group in length_batches([len(subject.ids) for subject in subjects], BATCH_TOKENS):
        ids = torch.from_numpy(pad([subjects[place].ids for place in group]))
        labels = torch.tensor([subjects[place].label for place in group])
        embedded = network.embed(ids)  # (B, T, D)
        gradient = torch.zeros_like(embedded)
        for step in range(steps):
            gradient += _gradient(network, ids, labels, (step + offset) / steps * embedded)
        products = (gradient * embedded).sum(dim=-1).double() / steps  # (B, T)
        if network.ngrams:
            of_label = labels[:, None, None].expand(-1, ids.shape[1], 1)
            products += network.ngrams.say(ids).gather(2, of_label).squeeze(2)
        for row, place in zip(products.numpy(), group, strict=True):
            scores[place] = row[: len(subjects[place].ids)]
    return [scores[place] for place in range(len(subjects))]


def _gradient(network: ServedNetwork, ids: Tensor, labels: Tensor, embedded: Tensor) -> Tensor:
    """dF/de at other embeddings (B, T, D) than those of the ids."""
    leaf = embedded.detach().requires_grad_()
    chosen = network(ids, leaf).logits.gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, leaf)
    return gradient
