"""Run the command `heed`, in this process or in a new one."""

import contextlib
import io
import subprocess
import sys
import warnings
from pathlib import Path

from heed.__main__ import main

ROOT = Path(__file__).resolve().parents[2]

Done = subprocess.CompletedProcess[str]


def heed(*arguments: object, check: bool = True) -> Done:
    """Run `heed ARGUMENTS` in this process, which saves the time to load PyTorch.

    With `check`, an exit status other than 0 fails the test.
    """
    given = [str(argument) for argument in arguments]
    out, err, status, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["heed", *given]
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(action="default"),  # as in a new process
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            sys.argv = before
    return _checked(
        subprocess.CompletedProcess(given, status, out.getvalue(), err.getvalue()), check
    )


def heed_alone(*arguments: object, check: bool = True) -> Done:
    """Run `heed ARGUMENTS` in a new process, for what happens when packages are loaded."""
    done = subprocess.run(
        [sys.executable, "-m", "heed", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return _checked(done, check)


WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == {module!r} else PathFinder.find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from heed.__main__ import main
sys.argv[0] = "heed"
main()
"""


def heed_without(module: str, *arguments: object) -> Done:
    """Run `heed ARGUMENTS` in a process whose import system does not find `module`."""
    command = [sys.executable, "-c", WITHOUT.format(module=module), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _checked(done: Done, check: bool) -> Done:
    assert not check or done.returncode == 0, done.stderr
    return done
