"""Print the requirements of the image: the dependencies in pyproject.toml, for one device.

`cpu` replaces onnxruntime-gpu by onnxruntime: the answers are the same and the image is 270 MB
smaller. `gpu` adds the CUDA libraries.
"""

import sys
import tomllib
from pathlib import Path

CPU = "onnxruntime"
GPU = "onnxruntime-gpu"


def requirements(device: str) -> list[str]:
    """Return the requirement lines for `device`, `cpu` or `gpu`."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines: list[str] = project["dependencies"]
    if device == "gpu":
        return [*lines, *project["optional-dependencies"]["gpu"]]
    if device == "cpu":
        return [
            line.partition(";")[0].replace(GPU, CPU) if line.startswith(GPU) else line
            for line in lines
        ]
    sys.exit(f"DEVICE is {device!r}; it must be cpu or gpu")


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
