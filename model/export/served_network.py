"""What a bundle has of a trained network, and whether its ONNX says the same."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from heed.model.errors import InferenceError
from heed.model.inference.classifier import OnnxClassifier
from heed.model.metrics.calibration import NETWORK_ONLY, Mixture
from heed.model.nn.network import Network, Output
from heed.model.nn.ngrams import NgramModel
from heed.model.text.tokenizer import Encoding, length_batches, pad

TOLERANCE = 1e-4


class ServedNetwork(Network):
    """A network as a bundle has it, joined with the bag of n-grams if there is one.

    logits = bias + a network + b ngrams, see `Mixture`. Both are sums over tokens, so contributions
    stay exact; where long texts have a bag of their own, a goes with the length, too.

    The embedding table is in 8 bits, with a scale for each row.

    w ≈ scale * q with q = round(w / scale) in -127..127 and scale = max |w| / 127. Only the rows of
    a text's tokens are ever turned back, so the file and the memory hold a quarter. The constants
    that training keeps apart, sqrt(D) and the scale of the positions, are multiplied in.

    What all labels' logits have in common moves no probability, and training leaves it as it began:
    at random. Without it a contribution to a label says only what speaks for it and not as much for
    every other.
    """

    scale: Tensor
    table: Tensor
    weights: Tensor

    def __init__(
        self, trained: Network, ngrams: NgramModel | None = None, mixture: Mixture = NETWORK_ONLY
    ) -> None:
        super().__init__(trained.config)
        self.load_state_dict(trained.state_dict())
        wanted = any(mixture.ngrams) or len(mixture.network) > 1
        self.ngrams = ngrams.times(mixture.ngrams) if ngrams and wanted else None
        with torch.no_grad():
            if ngrams:
                self.head.bias.add_(ngrams.bias)
            self.head.bias.mul_(mixture.bias)
            if len(mixture.network) == 1:
                self.head.weight.mul_(mixture.network[0])
            table = trained.embedding.weight * trained.config.width**0.5
            scale = table.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
            position = trained.position_scale * trained.position
            for of_labels in self.head.parameters():  # (C, D) and (C,)
                of_labels.sub_(of_labels.mean(dim=0))
            self.head.bias.add_(0.0)  # no -0.0
        del self.embedding, self.position_scale
        self.register_buffer("weights", torch.tensor(mixture.network))
        self.register_buffer("position", position)
        self.register_buffer("scale", scale)  # (V, 1)
        self.register_buffer("table", torch.round(table / scale).to(torch.int8))  # (V, D)
        self.eval()

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) to vectors (B, T, D)."""
        return F.embedding(ids, self.table).float() * F.embedding(ids, self.scale)

    def locate(self, x: Tensor) -> Tensor:
        """Add their positions to vectors (B, T, D)."""
        return x + self.position[: x.shape[1]]

    def forward(self, ids: Tensor, vectors: Tensor | None = None) -> Output:
        """Classify token ids (B, T)."""
        found = super().forward(ids, vectors)
        if self.ngrams is None:
            return found
        of_network = found.contributions
        if len(self.weights) > 1:
            gate = self.ngrams.gate((ids != 0).sum(dim=1)[:, None, None])
            short, long = self.weights
            of_network = of_network * (short + gate * (long - short))
        contributions = of_network + self.ngrams.say(ids)  # few numbers beside the network's
        logits = contributions.sum(dim=1) + self.head.bias
        return replace(found, logits=logits, contributions=contributions)


@torch.no_grad()
def max_difference(network: Network, classifier: OnnxClassifier, texts: Sequence[str]) -> float:
    """The largest difference of any number between PyTorch and the bundle's ONNX.

    Args:
        network: what was exported.
        classifier: runs the ONNX.
        texts: run in batches of like length, and one of them also cut to one token, repeated to
            `max_tokens`, and both together, which is the most padding there can be.
    """
    encodings = [classifier.encode(text) for text in texts]
    lengths = [len(encoding.ids) for encoding in encodings]
    batches = [[encodings[place] for place in group] for group in length_batches(lengths, 2048)]
    longest = encodings[int(np.argmax(lengths))]
    limit = network.config.max_tokens
    short = replace(longest, ids=longest.ids[:1])
    full = replace(longest, ids=(longest.ids * limit)[:limit])
    batches += [[short], [full], [short, full]]
    return max(_difference(network, classifier, batch) for batch in batches)


def _difference(network: Network, classifier: OnnxClassifier, batch: Sequence[Encoding]) -> float:
    wanted = network(torch.from_numpy(pad([encoding.ids for encoding in batch])))
    largest = 0.0
    for row, prediction in enumerate(classifier.run(batch, "contributions")):
        real = len(prediction.encoding.ids)
        for found, expected in (
            (prediction.logits, wanted.logits[row]),
            (prediction.attention, wanted.attention[row, :real]),
            (prediction.contributions, wanted.contributions[row, :real]),
        ):
            largest = max(largest, _largest(found, expected))
    return largest


def _largest(found: NDArray[np.float32] | None, expected: Tensor) -> float:
    assert found is not None
    return float(np.abs(found - expected.numpy()).max())


def check_parity(network: Network, classifier: OnnxClassifier, texts: Sequence[str]) -> float:
    """Compare PyTorch and ONNX on real texts of many lengths; returns the largest difference.

    Raises:
        InferenceError: they differ by more than 1e-4.
    """
    difference = max_difference(network, classifier, texts)
    if not difference <= TOLERANCE:
        raise InferenceError(
            f"the exported network differs from the trained one by {difference:.1e}, more than "
            f"{TOLERANCE}; nothing was written: report it, with the versions of torch and onnx"
        )
    return difference
