"""Heed's service: bundles behind HTTP. Never imports PyTorch.

Read in this order: `app`, `routes`, `inference/engine`, `inference/batcher`, `inference/runner`,
`supervisor`, `worker`.
"""
