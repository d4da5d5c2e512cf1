"""Texts in, predictions out: the only place that runs a bundle's ONNX. Needs no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heed.model.errors import InferenceError
from heed.model.inference.bundle import Bundle
from heed.model.inference.session import OUTPUTS, Device, Precision, Session
from heed.model.text.tokenizer import Encoding, length_batches, pad

Explain = Literal["none", "attention", "contributions"]

FETCHED_OUTPUTS: dict[Explain, tuple[str, ...]] = {
    "none": OUTPUTS[:1],
    "attention": OUTPUTS[:2],
    "contributions": OUTPUTS,
}
MAX_PURE_PYTHON_NUMBERS = 128
"""Numbers that Python itself is quicker with than numpy, whose code has to come to the caches."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one text of T tokens, for C labels."""

    encoding: Encoding
    logits: NDArray[np.float32]  # (C,)
    probabilities: list[float]  # (C,)
    attention: NDArray[np.float32] | None  # (T,)
    contributions: NDArray[np.float32] | None  # (T, C)


class OnnxClassifier:
    """A bundle with its network running. Calls may come from several threads."""

    def __init__(
        self,
        bundle: Bundle,
        device: Device = "cpu",
        threads: int = 1,
        precision: Precision = "float32",
    ) -> None:
        """Load the bundle's network; see `Session` for the arguments and errors."""
        self.bundle = bundle
        self.config = bundle.config
        self._session = Session(bundle, device, threads, precision)
        self.provider = self._session.provider

    @property
    def batch_tokens(self) -> int:
        """Tokens of one run, padding included, that suit the device."""
        return self._session.batch_tokens

    def encode(self, text: str) -> Encoding:
        """Tokenize a text; raises `TextError` when it has no token."""
        return self.bundle.tokenizer.encode(text, self.config.max_tokens)

    def run(self, encodings: Sequence[Encoding], explain: Explain) -> list[Prediction]:
        """Classify one batch, padded to its longest text.

        Raises:
            InferenceError: the run failed, or a number that came out is not finite.
        """
        outputs = self._infer([encoding.ids for encoding in encodings], explain)
        logits, attention, contributions = (*outputs, None, None)[:3]
        probabilities = _probabilities(logits, self.config.temperature)
        return [
            Prediction(
                encoding,
                logits[row],
                probabilities[row],
                None if attention is None else attention[row, : len(encoding.ids)],
                None if contributions is None else contributions[row, : len(encoding.ids)],
            )
            for row, encoding in enumerate(encodings)
        ]

    def predict(self, texts: Sequence[str], explain: Explain = "attention") -> list[Prediction]:
        """Classify many texts, in batches of like length; answers come in the order sent.

        Raises:
            TextError: a text has no token.
            InferenceError: see `run`.
        """
        encodings = [self.encode(text) for text in texts]
        predictions: dict[int, Prediction] = {}
        for group in length_batches([len(e.ids) for e in encodings], self.batch_tokens):
            batch = self.run([encodings[place] for place in group], explain)
            predictions.update(zip(group, batch, strict=True))
        return [predictions[place] for place in range(len(texts))]

    def probabilities(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Classify token ids, such as a text with tokens taken out; returns (n, C).

        Raises:
            InferenceError: see `run`.
        """
        logits = np.empty((len(texts), len(self.config.labels)))
        for group in length_batches([len(ids) for ids in texts], self.batch_tokens):
            logits[group] = self._infer([texts[place] for place in group], "none")[0]
        return softmax(logits / self.config.temperature)

    def _infer(self, texts: Sequence[Sequence[int]], explain: Explain) -> list[Any]:
        """One pass over one batch of token ids: the outputs of `explain`, in order."""
        try:
            outputs = self._session.run(pad(texts), FETCHED_OUTPUTS[explain])
        except Exception as error:  # onnxruntime's own errors share no public base
            raise InferenceError(f"the network failed: {error}") from error
        # The sum of finite numbers is finite, but for sizes that the first test would not pass.
        if not all(isfinite(output.sum()) or np.isfinite(output).all() for output in outputs):
            raise InferenceError("the network gave a number that is not finite")
        return outputs


def _probabilities(logits: NDArray[np.float32], temperature: float) -> list[list[float]]:
    """softmax(logits / temperature), (B, C)."""
    if logits.size > MAX_PURE_PYTHON_NUMBERS:
        found: list[list[float]] = softmax(logits.astype(np.float64) / temperature).tolist()
        return found
    rows = []
    for row in logits.tolist():
        most = max(row)
        exponents = [exp((logit - most) / temperature) for logit in row]
        total = sum(exponents)
        rows.append([exponent / total for exponent in exponents])
    return rows


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(x_i - max x) / sum_j exp(x_j - max x), over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = exponents / exponents.sum(axis=-1, keepdims=True)
    return result
