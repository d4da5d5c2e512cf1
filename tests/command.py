"""Run the command `heed` as a person does, in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def heed(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `heed ARGUMENTS`; unless told not to, fail when it does."""
    done = subprocess.run(
        [sys.executable, "-m", "heed", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done
