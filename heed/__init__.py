"""Heed: text classification that shows how much each word contributes to the label.

Importing this package loads neither PyTorch, onnxruntime nor FastAPI; `load` imports what it needs.
"""

from heed.api import Answer, Classifier, OptionError, Token, load
from heed.model.errors import BundleError, DeviceError, HeedError, InferenceError, TextError

__all__ = [
    "Answer",
    "BundleError",
    "Classifier",
    "DeviceError",
    "HeedError",
    "InferenceError",
    "OptionError",
    "TextError",
    "Token",
    "__version__",
    "load",
]

__version__ = "0.2.0"
