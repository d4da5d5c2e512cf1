"""Texts in, predictions out: the only place that runs a bundle's ONNX. Needs no PyTorch."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from model.bundle import Bundle
from model.errors import BundleError, DeviceError, InferenceError
from model.tokenizer import Encoding, length_batches, pad

Explain = Literal["none", "attention", "contributions"]
Device = Literal["auto", "cpu", "cuda"]

OUTPUTS: dict[Explain, list[str]] = {
    "none": ["logits"],
    "attention": ["logits", "attention"],
    "contributions": ["logits", "attention", "contributions"],
}
BATCH_TOKENS = 768
"""Tokens of one run on the CPU; more leave the caches, gain nothing and take memory."""
GPU_BATCH_TOKENS = 16384
"""Tokens of one run elsewhere, where a run costs more and a token less."""
FEW = 128
"""Numbers that Python itself is quicker with than numpy, whose code has to come to the caches."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one text of T tokens, for C labels."""

    encoding: Encoding
    logits: NDArray[np.float32]  # (C,)
    probabilities: list[float]  # (C,)
    attention: NDArray[np.float32] | None  # (T,)
    contributions: NDArray[np.float32] | None  # (T, C)


class Classifier:
    """A bundle with an onnxruntime session. Calls may come from several threads."""

    def __init__(self, bundle: Bundle, device: Device = "cpu", threads: int = 1) -> None:
        """Make the session and run it once, which proves that its tensors fit the bundle.

        Args:
            bundle: what to run.
            device: `auto` takes CUDA where onnxruntime has it.
            threads: CPU threads of one run.

        Raises:
            BundleError: the tensors do not fit the bundle.
            DeviceError: `cuda` was asked for and cannot be had.
        """
        self.bundle = bundle
        self.config = bundle.config
        self._session = _session(bundle, device, threads)
        self.provider: str = self._session.get_providers()[0]
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "0")
        self._options.only_execute_path_to_fetches = True
        _check_tensors(bundle, self._session)

    @property
    def batch_tokens(self) -> int:
        """Tokens of one run, padding included, that suit the device."""
        return BATCH_TOKENS if self.provider == "CPUExecutionProvider" else GPU_BATCH_TOKENS

    def encode(self, text: str, explain: Explain = "attention") -> Encoding:
        """Tokenize a text for at most `explain`; raises `TextError` when it has no token."""
        spans = explain != "none"
        return self.bundle.tokenizer.encode(text, self.config.max_tokens, spans=spans)

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
        encodings = [self.encode(text, explain) for text in texts]
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
            outputs: list[Any] = self._session.run(
                OUTPUTS[explain], {"input_ids": pad(texts)}, self._options
            )
        except Exception as error:  # onnxruntime's own errors share no public base
            raise InferenceError(f"the network failed: {error}") from error
        # The sum of finite numbers is finite, but for sizes that the first test would not pass.
        if not all(isfinite(output.sum()) or np.isfinite(output).all() for output in outputs):
            raise InferenceError("the network gave a number that is not finite")
        return outputs


def _probabilities(logits: NDArray[np.float32], temperature: float) -> list[list[float]]:
    """softmax(logits / temperature), (B, C)."""
    if logits.size > FEW:
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


def _session(bundle: Bundle, device: Device, threads: int) -> ort.InferenceSession:
    cuda = "CUDAExecutionProvider"
    if device == "cuda" and cuda not in ort.get_available_providers():
        raise DeviceError(
            "--device cuda: this onnxruntime has no CUDA provider; install onnxruntime-gpu with "
            "the CUDA and cuDNN libraries it names, or use --device cpu"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # fallbacks are reported by us, from what the session says
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu" and cuda in ort.get_available_providers():
        _load_cuda()
        # TF32 rounds to ten bits; the tolerances of a bundle are for float32.
        providers.insert(0, (cuda, {"use_tf32": 0}))
    try:
        session = ort.InferenceSession(bundle.model, options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no public base
        raise BundleError(f"{bundle.path}: onnxruntime cannot load its model: {error}") from error
    if device == "cuda" and session.get_providers()[0] != cuda:
        raise DeviceError(
            "--device cuda: onnxruntime could not start CUDA here (driver, CUDA or cuDNN library "
            "missing); `nvidia-smi` shows the driver, or use --device cpu"
        )
    return session


def _load_cuda() -> None:
    """Load CUDA from the libraries of the extra `gpu`, where it is installed.

    onnxruntime does not look there by itself, and says at length what it lacks; the provider that
    the session ends up with says it better.
    """
    ort.set_default_logger_severity(4)
    with redirect_stdout(None):
        ort.preload_dlls()


def _check_tensors(bundle: Bundle, session: ort.InferenceSession) -> None:
    """Run one row of every kind of id and two lengths, and compare the shapes with the config."""
    inputs = {tensor.name: tensor.type for tensor in session.get_inputs()}
    if inputs != {"input_ids": "tensor(int64)"}:
        raise BundleError(
            f"{bundle.path}: the model's inputs are {inputs}, not one int64 input_ids"
        )
    names = {tensor.name for tensor in session.get_outputs()}
    missing = set(OUTPUTS["contributions"]) - names
    if missing:
        raise BundleError(f"{bundle.path}: the model lacks the output {min(missing)}")
    ids = np.zeros((2, min(2, bundle.config.max_tokens)), dtype=np.int64)
    ids[:, 0] = bundle.tokenizer.vocabulary - 1
    classes = len(bundle.config.labels)
    shapes = [(2, classes), ids.shape, (*ids.shape, classes)]
    try:
        outputs: list[Any] = session.run(OUTPUTS["contributions"], {"input_ids": ids})
    except Exception as error:  # onnxruntime's own errors share no public base
        raise BundleError(f"{bundle.path}: the model fails on its own tokens: {error}") from error
    for name, output, shape in zip(OUTPUTS["contributions"], outputs, shapes, strict=True):
        if output.shape != shape:
            raise BundleError(
                f"{bundle.path}: {name} has shape {output.shape} where its labels and tokens "
                f"make {shape}"
            )
