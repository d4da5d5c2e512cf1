"""A bundle's network in onnxruntime, on the CPU or a GPU. Needs no PyTorch."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from heed.model.errors import BundleError, DeviceError
from heed.model.inference.bundle import CONFIG, Bundle
from heed.model.inference.fp16 import convert_to_fp16

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "tf32", "float16"]

INPUT = "input_ids"
OUTPUTS = ("logits", "attention", "contributions")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CPU_BATCH_TOKENS = 768
"""Tokens of one run on the CPU; more leave the caches, gain nothing and take memory."""
GPU_BATCH_TOKENS = 16384
"""Tokens of one run elsewhere, where a run costs more and a token less."""
MAX_PROBE_TOKENS = 2048
"""Tokens of the longest text that a network is tried with; more would take a gigabyte."""
MIN_GPU_WIDTH = 16
"""Tokens of the narrowest shape that a GPU is asked to run."""


class Session:
    """A network that runs. Calls may come from several threads."""

    def __init__(
        self,
        bundle: Bundle,
        device: Device = "cpu",
        threads: int = 1,
        precision: Precision = "float32",
    ) -> None:
        """Load the network and run it once, which proves that its tensors fit the bundle.

        Args:
            bundle: whose network.
            device: `auto` takes CUDA where onnxruntime has it.
            threads: CPU threads of one run.
            precision: of a GPU's numbers: `tf32` rounds what its matrix products take to ten bits,
                `float16` is of all. A bundle's tolerances are for `float32`, as on the CPU.

        Raises:
            BundleError: the tensors do not fit the bundle.
            DeviceError: `cuda` was asked for and cannot be had.
        """
        self._inner = _start(bundle, device, threads, precision)
        self.provider: str = self._inner.get_providers()[0]
        self._max_tokens = bundle.config.max_tokens
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "0")
        _check_tensors(bundle, self._inner)
        if self.provider != CPU:
            self.warm_up(GPU_BATCH_TOKENS)

    @property
    def batch_tokens(self) -> int:
        """Tokens of one run, padding included, that suit the device."""
        return CPU_BATCH_TOKENS if self.provider == CPU else GPU_BATCH_TOKENS

    def run(self, ids: NDArray[np.int64], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """One pass over token ids (B, T): the outputs asked for, in order.

        Raises whatever onnxruntime raises.
        """
        if self.provider != CPU:
            return self.run_bound(ids, outputs)
        found: list[NDArray[np.float32]] = self._inner.run(outputs, {INPUT: ids}, self._options)
        return found

    def run_bound(
        self, ids: NDArray[np.int64], outputs: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """The same for a GPU: in one of few shapes, and nothing copied that was not asked for."""
        rows, tokens = ids.shape
        padded = np.zeros(gpu_shape(rows, tokens, self._max_tokens), dtype=np.int64)
        padded[:rows, :tokens] = ids
        padded[rows:, 0] = ids[0, 0]  # every row needs a token
        binding = self._inner.io_binding()
        binding.bind_cpu_input(INPUT, padded)
        for name in outputs:
            binding.bind_output(name)
        self._inner.run_with_iobinding(binding, self._options)
        found = binding.copy_outputs_to_cpu()
        return [
            array[:rows] if name == "logits" else array[:rows, :tokens]
            for name, array in zip(outputs, found, strict=True)
        ]

    def warm_up(self, batch_tokens: int) -> int:
        """Run every shape of at most `batch_tokens` tokens, so that memory and kernels are ready.

        Returns how many there are.
        """
        limit = self._max_tokens
        widths = {gpu_shape(1, tokens, limit)[1] for tokens in range(1, limit + 1)}
        shapes = [
            (1 << power, width)
            for width in widths
            for power in range((batch_tokens // width).bit_length())
        ]
        for shape in sorted(shapes, reverse=True):
            self.run_bound(np.ones(shape, dtype=np.int64), OUTPUTS)
        return len(shapes)


def gpu_shape(rows: int, tokens: int, max_tokens: int) -> tuple[int, int]:
    """The shape that a batch is padded to on a GPU: each side the next power of two."""
    width = max(MIN_GPU_WIDTH, 1 << (tokens - 1).bit_length())
    return 1 << (rows - 1).bit_length(), min(max_tokens, width)


def _start(
    bundle: Bundle, device: Device, threads: int, precision: Precision
) -> ort.InferenceSession:
    if device == "cuda" and CUDA not in ort.get_available_providers():
        raise DeviceError(
            "--device cuda: this onnxruntime has no CUDA provider; install onnxruntime-gpu with "
            "the CUDA and cuDNN libraries it names, or use --device cpu"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised, and fallbacks seen by what the session says
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [CPU]
    model = bundle.model
    if device != "cpu" and CUDA in ort.get_available_providers():
        _load_cuda()
        providers.insert(0, (CUDA, {"use_tf32": int(precision == "tf32")}))
        if precision == "float16":
            model = convert_to_fp16(model)
    try:
        session = ort.InferenceSession(model, options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no public base
        raise BundleError(f"{bundle.path}: onnxruntime cannot load its model: {error}") from error
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise DeviceError(
            "--device cuda: onnxruntime could not start CUDA here (driver, CUDA or cuDNN library "
            "missing); `nvidia-smi` shows the driver, or use --device cpu"
        )
    if model is not bundle.model and session.get_providers()[0] != CUDA:
        return _start(bundle, "cpu", threads, precision)
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
    """Run tokens from all of the vocabulary with padding behind them, and as long a text as may be.

    The shapes and the bias must fit the config, and padding change nothing: an onnxruntime or a
    device that does not know an operator's newer form may leave its mask out and say nothing of it.
    """
    inputs = {tensor.name: tensor.type for tensor in session.get_inputs()}
    if inputs != {INPUT: "tensor(int64)"}:
        raise BundleError(
            f"{bundle.path}: the model's inputs are {inputs}, not one int64 input_ids"
        )
    names = {tensor.name for tensor in session.get_outputs()}
    missing = set(OUTPUTS) - names
    if missing:
        raise BundleError(f"{bundle.path}: the model lacks the output {min(missing)}")
    longest, vocabulary = bundle.config.max_tokens, bundle.tokenizer.vocabulary
    text = np.linspace(vocabulary - 1, 1, min(8, (longest + 1) // 2)).astype(np.int64)
    ids = np.zeros((2, min(64, longest)), dtype=np.int64)
    ids[:, : len(text)] = text
    classes = len(bundle.config.labels)
    shapes = [(2, classes), ids.shape, (*ids.shape, classes)]
    try:
        outputs: list[Any] = session.run(OUTPUTS, {INPUT: ids})
        [alone] = session.run(OUTPUTS[:1], {INPUT: text[None]})
        session.run(
            OUTPUTS[:1], {INPUT: np.ones((1, min(longest, MAX_PROBE_TOKENS)), dtype=np.int64)}
        )
    except Exception as error:  # onnxruntime's own errors share no public base
        message = str(error).splitlines()[0]
        raise BundleError(f"{bundle.path}: the model fails on its own tokens: {message}") from error
    for name, output, shape in zip(OUTPUTS, outputs, shapes, strict=True):
        if output.shape != shape:
            raise BundleError(
                f"{bundle.path}: {name} has shape {output.shape} where its labels and tokens "
                f"make {shape}"
            )
    logits, attention, contributions = outputs
    with np.errstate(invalid="ignore"):  # a text whose numbers are none is refused when it comes
        moved = np.abs(logits - alone)
        may_move = 0.001 + 0.02 * np.abs(contributions).sum(axis=1)
        off = np.abs(bundle.config.bias + contributions.sum(axis=1) - logits)
    if (off[np.isfinite(off)] > may_move[np.isfinite(off)]).any():
        raise BundleError(
            f"{bundle.path}: the model's logits are not the bias of {CONFIG} and the sum of its "
            "contributions; copy the bundle again"
        )
    at_padding = (numbers[:, len(text) :] for numbers in (attention, contributions))
    if (moved > may_move).any() or any((np.abs(numbers) > 0).any() for numbers in at_padding):
        raise BundleError(
            f"{bundle.path}: the model says something else of a text with padding behind it; it "
            f"does not mask padding, or onnxruntime {ort.__version__} does not on "
            f"{session.get_providers()[0]}: take another version, or --device cpu"
        )
