"""Heed's classifier: fit a tokenizer, train a network, export a bundle, run it, explain it.

`tokenizer`, `bundle` and `classifier` need no PyTorch and are all that serving imports.
"""

import os

# onnxruntime's wheels report to their maker, and leave an identifier in the home folder, unless
# told not to before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
