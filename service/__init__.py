"""Heed's service: bundles behind HTTP. Never imports PyTorch. `app` connects its parts."""
