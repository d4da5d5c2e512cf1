"""The figures of `heed serve`: throughput, delays, overload, memory and start."""

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

from benchmarks.load.open_loop import latency_percentile, open_loop
from benchmarks.load.server import LOAD_CORE, ROOT, SERVER_CORE, get, post, running
from benchmarks.load.texts import MIXED_LENGTHS, make_texts
from benchmarks.load.wrk import wrk
from heed.model.inference import Bundle

PORT, FLOOR_PORT, TWO_WORKERS_PORT = 8461, 8462, 8463
URL = f"http://127.0.0.1:{PORT}"
BATCH = 64
LONG_TEXTS = 512
BATCH_CONNECTIONS = 2
"""While one batch is computed, the other is sent."""


class ServiceBenchmark:
    """Measures one bundle on one device, `seconds` for each load."""

    def __init__(self, bundle: Path, device: str, seconds: float) -> None:
        self._path, self._device, self._seconds = bundle.resolve(), device, seconds
        self._bundle = Bundle.load(bundle)
        self._texts = make_texts(self._bundle, 4 * BATCH)
        self._bodies = [json.dumps({"text": text}) for text in self._texts]

    @contextmanager
    def service(
        self, workers: int = 1, *, cores: str = SERVER_CORE, port: int = PORT
    ) -> Generator[int]:
        """Run `heed serve` until the end of the block; gives the process id of the supervisor."""
        command = [sys.executable, "-m", "heed", "serve", "--bundles", str(self._path)]
        command += ["--port", str(port), "--device", self._device, "--log-level", "warning"]
        command += ["--workers", str(workers)]
        with running(command, f"http://127.0.0.1:{port}/readyz", cores=cores) as process:
            yield process.pid

    @contextmanager
    def asgi_floor(self) -> Generator[str]:
        """Run uvicorn with a function that returns what the service answers; gives its URL."""
        with tempfile.NamedTemporaryFile() as answer:
            answer.write(post(URL + "/classify", self._bodies[0]).encode())
            answer.flush()
            command = [sys.executable, "-m", "uvicorn", "benchmarks.speed.asgi_floor:app"]
            command += ["--lifespan", "off", "--no-access-log", "--log-level", "warning"]
            command += ["--port", str(FLOOR_PORT)]
            url = f"http://127.0.0.1:{FLOOR_PORT}/"
            with running(command, url, environment={"ANSWER": answer.name}):
                yield url

    def one_round(self, floor_url: str) -> dict[str, float]:
        """Return the ratios to the lower bounds, and delays at half load and at overload."""
        figures = self._ratios_to_floors(floor_url)
        figures |= self._half_load(1e6 / figures["classify_16_us"])
        return figures | self._overload()

    def _loop_floor(self) -> dict[str, float]:
        """Return the seconds a text of a bare loop, see `loop_floor`."""
        command = [
            "taskset",
            "-c",
            SERVER_CORE,
            sys.executable,
            "-m",
            "benchmarks.speed.loop_floor",
        ]
        command += [str(self._path), self._device, str(self._seconds)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        seconds: dict[str, float] = json.loads(done.stdout)
        return seconds

    def _ratios_to_floors(self, floor_url: str) -> dict[str, float]:
        """Measure both sides of each ratio within seconds of each other."""
        loop = self._loop_floor()
        floor16 = wrk(floor_url, self._bodies, 16, self._seconds)
        heed16 = wrk(URL + "/classify", self._bodies, 16, self._seconds)
        floor1 = wrk(floor_url, self._bodies, 1, self._seconds)
        heed1 = wrk(URL + "/classify", self._bodies, 1, self._seconds)
        texts_a_second = {
            explain: BATCH
            * wrk(
                URL + "/classify/batch",
                self._batch_bodies(explain),
                BATCH_CONNECTIONS,
                self._seconds,
            )["a_second"]
            for explain in ("none", "attention", "contributions")
        }
        return {
            "loop_us": loop["one"] * 1e6,
            "asgi_us": 1e6 / floor16["a_second"],
            "classify_16_us": 1e6 / heed16["a_second"],
            "classify_16_p99_ms": heed16["p99"] * 1e3,
            "over_http": (1 / heed16["a_second"] - loop["one"]) * floor16["a_second"],
            "p50_1_us": heed1["p50"] * 1e6,
            "p50_to_floors": heed1["p50"] / (loop["one_p50"] + floor1["p50"]),
            "loop_batch_us": loop["attention"] * 1e6,
            "batch_none_to_loop": texts_a_second["none"] * loop["none"],
            "batch_attention_to_loop": texts_a_second["attention"] * loop["attention"],
            "contributions_to_none": texts_a_second["contributions"] / texts_a_second["none"],
            **{f"texts_a_second_{explain}": rate for explain, rate in texts_a_second.items()},
        }

    def _half_load(self, peak: float) -> dict[str, float]:
        """Return delays in an open loop at half of `peak` requests a second, and when idle."""
        seconds = 3 * self._seconds
        idle = open_loop(URL + "/classify", self._bodies, peak / 50, seconds)
        busy = open_loop(URL + "/classify", self._bodies, peak / 2, seconds)
        p50, p99 = latency_percentile(idle, 50), latency_percentile(busy, 99)
        return {"idle_p50_ms": p50 * 1e3, "half_p99_ms": p99 * 1e3, "p99_to_idle": p99 / p50}

    def _overload(self) -> dict[str, float]:
        """Offer batches at ten times the peak, which is measured before and after."""
        before = self._peak()
        rate, seconds = 10 * before / BATCH, 4 * self._seconds
        bodies = self._batch_bodies("none")
        answers = open_loop(URL + "/classify/batch", bodies, rate, seconds)
        # The first quarter fills the queue, and after the end it drains: neither is goodput.
        answered = [due + latency for status, due, latency in answers if status == 200]
        counted = [at for at in answered if seconds / 4 <= at < seconds]
        rejected = [(status, due, latency) for status, due, latency in answers if status == 429]
        peak = (before + self._peak()) / 2
        return {
            "goodput_to_peak": len(counted) * BATCH / (seconds * 3 / 4) / peak,
            "rejected": len(rejected) / len(answers),
            "lost": sum(status not in (200, 429) for status, _, _ in answers) / len(answers),
            "rejection_p50_ms": latency_percentile(rejected, 50) * 1e3,
            "rejection_p99_ms": latency_percentile(rejected, 99) * 1e3,
        }

    def _peak(self, port: int = PORT, cores: str = LOAD_CORE) -> float:
        """Return the texts a second in batches that are sent one after another."""
        url = f"http://127.0.0.1:{port}/classify/batch"
        connections = 2 * BATCH_CONNECTIONS
        load = wrk(url, self._batch_bodies("none"), connections, self._seconds, cores)
        return BATCH * load["a_second"]

    def workers(self, rounds: int) -> dict[str, float]:
        """Measure two workers on two cores and one on one, in turns, with load from both cores."""
        both = f"{SERVER_CORE},{LOAD_CORE}"
        with self.service(), self.service(2, cores=both, port=TWO_WORKERS_PORT):
            for port in (PORT, TWO_WORKERS_PORT):  # fills the token caches
                self._peak(port, both)
            ratios = [
                self._peak(TWO_WORKERS_PORT, both) / self._peak(PORT, both) for _ in range(rounds)
            ]
        return {"two_workers_to_one": statistics.median(ratios)}

    def padding(self) -> dict[str, float]:
        """Return the share of padding in the computed tokens, for texts of mixed lengths."""
        before = _token_counts()
        mixed = make_texts(self._bundle, 4 * BATCH, MIXED_LENGTHS)
        bodies = self._batch_bodies("none", mixed)
        wrk(URL + "/classify/batch", bodies, BATCH_CONNECTIONS, self._seconds)
        bodies = [json.dumps({"text": text}) for text in mixed]
        wrk(URL + "/classify", bodies, 16, self._seconds)
        tokens, computed = (now - then for now, then in zip(_token_counts(), before, strict=True))
        return {"padding": 1 - tokens / computed}

    def memory(self, pid: int) -> dict[str, float]:
        """Return a worker's resident megabytes, now and after large batches of long texts."""
        now = _resident_megabytes(pid)
        longest = (self._bundle.config.max_tokens,)
        texts = make_texts(self._bundle, LONG_TEXTS, longest)
        for explain in ("attention", "contributions"):
            post(URL + "/classify/batch", json.dumps({"texts": texts, "explain": explain}))
        return {"resident_mb": now, "resident_after_long_mb": _resident_megabytes(pid)}

    def start(self) -> dict[str, float]:
        """Return the seconds from the command until `/readyz` answers 200."""
        started = time.perf_counter()
        with self.service():
            return {"seconds_to_ready": time.perf_counter() - started}

    def _batch_bodies(self, explain: str, texts: Sequence[str] | None = None) -> list[str]:
        """Return bodies of `/classify/batch`."""
        texts = texts or self._texts
        return [
            json.dumps({"texts": texts[start : start + BATCH], "explain": explain})
            for start in range(0, len(texts), BATCH)
        ]


def _token_counts() -> tuple[float, float]:
    """Return the tokens that the service has run so far, without and with padding."""
    _, text = get(URL + "/metrics")
    names = "heed_batch_tokens_sum", "heed_batch_computed_tokens_sum"
    first, second = (float(re.findall(rf"^{name} (\S+)", text, re.MULTILINE)[0]) for name in names)
    return first, second


def _resident_megabytes(supervisor: int) -> float:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii")
    status = Path(f"/proc/{children.split()[0]}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024
