"""Compare Heed with other model servers: `python -m benchmarks.peers`, or `make bench-peers`.

Each server answers with the same bundle and the same fields, in an environment of its own
(`--environments`; `make bench-peers` makes them from the pinned lists in `servers/`). The servers
run one after another on the same core, the load on another core. `--out` keeps the rounds of all
runs; the table and the plot show their medians.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.server import ROOT, check_tools, describe_machine, exit_with, post, running
from benchmarks.load.texts import TOKENS, make_texts
from benchmarks.load.wrk import wrk
from benchmarks.peers.report import CONNECTIONS, ServerRates, draw, median_rates, table
from heed.model.inference import Bundle

PORT = 8470
SERVERS_FOLDER = ROOT / "benchmarks" / "peers" / "servers"


@dataclass(frozen=True)
class Server:
    """How a server is started."""

    title: str
    environment: str
    """Folder of its Python environment; empty: the one of this program."""
    command: tuple[str, ...]
    ready: str
    """Path that answers 200 when the server is ready."""
    as_list: bool = False
    """The body is {"texts": [TEXT]} instead of {"text": TEXT}."""


SERVERS = (
    Server(
        "Heed", "", ("-m", "heed", "serve", "--port", str(PORT), "--log-level", "warning"), "readyz"
    ),
    Server(
        "plain FastAPI",
        "fastapi",
        ("-m", "uvicorn", "fastapi_app:app", "--port", str(PORT), "--no-access-log"),
        "docs",
    ),
    Server("LitServe", "litserve", ("litserve_app.py", str(PORT)), "health"),
    Server(
        "BentoML",
        "bentoml",
        ("-m", "bentoml", "serve", "bentoml_app:Classify", "--port", str(PORT)),
        "readyz",
        as_list=True,
    ),
    Server("Ray Serve", "rayserve", ("rayserve_app.py", str(PORT)), "-/healthz"),
)


def main() -> None:
    """Measure, write the results, draw the plot and print the table."""
    options = read_options()
    check_tools()
    servers = [server for server in SERVERS if not options.only or server.title in options.only]
    for server in servers:
        if not python_of(server, options.environments).exists():
            exit_with(
                f"{server.title} is not installed in {options.environments}: make bench-peers"
            )
    bundle = Bundle.load(options.bundle)
    texts = make_texts(bundle, 256)
    document: dict[str, Any] = {"machine": describe_machine(), "tokens": TOKENS, "rounds": []}
    if options.out.exists():
        document = json.loads(options.out.read_text(encoding="utf-8"))
    for _ in range(options.rounds):
        results: ServerRates = {}
        for server in servers:
            results[server.title] = measure(server, options, texts)
            print(server.title, results[server.title], file=sys.stderr)
        document["rounds"].append(results)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    medians = median_rates(document["rounds"])
    if options.plot is not None:
        draw(medians, options.plot)
    print(table(medians))


def read_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/sentiment"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3, help="0: only draw the results in --out")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--only", nargs="*", help="titles, such as 'Heed' 'LitServe'")
    parser.add_argument("--environments", type=Path, default=Path(".venv-peers"))
    parser.add_argument("--out", type=Path, default=Path("runs/peers.json"))
    parser.add_argument("--plot", type=Path, help="an .svg or .png")
    return parser.parse_args()


def python_of(server: Server, environments: Path) -> Path:
    """Return the interpreter that has the server installed."""
    if not server.environment:
        return Path(sys.executable)
    return environments.absolute() / server.environment / "bin" / "python"


def measure(
    server: Server, options: argparse.Namespace, texts: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Start one server, send load with each number of connections, and end it."""
    bundle = str(options.bundle.resolve())
    command = [str(python_of(server, options.environments)), *server.command]
    if server.title == "Heed":
        command += ["--bundles", bundle, "--device", options.device]
    provider = "CUDAExecutionProvider" if options.device == "cuda" else "CPUExecutionProvider"
    environment = {"BUNDLE": bundle, "PROVIDER": provider}
    bodies = [json.dumps({"texts": [text]} if server.as_list else {"text": text}) for text in texts]
    base = f"http://127.0.0.1:{PORT}/"
    url = base + "classify"
    cwd = SERVERS_FOLDER if server.environment else ROOT
    with running(command, base + server.ready, cwd=cwd, environment=environment):
        check_answer(server, post(url, bodies[0]), texts[0])
        wrk(url, bodies, 16, 1)  # warm up
        return {str(count): wrk(url, bodies, count, options.seconds) for count in CONNECTIONS}


def check_answer(server: Server, answer: str, text: str) -> None:
    """End the program unless the answer has the fields that every server must return."""
    document = json.loads(answer)
    document = document[0] if isinstance(document, list) else document
    tokens = document["tokens"]
    if not (
        {"label", "probabilities", "tokens"} <= set(document)
        and all(text[token["start"] : token["end"]] == token["text"] for token in tokens)
        and abs(sum(token["attention"] for token in tokens) - 1) < 1e-4
    ):
        exit_with(f"{server.title} answers without the expected fields: {answer[:500]}")


if __name__ == "__main__":
    main()
