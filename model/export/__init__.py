"""From a trained network to a bundle: ONNX graph, parity check, calibration and model card."""

from heed.model.export.bundle_builder import HeldOutData, build_bundle, choose_example
from heed.model.export.card import add_explanation_table
from heed.model.export.parity import TOLERANCE, max_difference
from heed.model.export.served_network import ServedNetwork

__all__ = [
    "TOLERANCE",
    "HeldOutData",
    "ServedNetwork",
    "add_explanation_table",
    "build_bundle",
    "choose_example",
    "max_difference",
]
