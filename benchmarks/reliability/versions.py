"""A bundle folder whose version changes, so that each answer shows which version made it.

Versions differ in `temperature`, which changes the probabilities of every text.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_DIFFERENCE = 2e-5


class VersionedBundle:
    """A copy of a bundle that can be rewritten in place."""

    def __init__(self, source: Path, folder: Path) -> None:
        """Copy the bundle `source` to `folder/NAME` and write version 1."""
        self._config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        self.name: str = self._config["name"]
        self.path = folder / self.name
        shutil.copytree(source, self.path)
        self._served: dict[str, float] = {}
        """Temperature of each version that was written."""
        self._logits: dict[str, float] | None = None
        self.write(1)

    def write(self, number: int) -> str:
        """Replace `config.json` by that of version `1.0.NUMBER`; return the version."""
        version = f"1.0.{number}"
        temperature = 1 + (number % 50) / 10
        self._served[version] = temperature
        self._replace(self._config | {"version": version, "temperature": temperature})
        return version

    def write_invalid(self) -> None:
        """Replace `config.json` by one whose bias does not fit its labels."""
        version = "9.9.9"
        self._replace(self._config | {"version": version, "bias": [0.0]})

    def _replace(self, config: dict[str, Any]) -> None:
        hashes = dict(config["sha256"])
        hashes["config.json"] = config_hash(config)
        document = json.dumps(config | {"sha256": hashes}, indent=2, ensure_ascii=False)
        scratch = self.path / ".config.json"
        scratch.write_text(document, encoding="utf-8")
        scratch.replace(self.path / "config.json")

    def was_served(self, answer: Mapping[str, Any]) -> bool:
        """True if the answer names a version that was written and has its probabilities.

        The first answer, by version 1 on an idle server, is the reference.
        """
        temperature = self._served.get(answer["version"])
        if temperature is None:
            return False
        # logits / T differ from log(probability) by a constant, which softmax removes.
        logs = {
            label: temperature * math.log(probability)
            for label, probability in answer["probabilities"].items()
        }
        top = max(logs.values())
        logits = {label: value - top for label, value in logs.items()}
        if self._logits is None:
            self._logits = logits
        return all(
            math.isclose(logits[label], value, abs_tol=MAX_DIFFERENCE)
            for label, value in self._logits.items()
        )


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of a config without its hashes, as bundle format 2 defines it."""
    covered = {name: value for name, value in config.items() if name != "sha256"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
