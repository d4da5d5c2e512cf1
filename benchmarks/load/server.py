"""Start a server on one core, wait until it is ready, and send it single requests."""

import http.client
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
TIMEOUT = 120.0
"""Seconds until a server must be ready, and until it must answer a request."""
SERVER_CORE, LOAD_CORE = "0", "1"


def exit_with(reason: str) -> NoReturn:
    """Print one sentence and end the program with status 2."""
    print(reason, file=sys.stderr)
    raise SystemExit(2)


def check_tools() -> None:
    """End the program unless this machine has the tools and the cores to measure."""
    if missing := [tool for tool in ("taskset", "wrk") if shutil.which(tool) is None]:
        exit_with(f"{' and '.join(missing)} cannot be found; install util-linux and wrk")
    if not {int(SERVER_CORE), int(LOAD_CORE)} <= os.sched_getaffinity(0):
        exit_with("two cores are needed, one for the server and one for the load")


def describe_machine() -> dict[str, Any]:
    """Return the processor, the number of cores and the version of Python."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


@contextmanager
def running(
    command: Sequence[str],
    ready: str,
    *,
    cores: str = SERVER_CORE,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block. Every process that it started ends with it.

    Args:
        command: the server.
        ready: a URL; the block begins when it answers 200.
        cores: the cores that the server may use, as `taskset` reads them.
        cwd: the folder that the server runs in.
        environment: variables added to those of this process.
    """
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            ["taskset", "-c", cores, *command],
            cwd=cwd,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            if not _wait_until_ready(process, ready):
                log.seek(0)
                end = log.read().decode(errors="replace").strip()[-2000:]
                exit_with(f"{' '.join(command)}\n{ready} did not answer 200; the log ends:\n{end}")
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        if get(url)[0] == 200:
            return True
        time.sleep(0.02)
    return False


def get(url: str) -> tuple[int, str]:
    """Return status and body of a GET; status 0 if there is no answer."""
    return _request("GET", url, None)


def post(url: str, body: str) -> str:
    """Return the answer to a JSON body; end the program if its status is not 200."""
    status, answer = _request("POST", url, body)
    if status != 200:
        exit_with(f"{url} answered {status}: {answer[:500]}")
    return answer


def _request(method: str, url: str, body: str | None) -> tuple[int, str]:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT)
    try:
        connection.request(method, "/" + path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
