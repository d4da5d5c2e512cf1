"""The rows of the table: what is measured, and how far it may be from a floor."""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import LOAD, ROOT, SERVER, get, post, serving, wrk
from benchmarks.texts import LENGTHS, SENTENCES, texts_of
from heed.model.inference.bundle import Bundle

PORT, BARE_PORT, TWO_PORT = 8461, 8462, 8463
URL = f"http://127.0.0.1:{PORT}"
BATCH = 64
LONG_TEXTS = 512
CONNECTIONS = 2
"""For batches: while one is computed, the next is under way."""


class Measure:
    """One bundle on one device, measured for `seconds` at a time."""

    def __init__(self, bundle: Path, device: str, seconds: float) -> None:
        self._path, self._device, self._seconds = bundle.resolve(), device, seconds
        self._bundle = Bundle.load(bundle)
        self._texts = texts_of(self._bundle, SENTENCES, 4 * BATCH)
        self._bodies = [json.dumps({"text": text}) for text in self._texts]

    def batches(self, explain: str, texts: Sequence[str] | None = None) -> list[str]:
        """Bodies of `/classify/batch`."""
        texts = texts or self._texts
        return [
            json.dumps({"texts": texts[start : start + BATCH], "explain": explain})
            for start in range(0, len(texts), BATCH)
        ]

    @contextmanager
    def service(self, workers: int = 1, *, cores: str = SERVER, port: int = PORT) -> Generator[int]:
        """A warm server; gives the id of its process."""
        command = [sys.executable, "-m", "heed", "serve", "--bundles", str(self._path)]
        command += ["--port", str(port), "--device", self._device, "--log-level", "warning"]
        command += ["--workers", str(workers)]
        with serving(command, f"http://127.0.0.1:{port}/readyz", cores=cores) as process:
            yield process.pid

    @contextmanager
    def bare(self) -> Generator[str]:
        """uvicorn with a function that returns what the service answers."""
        with tempfile.NamedTemporaryFile() as answer:
            answer.write(post(URL + "/classify", self._bodies[0]).encode())
            answer.flush()
            command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--lifespan", "off"]
            command += ["--no-access-log", "--log-level", "warning", "--port", str(BARE_PORT)]
            url = f"http://127.0.0.1:{BARE_PORT}/"
            with serving(command, url, environment={"ANSWER": answer.name}):
                yield url

    def floors(self) -> dict[str, float]:
        """Seconds a text of a bare loop."""
        command = ["taskset", "-c", SERVER, sys.executable, "-m", "benchmarks.floors"]
        command += [str(self._path), self._device, str(self._seconds)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found

    def one_round(self, bare: str) -> dict[str, float]:
        """The ratios to the floors, then delays at half of the peak they tell, and overload."""
        found = self.beside_floors(bare)
        found |= self.half_load(1e6 / found["classify_16_us"])
        return found | self.overload()

    def beside_floors(self, bare: str) -> dict[str, float]:
        """The ratios to the floors, each side measured within seconds of the other."""
        loop = self.floors()
        bare16 = wrk(bare, self._bodies, 16, self._seconds)
        ours16 = wrk(URL + "/classify", self._bodies, 16, self._seconds)
        bare1 = wrk(bare, self._bodies, 1, self._seconds)
        ours1 = wrk(URL + "/classify", self._bodies, 1, self._seconds)
        sent = {
            explain: wrk(URL + "/classify/batch", self.batches(explain), CONNECTIONS, self._seconds)
            for explain in ("none", "attention", "contributions")
        }
        texts = {explain: BATCH * found["a_second"] for explain, found in sent.items()}
        return {
            "loop_us": loop["one"] * 1e6,
            "asgi_us": 1e6 / bare16["a_second"],
            "classify_16_us": 1e6 / ours16["a_second"],
            "classify_16_p99_ms": ours16["p99"] * 1e3,
            "over_http": (1 / ours16["a_second"] - loop["one"]) * bare16["a_second"],
            "p50_1_us": ours1["p50"] * 1e6,
            "p50_to_floors": ours1["p50"] / (loop["one_p50"] + bare1["p50"]),
            "loop_batch_us": loop["attention"] * 1e6,
            "batch_none_to_loop": texts["none"] * loop["none"],
            "batch_attention_to_loop": texts["attention"] * loop["attention"],
            "contributions_to_none": texts["contributions"] / texts["none"],
            **{f"texts_a_second_{explain}": found for explain, found in texts.items()},
        }

    def half_load(self, peak: float) -> dict[str, float]:
        """Delays at half of `peak` requests a second that do not wait, and of an idle server."""
        seconds = 3 * self._seconds
        idle = self.open_loop("/classify", self._bodies, peak / 50, seconds)
        busy = self.open_loop("/classify", self._bodies, peak / 2, seconds)
        p50, p99 = _percentile(idle, 50), _percentile(busy, 99)
        return {"idle_p50_ms": p50 * 1e3, "half_p99_ms": p99 * 1e3, "p99_to_idle": p99 / p50}

    def overload(self) -> dict[str, float]:
        """Batches offered ten times as fast as the peak, which is measured before and after."""
        before = self.peak()
        rate, seconds = 10 * before / BATCH, 4 * self._seconds
        answers = self.open_loop("/classify/batch", self.batches("none"), rate, seconds)
        # The queue fills first and is emptied afterwards; what comes out in between is goodput.
        done = [due + latency for status, due, latency in answers if status == 200]
        kept = [at for at in done if seconds / 4 <= at < seconds]
        refused = [(status, due, latency) for status, due, latency in answers if status == 429]
        peak = (before + self.peak()) / 2
        return {
            "goodput_to_peak": len(kept) * BATCH / (seconds * 3 / 4) / peak,
            "refused": len(refused) / len(answers),
            "lost": sum(status not in (200, 429) for status, _, _ in answers) / len(answers),
            "refusal_p50_ms": _percentile(refused, 50) * 1e3,
            "refusal_p99_ms": _percentile(refused, 99) * 1e3,
        }

    def open_loop(
        self, path: str, bodies: Sequence[str], rate: float, seconds: float
    ) -> list[list[float]]:
        """Status, time due and latency of each request; see `benchmarks.openloop`."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write("\n".join(bodies))
            file.flush()
            command = ["taskset", "-c", LOAD, sys.executable, "-m", "benchmarks.openloop"]
            command += [URL + path, file.name, str(rate), str(seconds)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        found: list[list[float]] = json.loads(done.stdout)
        return found

    def peak(self, port: int = PORT, cores: str = LOAD) -> float:
        """Texts a second in batches, of those who wait for answers."""
        url = f"http://127.0.0.1:{port}/classify/batch"
        load = wrk(url, self.batches("none"), 2 * CONNECTIONS, self._seconds, cores)
        return BATCH * load["a_second"]

    def workers(self, rounds: int) -> dict[str, float]:
        """Two workers on two cores against one on one, in turns; the load comes from both cores."""
        both = f"{SERVER},{LOAD}"
        with self.service(), self.service(2, cores=both, port=TWO_PORT):
            for port in (PORT, TWO_PORT):  # they get to know the words
                self.peak(port, both)
            ratios = [self.peak(TWO_PORT, both) / self.peak(PORT, both) for _ in range(rounds)]
        return {"two_workers_to_one": statistics.median(ratios)}

    def padding(self) -> dict[str, float]:
        """Share of computed tokens that is padding, of texts of mixed lengths."""
        before = _tokens()
        mixed = texts_of(self._bundle, SENTENCES, 4 * BATCH, LENGTHS)
        wrk(URL + "/classify/batch", self.batches("none", mixed), CONNECTIONS, self._seconds)
        bodies = [json.dumps({"text": text}) for text in mixed]
        wrk(URL + "/classify", bodies, 16, self._seconds)
        tokens, computed = (now - then for now, then in zip(_tokens(), before, strict=True))
        return {"padding": 1 - tokens / computed}

    def memory(self, pid: int) -> dict[str, float]:
        """Resident megabytes of the worker: by now, and after large batches of long texts."""
        now = _resident(pid)
        longest = (self._bundle.config.max_tokens,)
        long = texts_of(self._bundle, SENTENCES, LONG_TEXTS, longest)
        for explain in ("attention", "contributions"):
            body = json.dumps({"texts": long, "explain": explain})
            post(URL + "/classify/batch", body)
        return {"resident_mb": now, "resident_after_long_mb": _resident(pid)}

    def start(self) -> dict[str, float]:
        """Seconds from the command to ready."""
        started = time.perf_counter()
        with self.service():
            return {"seconds_to_ready": time.perf_counter() - started}


def _percentile(answers: Sequence[Sequence[float]], percent: int) -> float:
    latencies = [latency for _, _, latency in answers]
    if len(latencies) < 2:
        return sum(latencies)
    return statistics.quantiles(latencies, n=100, method="inclusive")[percent - 1]


def _tokens() -> tuple[float, float]:
    """Tokens run so far, without and with padding."""
    _, text = get(URL + "/metrics")
    names = "heed_batch_tokens_sum", "heed_batch_computed_tokens_sum"
    first, second = (float(re.findall(rf"^{name} (\S+)", text, re.MULTILINE)[0]) for name in names)
    return first, second


def _resident(supervisor: int) -> float:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii")
    status = Path(f"/proc/{children.split()[0]}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024
