"""What the programs have in common: processes that are pinned to a core, and load on another."""

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

ROOT = Path(__file__).parent.parent
PATIENCE = 120.0
SERVER, LOAD = "0", "1"
"""The cores of the server and of what asks it."""
LUA = """
local bodies = {}
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
local turn = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  turn = turn %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end
function done(summary, latency, requests)
  io.write(string.format("FOUND %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.timeout + summary.errors.connect + summary.errors.read,
    latency:percentile(50), latency:percentile(99)))
end
""".replace("%%", "%")
"""For wrk: send the lines of a file in turn, and tell what was counted in one line."""


def give_up(reason: str) -> NoReturn:
    """End with one plain sentence and status 2."""
    print(reason, file=sys.stderr)
    raise SystemExit(2)


def check_tools() -> None:
    """End unless this machine can measure."""
    if missing := [tool for tool in ("taskset", "wrk") if shutil.which(tool) is None]:
        give_up(f"{' and '.join(missing)} cannot be found; install util-linux and wrk")
    if not {int(SERVER), int(LOAD)} <= os.sched_getaffinity(0):
        give_up("two cores are needed, one for the server and one for the load")


def describe() -> dict[str, Any]:
    """The machine, as far as it says."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


@contextmanager
def serving(
    command: Sequence[str],
    ready: str,
    *,
    cores: str = SERVER,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a server on `cores` until the end of the block; begin when `ready`, a URL, is 200.

    Everything that it started ends with it.
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
            if not _await_ready(process, ready):
                log.seek(0)
                end = log.read().decode(errors="replace").strip()[-2000:]
                give_up(f"{' '.join(command)}\ndid not come to answer {ready}:\n{end}")
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _await_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if get(url)[0] == 200:
            return True
        time.sleep(0.02)
    return False


def get(url: str) -> tuple[int, str]:
    """Status and body; status 0 where nobody answers."""
    return _ask("GET", url, None)


def post(url: str, body: str) -> str:
    """The answer to a JSON body; ends the program when it is refused."""
    status, answer = _ask("POST", url, body)
    if status != 200:
        give_up(f"{url} answered {status}: {answer[:500]}")
    return answer


def _ask(method: str, url: str, body: str | None) -> tuple[int, str]:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        connection.request(method, "/" + path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def wrk(
    url: str, bodies: Sequence[str], connections: int, seconds: float, cores: str = LOAD
) -> dict[str, float]:
    """Load of `connections` that each wait for an answer before they ask again.

    Returns:
        Requests `a_second`; `p50` and `p99` in seconds; `errors`, answers other than 2xx included.
    """
    with tempfile.TemporaryDirectory() as folder:
        script, lines = Path(folder) / "load.lua", Path(folder) / "bodies"
        script.write_text(LUA, encoding="utf-8")
        lines.write_text("\n".join(bodies) + "\n", encoding="utf-8")
        command = ["taskset", "-c", cores, "wrk", "-t1", f"-c{connections}", "--timeout", "30s"]
        command += ["-d", f"{max(1, round(seconds))}s", "-s", str(script), url]
        environment = os.environ | {"BODIES": str(lines)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"FOUND (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        give_up(f"wrk failed: {done.stderr or done.stdout}")
    count, duration, errors, p50, p99 = map(int, found.groups())
    return {
        "a_second": (count - errors) * 1e6 / duration,
        "p50": p50 / 1e6,
        "p99": p99 / 1e6,
        "errors": errors,
    }
