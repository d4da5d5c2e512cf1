"""onnxruntime's own reporting stays off."""

import os
import subprocess
import sys
from pathlib import Path


def test_running_a_bundle_leaves_no_identifier_in_the_home_folder(tmp_path: Path) -> None:
    # onnxruntime keeps quiet under CI by itself, so the variable must not be there.
    hidden = {"CI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    program = (
        "import heed.model.inference.classifier, onnxruntime; onnxruntime.get_available_providers()"
    )
    subprocess.run(
        [sys.executable, "-c", program], env=environment | {"HOME": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []
