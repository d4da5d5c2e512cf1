"""Compare with rivals on this machine: `python -m benchmarks.compare`, or `make bench-peers`.

Each serves the same bundle with the same answer, in an environment of its own (`--environments`,
made by `make bench-peers` from the pinned lists in benchmarks/peers/), one after the other on the
same core, the load on another. The rounds go into a file, and those of earlier runs stay there:
what is told is the median of all. A plot and a table are drawn from it.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, check_tools, describe, give_up, post, serving, wrk
from benchmarks.texts import SENTENCES, texts_of
from heed.model.inference.bundle import Bundle

PORT = 8470
CONNECTIONS = (1, 16, 64)
PEERS = ROOT / "benchmarks" / "peers"
Round = dict[str, dict[str, dict[str, float]]]
"""By server, then connections: `a_second`, `p50`, `p99`, `errors`."""


@dataclass(frozen=True)
class Rival:
    """How a server is started."""

    title: str
    environment: str
    command: tuple[str, ...]
    ready: str
    as_list: bool = False
    """A body is {"texts": [TEXT]}, not {"text": TEXT}."""


RIVALS = (
    Rival(
        "Heed", "", ("-m", "heed", "serve", "--port", str(PORT), "--log-level", "warning"), "readyz"
    ),
    Rival(
        "plain FastAPI",
        "fastapi",
        ("-m", "uvicorn", "fastapi_app:app", "--port", str(PORT), "--no-access-log"),
        "docs",
    ),
    Rival("LitServe", "litserve", ("litserve_app.py", str(PORT)), "health"),
    Rival(
        "BentoML",
        "bentoml",
        ("-m", "bentoml", "serve", "bentoml_app:Classify", "--port", str(PORT)),
        "readyz",
        as_list=True,
    ),
    Rival("Ray Serve", "rayserve", ("rayserve_app.py", str(PORT)), "-/healthz"),
)


def main() -> None:
    """Measure, keep, plot and print the table."""
    options = read_options()
    check_tools()
    rivals = [rival for rival in RIVALS if not options.only or rival.title in options.only]
    for rival in rivals:
        if not python_of(rival, options.environments).exists():
            give_up(f"{rival.title} is not installed in {options.environments}: make bench-peers")
    bundle = Bundle.load(options.bundle)
    texts = texts_of(bundle, SENTENCES, 256)
    kept: dict[str, Any] = {"machine": describe(), "tokens": 48, "rounds": []}
    if options.out.exists():
        kept = json.loads(options.out.read_text(encoding="utf-8"))
    for _ in range(options.rounds):
        found: Round = {}
        for rival in rivals:
            found[rival.title] = measure(rival, options, texts)
            print(rival.title, found[rival.title], file=sys.stderr)
        kept["rounds"].append(found)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    medians = summarise(kept["rounds"])
    if options.plot is not None:
        draw(medians, options.plot)
    print(table(medians))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/sentiment"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3, help="0: draw what was kept")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--only", nargs="*", help="titles, such as 'Heed' 'LitServe'")
    parser.add_argument("--environments", type=Path, default=Path(".venv-peers"))
    parser.add_argument("--out", type=Path, default=Path("runs/peers.json"))
    parser.add_argument("--plot", type=Path, help="an .svg or .png")
    return parser.parse_args()


def python_of(rival: Rival, environments: Path) -> Path:
    """The interpreter that has the rival installed."""
    if not rival.environment:
        return Path(sys.executable)
    return environments.absolute() / rival.environment / "bin" / "python"


def measure(
    rival: Rival, options: argparse.Namespace, texts: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Start one server, ask it with each number of connections, and end it."""
    bundle = str(options.bundle.resolve())
    command = [str(python_of(rival, options.environments)), *rival.command]
    if rival.title == "Heed":
        command += ["--bundles", bundle, "--device", options.device]
    provider = "CUDAExecutionProvider" if options.device == "cuda" else "CPUExecutionProvider"
    environment = {"BUNDLE": bundle, "PROVIDER": provider}
    bodies = [json.dumps({"texts": [text]} if rival.as_list else {"text": text}) for text in texts]
    base = f"http://127.0.0.1:{PORT}/"
    url = base + "classify"
    cwd = PEERS if rival.environment else ROOT
    with serving(command, base + rival.ready, cwd=cwd, environment=environment):
        check_answer(rival, post(url, bodies[0]), texts[0])
        wrk(url, bodies, 16, 1)  # warm up
        return {str(count): wrk(url, bodies, count, options.seconds) for count in CONNECTIONS}


def check_answer(rival: Rival, answer: str, text: str) -> None:
    """End unless the answer is what all are asked for."""
    found = json.loads(answer)
    found = found[0] if isinstance(found, list) else found
    tokens = found["tokens"]
    if not (
        {"label", "probabilities", "tokens"} <= set(found)
        and all(text[token["start"] : token["end"]] == token["text"] for token in tokens)
        and abs(sum(token["attention"] for token in tokens) - 1) < 1e-4
    ):
        give_up(f"{rival.title} answers something else: {answer[:500]}")


def summarise(rounds: Sequence[Round]) -> dict[str, dict[str, dict[str, float]]]:
    """Medians over the rounds."""
    medians: dict[str, dict[str, dict[str, float]]] = {}
    for title in dict.fromkeys(title for one in rounds for title in one):
        ran = [one[title] for one in rounds if title in one]
        medians[title] = {
            count: {
                name: statistics.median(one[count][name] for one in ran) for name in ran[0][count]
            }
            for count in ran[0]
        }
    return medians


def table(medians: dict[str, dict[str, dict[str, float]]]) -> str:
    """Requests a second in Markdown, with the ratio at 16 connections."""
    ours = medians.get("Heed", {}).get("16", {}).get("a_second")
    lines = [
        "| server | 1 connection | 16 | 64 | p50 / p99 ms at 16 | Heed is faster, at 16 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for title, found in medians.items():
        rates = " | ".join(f"{found[str(count)]['a_second']:,.0f}" for count in CONNECTIONS)
        delays = f"{found['16']['p50'] * 1e3:.0f} / {found['16']['p99'] * 1e3:.0f}"
        ratio = f"{ours / found['16']['a_second']:.1f} times" if ours else "–"
        lines.append(f"| {title} | {rates} | {delays} | {'–' if title == 'Heed' else ratio} |")
    return "\n".join(lines)


def draw(medians: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Bars of requests a second for each number of connections."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(medians)
    for place, (title, found) in enumerate(medians.items()):
        heights = [found[str(count)]["a_second"] for count in CONNECTIONS]
        at = [group + width * (place - (len(medians) - 1) / 2) for group in range(len(heights))]
        bars = axes.bar(at, heights, width, label=title)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    axes.set_xticks(range(len(CONNECTIONS)), [f"{count} connections" for count in CONNECTIONS])
    axes.set_ylabel("requests a second, one core")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(medians), loc="upper center", bbox_to_anchor=(0.5, 1.15))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
