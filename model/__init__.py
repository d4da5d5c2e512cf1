"""Train, evaluate, export and run text classifiers.

`text` and `inference` need no PyTorch; serving imports only these two and `errors`.
"""

import os

# onnxruntime sends usage data to its maker and writes an identifier to the home folder, unless this
# variable is set before the first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
