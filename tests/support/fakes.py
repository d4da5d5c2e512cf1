"""A classifier that answers with the text's length, and does as it is told; enters at its seam."""

import threading
from collections.abc import Sequence

import numpy as np

from heed.model.errors import InferenceError, TextError
from heed.model.inference.bundle import BundleConfig
from heed.model.inference.classifier import Explain, OnnxClassifier, Prediction
from heed.model.inference.session import CPU_BATCH_TOKENS
from heed.model.text.tokenizer import Encoding

CLASSES = 200


class FakeClassifier(OnnxClassifier):
    """Labels a text with its length, in figures; a token a character.

    Texts that mean something to it: "blank" has no token; "poison" gives no usable answer; "bug"
    and "panic" raise what nobody expects.
    """

    def __init__(self, name: str = "fake") -> None:
        self.config = BundleConfig(
            format=1,
            name=name,
            version="1.0.0",
            labels=[str(number) for number in range(CLASSES)],
            max_tokens=1000,
            bias=[0.0] * CLASSES,
            temperature=1.0,
            min_confidence=None,
            sha256={},
        )
        self.provider = "FakeExecutionProvider"
        self.broken = False
        self.open = threading.Event()
        """While it is cleared, runs wait."""
        self.open.set()
        self.running = threading.Event()
        """Set once a run has begun."""
        self.batches: list[list[int]] = []
        """The lengths of the texts of each run."""

    @property
    def batch_tokens(self) -> int:
        return CPU_BATCH_TOKENS

    def encode(self, text: str) -> Encoding:
        if text == "blank":
            raise TextError("nothing to read")
        if text == "untokenizable":
            raise PanicException
        code = ["poison", "bug", "panic"].index(text) + 1 if text in BAD else 9
        return Encoding([code] * len(text), False, [])

    def run(self, encodings: Sequence[Encoding], _: Explain) -> list[Prediction]:
        self.running.set()
        assert self.open.wait(60)
        codes = {encoding.ids[0] for encoding in encodings}
        if self.broken or 1 in codes:
            raise InferenceError("the network gave a number that is not finite")
        if 2 in codes:
            raise RuntimeError("nobody expects this")
        if 3 in codes:
            raise PanicException
        self.batches.append([len(encoding.ids) for encoding in encodings])
        return [self._predict(encoding) for encoding in encodings]

    def _predict(self, encoding: Encoding) -> Prediction:
        one_hot = np.eye(CLASSES)[len(encoding.ids)]
        return Prediction(encoding, one_hot.astype(np.float32), one_hot.tolist(), None, None)


BAD = ("poison", "bug", "panic")


class PanicException(BaseException):
    """A panic of a library in another language."""
