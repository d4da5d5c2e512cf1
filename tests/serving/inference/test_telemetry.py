"""onnxruntime sends no telemetry."""

import os
import subprocess
import sys
from pathlib import Path


def test_onnxruntime_writes_no_identifier_to_the_home_folder(tmp_path: Path) -> None:
    # onnxruntime disables its telemetry under CI, so the test removes that variable.
    hidden = {"CI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    program = (
        "import heed.model.inference.classifier, onnxruntime; onnxruntime.get_available_providers()"
    )
    subprocess.run(
        [sys.executable, "-c", program], env=environment | {"HOME": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []
