"""Run the network of a bundle in onnxruntime, on the CPU or a GPU. Needs no PyTorch."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from heed.model.bundles import CONFIG, MODEL
from heed.model.errors import BundleError, DeviceError
from heed.model.inference.bundle import Bundle
from heed.model.inference.external_data import has_external_data
from heed.model.inference.fp16 import convert_to_fp16

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "tf32", "float16"]

INPUT = "input_ids"
OUTPUTS = ("logits", "attention", "contributions")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CPU_BATCH_TOKENS = 768
"""Tokens of one run on the CPU. A larger run does not fit in the caches and is not faster."""
GPU_BATCH_TOKENS = 16384
"""Tokens of one run on a GPU, where a run has a high fixed cost and a token a low one."""
MAX_PROBE_TOKENS = 2048
"""Maximum length of the text that checks a network; a longer one would need a gigabyte."""
MIN_GPU_WIDTH = 16
"""Minimum number of tokens a row in the shapes that run on a GPU."""


class Session:
    """A loaded network. Safe to use from several threads."""

    def __init__(
        self,
        bundle: Bundle,
        device: Device = "cpu",
        threads: int = 1,
        precision: Precision = "float32",
    ) -> None:
        """Load the network and check its tensors with a few runs.

        Args:
            bundle: the bundle with the network.
            device: `auto` uses CUDA if onnxruntime can.
            threads: CPU threads of one run.
            precision: number format on a GPU. `tf32` rounds the inputs of matrix products to 10
                bits of mantissa, `float16` uses 16 bits throughout. The tolerances of a bundle
                hold for `float32`. The CPU always computes in `float32`.

        Raises:
            BundleError: the tensors do not fit the configuration of the bundle.
            DeviceError: `cuda` was requested and is not available.
        """
        _check_external_data(bundle)
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
        """Recommended number of tokens of one run on this device, padding included."""
        return CPU_BATCH_TOKENS if self.provider == CPU else GPU_BATCH_TOKENS

    def run(self, ids: NDArray[np.int64], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network on token ids (B, T). Returns the named outputs, in order.

        Raises the errors of onnxruntime.
        """
        if self.provider != CPU:
            return self.run_bound(ids, outputs)
        results: list[NDArray[np.float32]] = self._inner.run(outputs, {INPUT: ids}, self._options)
        return results

    def run_bound(
        self, ids: NDArray[np.int64], outputs: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """Run on a GPU: pad to one of few shapes and copy only the named outputs to the CPU."""
        rows, tokens = ids.shape
        padded = np.zeros(gpu_shape(rows, tokens, self._max_tokens), dtype=np.int64)
        padded[:rows, :tokens] = ids
        padded[rows:, 0] = ids[0, 0]  # a row without a token is not valid input
        binding = self._inner.io_binding()
        binding.bind_cpu_input(INPUT, padded)
        for name in outputs:
            binding.bind_output(name)
        self._inner.run_with_iobinding(binding, self._options)
        results = binding.copy_outputs_to_cpu()
        return [
            array[:rows] if name == "logits" else array[:rows, :tokens]
            for name, array in zip(outputs, results, strict=True)
        ]

    def warm_up(self, batch_tokens: int) -> int:
        """Run every shape of at most `batch_tokens` tokens once, to allocate memory and kernels.

        Returns the number of shapes.
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
    """Return the shape that a batch is padded to on a GPU: each side is the next power of two."""
    width = max(MIN_GPU_WIDTH, 1 << (tokens - 1).bit_length())
    return 1 << (rows - 1).bit_length(), min(max_tokens, width)


def _start(
    bundle: Bundle, device: Device, threads: int, precision: Precision
) -> ort.InferenceSession:
    if device == "cuda" and CUDA not in ort.get_available_providers():
        raise DeviceError(
            "--device cuda: the installed onnxruntime has no CUDA provider; install "
            "onnxruntime-gpu with its CUDA and cuDNN libraries, or use --device cpu"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; a fallback is visible in get_providers()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # onnxruntime's own format can have external data, too, and `has_external_data` reads only ONNX.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    providers: list[Any] = [CPU]
    model = bundle.model
    if device != "cpu" and CUDA in ort.get_available_providers():
        _load_cuda()
        providers.insert(0, (CUDA, {"use_tf32": int(precision == "tf32")}))
        if precision == "float16":
            model = convert_to_fp16(model)
    try:
        session = ort.InferenceSession(model, options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no public base class
        raise BundleError(
            f"{bundle.path / MODEL}: onnxruntime cannot load it: {error}; export the bundle again"
        ) from error
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise DeviceError(
            "--device cuda: onnxruntime cannot start CUDA: the driver, CUDA or cuDNN is missing; "
            "check the driver with `nvidia-smi`, or use --device cpu"
        )
    if model is not bundle.model and session.get_providers()[0] != CUDA:
        return _start(bundle, "cpu", threads, precision)
    return session


def _check_external_data(bundle: Bundle) -> None:
    """Raise `BundleError` if a tensor of the network is in another file, which no hash covers."""
    try:
        external = has_external_data(bundle.model)
    except ValueError as error:
        raise BundleError(
            f"{bundle.path / MODEL}: not a valid ONNX file ({error}); export the bundle again"
        ) from error
    if external:
        raise BundleError(
            f"{bundle.path / MODEL}: a tensor has its data in another file; save the network with "
            "all tensors inside"
        )


def _load_cuda() -> None:
    """Load the CUDA libraries of the extra `gpu`, if it is installed.

    onnxruntime does not search for them by itself. Its long messages about missing libraries are
    suppressed, because `_start` checks the provider of the session.
    """
    ort.set_default_logger_severity(4)
    with redirect_stdout(None):
        ort.preload_dlls()


def _check_tensors(bundle: Bundle, session: ort.InferenceSession) -> None:
    """Raise `BundleError` if the network does not fit the configuration or does not mask padding.

    Runs tokens from the whole vocabulary, with and without padding, and one text of maximum length.
    Padding is checked because a version of onnxruntime, or a device, that lacks the newest form of
    an operator may ignore its mask without an error.
    """
    inputs = {tensor.name: tensor.type for tensor in session.get_inputs()}
    if inputs != {INPUT: "tensor(int64)"}:
        raise BundleError(
            f"{bundle.path / MODEL}: its inputs are {inputs}, not one int64 tensor {INPUT}; export "
            "the bundle again"
        )
    names = {tensor.name for tensor in session.get_outputs()}
    missing = set(OUTPUTS) - names
    if missing:
        raise BundleError(
            f"{bundle.path / MODEL}: lacks the output {min(missing)}; export the bundle again"
        )
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
    except Exception as error:  # onnxruntime's errors have no public base class
        message = str(error).splitlines()[0]
        raise BundleError(
            f"{bundle.path / MODEL}: fails on token ids of its vocabulary: {message}; export the "
            "bundle again"
        ) from error
    for name, output, shape in zip(OUTPUTS, outputs, shapes, strict=True):
        if output.shape != shape:
            raise BundleError(
                f"{bundle.path / MODEL}: {name} has shape {output.shape}; {CONFIG} requires {shape}"
                "; export the bundle again"
            )
    logits, attention, contributions = outputs
    with np.errstate(invalid="ignore"):  # numbers that are not finite are rejected in each request
        by_padding = np.abs(logits - alone)
        tolerance = 0.001 + 0.02 * np.abs(contributions).sum(axis=1)
        by_sum = np.abs(bundle.config.bias + contributions.sum(axis=1) - logits)
    if (by_sum[np.isfinite(by_sum)] > tolerance[np.isfinite(by_sum)]).any():
        raise BundleError(
            f"{bundle.path / MODEL}: its logits are not the bias in {CONFIG} plus its "
            "contributions; copy the bundle again"
        )
    at_padding = (numbers[:, len(text) :] for numbers in (attention, contributions))
    if (by_padding > tolerance).any() or any((np.abs(numbers) > 0).any() for numbers in at_padding):
        raise BundleError(
            f"{bundle.path / MODEL}: padding changes its outputs: the network does not mask "
            f"padding, or onnxruntime {ort.__version__} ignores the mask on "
            f"{session.get_providers()[0]}; use another version of onnxruntime, or --device cpu"
        )
