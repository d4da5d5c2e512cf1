"""A network in half precision, for GPUs. Needs `onnx`, which the extra `gpu` brings."""

import logging
import warnings
from importlib.util import find_spec

from heed.model.errors import DeviceError, to_install


def convert_to_fp16(model: bytes) -> bytes:
    """An ONNX file's content with its floats in 16 bits, inputs and outputs as they were.

    Raises:
        DeviceError: `onnx` is missing.
    """
    if find_spec("onnx") is None:
        raise DeviceError(
            f"--precision float16: onnx is not installed; {to_install('gpu')} brings it"
        )
    import onnx
    from onnxruntime.transformers import float16

    logging.getLogger(float16.__name__).setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):  # of numbers too small for it, or too large
        half = float16.convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True)
    content: bytes = half.SerializeToString()
    return content
