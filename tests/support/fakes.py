"""A classifier for tests that predicts the length of the text."""

import threading
from collections.abc import Sequence

import numpy as np

from heed.model.bundles import BundleConfig
from heed.model.errors import InferenceError, TextError
from heed.model.inference.classifier import Explain, OnnxClassifier, Prediction
from heed.model.inference.session import CPU_BATCH_TOKENS
from heed.model.text.tokenizer import Encoding

CLASSES = 200


class FakeClassifier(OnnxClassifier):
    """The label of a text is its length; each character is a token.

    Special texts: "blank" has no token, the tokenizer fails on "untokenizable", the network returns
    no finite number for "poison", and "bug" and "panic" raise unexpected exceptions.
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
        """Runs wait while it is cleared."""
        self.open.set()
        self.running = threading.Event()
        """Set when a run begins."""
        self.batches: list[list[int]] = []
        """The lengths of the texts in each run."""

    @property
    def batch_tokens(self) -> int:
        return CPU_BATCH_TOKENS

    def encode(self, text: str) -> Encoding:
        if text == "blank":
            raise TextError("the text has no token")
        if text == "untokenizable":
            raise PanicException
        code = ["poison", "bug", "panic"].index(text) + 1 if text in BAD else 9
        return Encoding([code] * len(text), False, [])

    def run(self, encodings: Sequence[Encoding], _: Explain) -> list[Prediction]:
        self.running.set()
        assert self.open.wait(60)
        codes = {encoding.ids[0] for encoding in encodings}
        if self.broken or 1 in codes:
            raise InferenceError("the network returned a number that is not finite")
        if 2 in codes:
            raise RuntimeError("unexpected")
        if 3 in codes:
            raise PanicException
        self.batches.append([len(encoding.ids) for encoding in encodings])
        return [self._predict(encoding) for encoding in encodings]

    def _predict(self, encoding: Encoding) -> Prediction:
        one_hot = np.eye(CLASSES)[len(encoding.ids)]
        return Prediction(encoding, one_hot.astype(np.float32), one_hot.tolist(), None, None)


BAD = ("poison", "bug", "panic")


class PanicException(BaseException):
    """The exception for a panic in a Rust library."""
