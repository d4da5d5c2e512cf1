"""Classify texts with the ONNX network of a bundle. Needs no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heed.model.errors import InferenceError
from heed.model.inference.bundle import Bundle
from heed.model.inference.session import OUTPUTS, Device, Precision, Session
from heed.model.text import Encoding, length_batches, pad

Explain = Literal["none", "attention", "contributions"]

FETCHED_OUTPUTS: dict[Explain, tuple[str, ...]] = {
    "none": OUTPUTS[:1],
    "attention": OUTPUTS[:2],
    "contributions": OUTPUTS,
}
MAX_PURE_PYTHON_NUMBERS = 128
"""Up to this many logits a batch, the softmax in pure Python is faster than numpy's."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The network's output for one text of T tokens and C labels."""

    encoding: Encoding
    logits: NDArray[np.float32]  # (C,)
    probabilities: list[float]  # (C,)
    attention: NDArray[np.float32] | None  # (T,)
    contributions: NDArray[np.float32] | None  # (T, C)


class OnnxClassifier:
    """A bundle and its loaded network. Safe to use from several threads."""

    def __init__(
        self,
        bundle: Bundle,
        device: Device = "cpu",
        threads: int = 1,
        precision: Precision = "float32",
    ) -> None:
        """Load the network of the bundle; see `Session` for the arguments and errors."""
        self.bundle = bundle
        self.config = bundle.config
        self._session = Session(bundle, device, threads, precision)
        self.provider = self._session.provider

    @property
    def batch_tokens(self) -> int:
        """Recommended number of tokens of one batch on this device, padding included."""
        return self._session.batch_tokens

    def encode(self, text: str) -> Encoding:
        """Tokenize a text. Raises `TextError` if it has no token."""
        return self.bundle.tokenizer.encode(text, self.config.max_tokens)

    def run(self, encodings: Sequence[Encoding], explain: Explain) -> list[Prediction]:
        """Classify one batch, padded to its longest text.

        Raises:
            InferenceError: the network failed or gave a number that is not finite.
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

    def run_all(self, encodings: Sequence[Encoding], explain: Explain) -> list[Prediction]:
        """Classify any number of tokenized texts in batches; the predictions keep their order.

        Raises:
            InferenceError: see `run`.
        """
        predictions: dict[int, Prediction] = {}
        for batch in length_batches([len(e.ids) for e in encodings], self.batch_tokens):
            results = self.run([encodings[index] for index in batch], explain)
            predictions.update(zip(batch, results, strict=True))
        return [predictions[index] for index in range(len(encodings))]

    def predict(self, texts: Sequence[str], explain: Explain = "attention") -> list[Prediction]:
        """Classify any number of texts in batches; the predictions keep their order.

        Raises:
            TextError: a text has no token.
            InferenceError: see `run`.
        """
        return self.run_all([self.encode(text) for text in texts], explain)

    def logits(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Return the logits of n texts given as token ids, shape (n, C).

        Args:
            ids: the token ids of each text, at least one; for example a text with some tokens
                deleted.

        Raises:
            InferenceError: see `run`.
        """
        logits = np.empty((len(ids), len(self.config.labels)))
        for batch in length_batches([len(of_text) for of_text in ids], self.batch_tokens):
            logits[batch] = self._infer([ids[index] for index in batch], "none")[0]
        return logits

    def probabilities(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Return softmax(logits / temperature) of n texts given as token ids, shape (n, C).

        Raises:
            InferenceError: see `run`.
        """
        return softmax(self.logits(ids) / self.config.temperature)

    def _infer(self, ids: Sequence[Sequence[int]], explain: Explain) -> list[Any]:
        """Run one batch of token ids. Returns the outputs that `explain` needs, in their order."""
        try:
            outputs = self._session.run(pad(ids), FETCHED_OUTPUTS[explain])
        except Exception as error:  # onnxruntime's errors have no public base class
            raise InferenceError(f"the network failed: {error}") from error
        # A finite sum proves that all numbers are finite. If finite numbers overflow the sum, the
        # second, slower test decides.
        if not all(isfinite(output.sum()) or np.isfinite(output).all() for output in outputs):
            raise InferenceError("the network gave a number that is not finite")
        return outputs


def _probabilities(logits: NDArray[np.float32], temperature: float) -> list[list[float]]:
    """Return softmax(logits / temperature), shape (B, C)."""
    if logits.size > MAX_PURE_PYTHON_NUMBERS:
        rows: list[list[float]] = softmax(logits.astype(np.float64) / temperature).tolist()
        return rows
    rows = []
    for row in logits.tolist():
        largest = max(row)
        exponents = [exp((logit - largest) / temperature) for logit in row]
        total = sum(exponents)
        rows.append([exponent / total for exponent in exponents])
    return rows


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(x_i - max x) / sum_j exp(x_j - max x), over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = exponents / exponents.sum(axis=-1, keepdims=True)
    return result
