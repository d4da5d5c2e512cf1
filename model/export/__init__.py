"""From a trained network to a bundle: ONNX graph, parity check, calibration and model card."""
