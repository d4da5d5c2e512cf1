"""The network as a bundle serves it: quantised, centred, and combined with the n-gram model."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from heed.model.metrics import NETWORK_ONLY, Mixture
from heed.model.nn import Network, NgramModel, Output


class ServedNetwork(Network):
    """A network as a bundle serves it.

    It differs from the trained network in three ways:

    - It includes the n-gram model: logits = bias + a network + b ngrams, see `Mixture`. Both are
      sums over tokens, so the contributions stay exact. If the n-gram model has two tables, a and b
      depend on the length of the text.
    - The embedding table has 8 bits per number and one scale per row: w ≈ scale * q with
      q = round(w / scale) in -127..127 and scale = max |w| / 127. Only the rows of a text's tokens
      are dequantised, so file and memory hold a quarter. The constants sqrt(D) and
      `position_scale` are multiplied in.
    - Weights and biases of the head are centred over the labels. This changes no probability. A
      contribution then contains only what supports one label more than the others.
    """

    scale: Tensor
    table: Tensor
    weights: Tensor

    def __init__(
        self, trained: Network, ngrams: NgramModel | None = None, mixture: Mixture = NETWORK_ONLY
    ) -> None:
        """Convert a trained network.

        Args:
            trained: the network with its best weights.
            ngrams: the n-gram model, if there is one.
            mixture: weights of both.
        """
        super().__init__(trained.config)
        self.load_state_dict(trained.state_dict())
        with_ngrams = any(mixture.ngrams) or len(mixture.network) > 1
        self.ngrams = ngrams.scaled(mixture.ngrams) if ngrams and with_ngrams else None
        with torch.no_grad():
            if ngrams:
                self.head.bias.add_(ngrams.bias)
            self.head.bias.mul_(mixture.bias)
            if len(mixture.network) == 1:
                self.head.weight.mul_(mixture.network[0])
            table = trained.embedding.weight * trained.config.width**0.5
            scale = table.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
            position = trained.position_scale * trained.position
            for parameter in self.head.parameters():  # (C, D) and (C,)
                parameter.sub_(parameter.mean(dim=0))
            self.head.bias.add_(0.0)  # turns -0.0 into 0.0
        del self.embedding, self.position_scale
        self.register_buffer("weights", torch.tensor(mixture.network))
        self.register_buffer("position", position)
        self.register_buffer("scale", scale)  # (V, 1)
        self.register_buffer("table", torch.round(table / scale).to(torch.int8))  # (V, D)
        self.eval()

    def embed(self, ids: Tensor) -> Tensor:
        """Return the vectors (B, T, D) of token ids (B, T)."""
        return F.embedding(ids, self.table).float() * F.embedding(ids, self.scale)

    def add_positions(self, x: Tensor) -> Tensor:
        """Add the positional encoding to vectors (B, T, D)."""
        return x + self.position[: x.shape[1]]

    def forward(self, ids: Tensor, vectors: Tensor | None = None) -> Output:
        """Classify token ids (B, T); see `Network.forward`."""
        output = super().forward(ids, vectors)
        if self.ngrams is None:
            return output
        of_network = output.contributions
        if len(self.weights) > 1:
            gate = self.ngrams.gate((ids != 0).sum(dim=1)[:, None, None])
            short, long = self.weights
            of_network = of_network * (short + gate * (long - short))
        contributions = of_network + self.ngrams.contributions(ids)
        logits = contributions.sum(dim=1) + self.head.bias
        return replace(output, logits=logits, contributions=contributions)
