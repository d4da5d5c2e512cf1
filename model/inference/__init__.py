"""Load bundles, run their networks in onnxruntime and build answers. Needs no PyTorch."""
