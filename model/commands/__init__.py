"""The subcommands of `heed` that train, export and classify.

Import the module that you need: `cli` has the options and loads nothing else, `train` needs
PyTorch, `classify` needs onnxruntime.
"""

__all__ = ["classify", "cli", "train"]
