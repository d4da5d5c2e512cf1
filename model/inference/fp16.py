"""Convert a network to fp16, for GPUs. Needs `onnx`, from the extra `gpu`."""

import logging
import warnings
from importlib.util import find_spec

from heed.model.errors import DeviceError, to_install


def convert_to_fp16(model: bytes) -> bytes:
    """Return the content of an ONNX file in fp16; inputs and outputs keep their types.

    Raises:
        DeviceError: `onnx` is not installed.
    """
    if find_spec("onnx") is None:
        raise DeviceError(f"--precision float16: onnx is not installed; run {to_install('gpu')}")
    import onnx
    from onnxruntime.transformers import float16

    logging.getLogger(float16.__name__).setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):  # about numbers outside the range of fp16
        converted = float16.convert_float_to_float16(
            onnx.load_from_string(model), keep_io_types=True
        )
    content: bytes = converted.SerializeToString()
    return content
