"""Check that the exported ONNX network gives the same numbers as the PyTorch network."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heed.model.errors import InferenceError
from heed.model.inference import OnnxClassifier
from heed.model.nn import Network
from heed.model.text import Encoding, length_batches, pad

TOLERANCE = 1e-4
"""Maximum difference of any number of the output."""
BATCH_TOKENS = 2048
"""Tokens of one batch, padding included."""

TokenIds = list[int]


def check_parity(network: Network, classifier: OnnxClassifier, texts: Sequence[TokenIds]) -> float:
    """Return the largest difference between PyTorch and ONNX.

    Args:
        network: the exported network.
        classifier: the bundle with its ONNX network.
        texts: token ids of texts, see `max_difference`.

    Raises:
        InferenceError: the difference is larger than `TOLERANCE`.
    """
    difference = max_difference(network, classifier, texts)
    if not difference <= TOLERANCE:
        raise InferenceError(
            f"the exported network differs from the trained one by {difference:.1e}, more than "
            f"{TOLERANCE}; nothing was written; report this with the versions of torch and onnx"
        )
    return difference


@torch.no_grad()
def max_difference(
    network: Network, classifier: OnnxClassifier, texts: Sequence[TokenIds]
) -> float:
    """Return the largest difference of any number between PyTorch and ONNX.

    Args:
        network: the exported network.
        classifier: the bundle with its ONNX network.
        texts: token ids of texts, run in batches of similar lengths. The longest one also runs cut
            to one token, repeated to `max_tokens`, and both together, which is the most padding
            that there can be.
    """
    lengths = [len(ids) for ids in texts]
    batches = [[texts[index] for index in batch] for batch in length_batches(lengths, BATCH_TOKENS)]
    longest = texts[int(np.argmax(lengths))]
    limit = network.config.max_tokens
    short, full = longest[:1], (longest * limit)[:limit]
    batches += [[short], [full], [short, full]]
    return max(_batch_difference(network, classifier, batch) for batch in batches)


def _batch_difference(
    network: Network, classifier: OnnxClassifier, batch: Sequence[TokenIds]
) -> float:
    expected = network(torch.from_numpy(pad(batch)))
    encodings = [Encoding(ids, truncated=False, chunks=[]) for ids in batch]  # no spans needed
    largest = 0.0
    for row, prediction in enumerate(classifier.run(encodings, "contributions")):
        tokens = len(batch[row])
        for actual, reference in (
            (prediction.logits, expected.logits[row]),
            (prediction.attention, expected.attention[row, :tokens]),
            (prediction.contributions, expected.contributions[row, :tokens]),
        ):
            largest = max(largest, _largest_difference(actual, reference))
    return largest


def _largest_difference(actual: NDArray[np.float32] | None, expected: Tensor) -> float:
    assert actual is not None
    return float(np.abs(actual - expected.numpy()).max())
