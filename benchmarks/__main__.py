"""Measure the network and the service on this machine: `python -m benchmarks [BUNDLE]`.

What is compared is measured in turns within one run, and told as the median of many, so that other
work on the machine disturbs both sides alike. Server and program share the machine's cores.
"""

import http.client
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from model.bundle import Bundle
from model.classifier import Classifier

TEXT = (
    "The film opens slowly, but once the two sisters meet again it finds its rhythm: the dialogue "
    "is sharp, the light is lovely, and the last half hour is as moving as anything that I have "
    "seen this year, even if the ending ties one knot too many."
)
ROUNDS = 300
BATCH = 64


def main() -> None:
    """Print one JSON object of medians."""
    bundle = Bundle.load(Path(sys.argv[1] if len(sys.argv) > 1 else "bundles/sentiment"))
    classifier = Classifier(bundle)
    encoding = classifier.encode(TEXT)
    alone = in_turns(
        {
            "tokenize": lambda: classifier.encode(TEXT),
            "none": lambda: classifier.run([encoding], "none"),
            "attention": lambda: classifier.run([encoding], "attention"),
            "contributions": lambda: classifier.run([encoding], "contributions"),
        },
        ROUNDS,
    )
    batch = [encoding] * BATCH
    together = in_turns(
        {
            "none": lambda: classifier.run(batch, "none"),
            "contributions": lambda: classifier.run(batch, "contributions"),
        },
        ROUNDS // 10,
    )
    found = {
        "tokens": len(encoding.ids),
        "provider": classifier.provider,
        "microseconds_alone": {name: round(t * 1e6, 1) for name, t in alone.items()},
        "microseconds_of_a_text_in_64": {
            name: round(t / BATCH * 1e6, 1) for name, t in together.items()
        },
        "contributions_to_none_in_64": round(together["contributions"] / together["none"], 3),
        "http": measure_http(bundle.path),
    }
    json.dump(found, sys.stdout, indent=2)
    print()


def in_turns(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each work, the median of `rounds`, one of each after the other."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def measure_http(bundles: Path) -> dict[str, float]:
    """Start a server; seconds until it is ready, and of answers on one kept connection."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "heed", "serve", "--port", "0", "--bundles", str(bundles)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            port = next(int(m[1]) for line in server.stderr if (m := re.search(r":(\d+)$", line)))
            connection = http.client.HTTPConnection("127.0.0.1", port)
            while _ask(connection, "GET", "/readyz") != 200:
                time.sleep(0.01)
            ready = time.perf_counter() - started
            one = json.dumps({"text": TEXT})
            many = json.dumps({"texts": [TEXT] * BATCH, "explain": "none"})
            times = in_turns(
                {
                    "/healthz": lambda: _ask(connection, "GET", "/healthz"),
                    "/classify": lambda: _ask(connection, "POST", "/classify", one),
                },
                ROUNDS,
            )
            times |= in_turns(
                {"batch": lambda: _ask(connection, "POST", "/classify/batch", many)}, ROUNDS // 10
            )
        finally:
            server.terminate()
    return {
        "seconds_to_ready": round(ready, 2),
        "microseconds_healthz": round(times["/healthz"] * 1e6, 1),
        "microseconds_classify": round(times["/classify"] * 1e6, 1),
        "texts_a_second_in_batches_of_64": round(BATCH / times["batch"], 1),
    }


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: str = "") -> int:
    connection.request(method, path, body or None, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status


if __name__ == "__main__":
    main()
