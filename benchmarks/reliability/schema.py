"""Run schemathesis, with all its checks, against the OpenAPI document of a running server.

Schemathesis has an environment of its own, because it pins other versions than the server:

    python3 -m venv .venv-schemathesis
    .venv-schemathesis/bin/pip install --requirement benchmarks/reliability/schemathesis.txt
"""

import json
import subprocess
import tempfile
from pathlib import Path

from benchmarks.reliability.harness import (
    HOST,
    ROOT,
    Goal,
    Server,
    at_least,
    at_most,
    finish,
    give_up,
    make_parser,
    parse_options,
)

PROGRAM = ROOT / ".venv-schemathesis/bin/schemathesis"
CASES_AN_EXAMPLE = 8
"""Cases that each example of `--max-examples` brings, over all operations and phases."""
SECONDS_A_CASE = 0.5


def main() -> None:
    """Run schemathesis and print the figures of its report."""
    parser = make_parser(__doc__)
    parser.add_argument("--schemathesis", type=Path, default=PROGRAM)
    parser.add_argument("--cases", type=int, default=20_000, help="least number of cases")
    parser.add_argument("--seed", type=int, default=1)
    options = parse_options(parser, cases=2_000)
    if not options.schemathesis.exists():
        give_up(f"{options.schemathesis}: not found; make it as the docstring of this file says")
    with tempfile.TemporaryDirectory() as folder, Server(options) as server:
        report = Path(folder) / "report.json"
        command = [str(options.schemathesis.absolute()), "run"]
        command += [f"http://{HOST}:{server.port}/openapi.json", "--checks", "all"]
        command += ["--max-examples", str(-(-options.cases // CASES_AN_EXAMPLE))]
        command += ["--seed", str(options.seed), "--continue-on-failure", "--no-shrink"]
        command += ["--report", "json", "--report-json-path", str(report)]
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300 + SECONDS_A_CASE * options.cases,
            check=False,
        )
        if not report.exists():
            give_up(f"schemathesis wrote no report: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        found = json.loads(report.read_text(encoding="utf-8"))
        tracebacks = server.log().count("Traceback")
    cases = found["test_cases"]
    goals = [
        at_least("cases", cases["generated"], options.cases),
        at_most("failures", cases["unique_failures"], 0),
        at_most("errors", len(found["errors"]), 0),
        at_most("tracebacks in the log", tracebacks, 0),
        Goal("complete", found["complete"], "true", found["complete"] is True),
    ]
    failures = done.stdout.partition(" FAILURES ")[2].partition(" SUMMARY ")[0].strip("=\n ")
    finish(
        "schema",
        goals,
        cases=cases,
        seconds=round(found["running_time"], 1),
        seed=options.seed,
        failures=found["failures"],
        details=failures[:4000],
    )


if __name__ == "__main__":
    main()
