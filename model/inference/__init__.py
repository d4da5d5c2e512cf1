"""Load bundles, run their networks in onnxruntime and build answers. Needs no PyTorch."""

from heed.model.bundles import CARD, MODEL, TOKENIZER, BundleConfig, Name, Version
from heed.model.inference.bundle import Bundle, check_free, find_bundles, write_bundle
from heed.model.inference.classifier import Explain, OnnxClassifier, Prediction, softmax
from heed.model.inference.fp16 import convert_to_fp16
from heed.model.inference.response import Unit, build_answer, word_spans
from heed.model.inference.session import CPU, CPU_BATCH_TOKENS, INPUT, OUTPUTS, Device

__all__ = [
    "CARD",
    "CPU",
    "CPU_BATCH_TOKENS",
    "INPUT",
    "MODEL",
    "OUTPUTS",
    "TOKENIZER",
    "Bundle",
    "BundleConfig",
    "Device",
    "Explain",
    "Name",
    "OnnxClassifier",
    "Prediction",
    "Unit",
    "Version",
    "build_answer",
    "check_free",
    "convert_to_fp16",
    "find_bundles",
    "softmax",
    "word_spans",
    "write_bundle",
]
