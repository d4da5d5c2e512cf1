"""Load by wrk: each connection sends its next request when it has the answer to the last one."""

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load.server import LOAD_CORE, exit_with

SCRIPT = r"""
local bodies = {}
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
local index = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  index = index % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[index])
end
function done(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.timeout + summary.errors.connect + summary.errors.read,
    latency:percentile(50), latency:percentile(99)))
end
"""
"""Sends the lines of the file BODIES one after another, and prints the totals in one line."""


def wrk(
    url: str, bodies: Sequence[str], connections: int, seconds: float, cores: str = LOAD_CORE
) -> dict[str, float]:
    """Send load over a number of connections.

    Returns:
        Requests `a_second`; `p50` and `p99` in seconds; `errors`, among them every answer that is
        not 2xx.
    """
    with tempfile.TemporaryDirectory() as folder:
        script, lines = Path(folder) / "load.lua", Path(folder) / "bodies"
        script.write_text(SCRIPT, encoding="utf-8")
        lines.write_text("\n".join(bodies) + "\n", encoding="utf-8")
        command = ["taskset", "-c", cores, "wrk", "-t1", f"-c{connections}", "--timeout", "30s"]
        command += ["-d", f"{max(1, round(seconds))}s", "-s", str(script), url]
        environment = os.environ | {"BODIES": str(lines)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    result = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if result is None:
        exit_with(f"wrk failed: {done.stderr or done.stdout}")
    count, duration, errors, p50, p99 = map(int, result.groups())
    return {
        "a_second": (count - errors) * 1e6 / duration,
        "p50": p50 / 1e6,
        "p99": p99 / 1e6,
        "errors": errors,
    }
