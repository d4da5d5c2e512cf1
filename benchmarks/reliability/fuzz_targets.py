"""What `fuzz.py` runs: each target takes case numbers, makes one input a number, and checks it.

A case depends only on the seed and its number, so that it can be repeated alone.
"""

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np

from benchmarks.reliability import fuzz_inputs
from benchmarks.reliability.harness import HOST, ROOT, Server
from benchmarks.reliability.versions import config_hash
from heed.model.errors import BundleError, TextError
from heed.model.inference import Bundle, BundleConfig, OnnxClassifier, find_bundles
from heed.model.text import Encoding, Tokenizer
from heed.service.app import create_app
from heed.service.settings import Settings

CONCURRENCY = 64
MAX_FAILURES = 20
TOLERANCE = 1e-4
HEAD_TIMEOUT = 20.0
LOAD_TIMEOUT = 30.0
FILES = ("config.json", "model.onnx", "tokenizer.json")


@dataclass
class Findings:
    """Outcomes of the cases, and the cases that failed with their reasons."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def fail(self, number: int, reason: str) -> None:
        """Record a failed case."""
        self.outcomes["failed"] += 1
        if len(self.failures) < MAX_FAILURES:
            self.failures.append((number, reason[:500]))


Target = Callable[[Namespace, Iterator[int], Findings], None]


def choice_for(options: Namespace, number: int) -> Random:
    """The random source of one case."""
    return Random((options.seed << 40) + number)


def fuzz_bodies(options: Namespace, numbers: Iterator[int], findings: Findings) -> None:
    """Send request bodies to the application in this process."""
    asyncio.run(_fuzz_bodies(options, numbers, findings))


async def _fuzz_bodies(options: Namespace, numbers: Iterator[int], findings: Findings) -> None:
    settings = Settings(bundles=options.bundles, max_queue=10_000_000)
    app = create_app(settings, warm_first=True)
    async with app.router.lifespan_context(app):

        async def run(number: int) -> None:
            path, body = fuzz_inputs.make_body(choice_for(options, number))
            try:
                status, answer = await _post(app, path, body)
                json.loads(answer)
            except Exception as error:  # every exception is a finding
                findings.fail(number, f"{type(error).__name__}: {error}")
                return
            findings.outcomes[str(status)] += 1
            if status >= 500:
                findings.fail(number, f"status {status}: {answer[:200]!r}")

        while group := list(islice(numbers, CONCURRENCY)):
            await asyncio.gather(*map(run, group))


async def _post(app: Any, path: str, body: bytes) -> tuple[int, bytes]:
    """Call an ASGI application; return the status and body of its answer."""
    messages: list[dict[str, Any]] = []
    request = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in request:
            return message
        return await asyncio.Future()  # the client does not disconnect

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
        "client": (HOST, 1),
        "server": (HOST, 80),
        "state": {},
    }
    await app(scope, receive, send)
    status: int = messages[0]["status"]
    return status, b"".join(message.get("body", b"") for message in messages[1:])


def fuzz_texts(options: Namespace, numbers: Iterator[int], findings: Findings) -> None:
    """Tokenize texts with every bundle; one group of texts in eight also runs the network."""
    classifiers = [OnnxClassifier(bundle) for bundle in find_bundles(options.bundles).values()]
    while group := list(islice(numbers, CONCURRENCY)):
        texts = {number: fuzz_inputs.make_text(choice_for(options, number)) for number in group}
        for classifier in classifiers:
            encodings = {}
            for number, text in texts.items():
                try:
                    encoding = encodings[number] = classifier.encode(text)
                    _check_encoding(classifier, encoding, text)
                    findings.outcomes["tokenized"] += 1
                except TextError:
                    findings.outcomes["refused"] += 1
                except Exception as error:  # every exception is a finding
                    findings.fail(number, f"{classifier.config.name}: {error!r}")
            if group[0] // CONCURRENCY % 8 == 0:
                _check_predictions(classifier, encodings, findings)


def _check_encoding(classifier: OnnxClassifier, encoding: Encoding, text: str) -> None:
    config, ids, spans = classifier.config, encoding.ids, encoding.spans
    assert 1 <= len(ids) <= config.max_tokens, f"{len(ids)} tokens"
    assert min(ids) > 0, "a text yields the padding id"
    assert len(spans) == len(ids) == len(encoding.words), "spans or words do not fit the tokens"
    assert all(0 <= start <= end <= len(text) for start, end in spans), "a span outside the text"
    starts = [start for start, _ in spans]
    assert starts == sorted(starts), "spans out of order"


def _check_predictions(
    classifier: OnnxClassifier, encodings: dict[int, Encoding], findings: Findings
) -> None:
    if not encodings:
        return
    bias = np.array(classifier.config.bias)
    try:
        predictions = classifier.run(list(encodings.values()), "contributions")
    except Exception as error:  # every exception is a finding
        findings.fail(next(iter(encodings)), f"{classifier.config.name}: a batch failed: {error!r}")
        return
    for number, one in zip(encodings, predictions, strict=True):
        assert one.attention is not None
        assert one.contributions is not None
        difference = float(np.abs(one.contributions.sum(0) + bias - one.logits).max())
        if abs(one.attention.sum() - 1) > TOLERANCE or difference > TOLERANCE:
            findings.fail(number, f"{classifier.config.name}: the reasons do not add up")
        findings.outcomes["classified"] += 1


def fuzz_heads(options: Namespace, numbers: Iterator[int], findings: Findings) -> None:
    """Send request heads to a real server, each on a new connection."""
    with Server(options, "--log-level", "info") as server:
        workers = server.workers()
        asyncio.run(_fuzz_heads(options, server, numbers, findings))
        if not server.running or server.workers() != workers:
            findings.fail(-1, "the server or a worker ended")
        if "Traceback" in (log := server.log()):
            findings.fail(-1, "traceback: " + log[log.index("Traceback") :])


async def _fuzz_heads(
    options: Namespace, server: Server, numbers: Iterator[int], findings: Findings
) -> None:
    async def run() -> None:
        for number in numbers:
            message = fuzz_inputs.make_head(choice_for(options, number))
            try:
                async with asyncio.timeout(HEAD_TIMEOUT):
                    answer = await _send(server.port, message)
            except (OSError, TimeoutError) as error:
                if isinstance(error, ConnectionResetError | BrokenPipeError):
                    findings.outcomes["reset"] += 1
                else:
                    findings.fail(number, f"{type(error).__name__}: {error}")
                continue
            findings.outcomes[answer[9:12].decode(errors="replace") or "no answer"] += 1
            if answer and not answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
                findings.fail(number, f"not HTTP: {answer[:100]!r}")
            if b"HTTP/1.1 500" in answer:
                findings.fail(number, "status 500")

    await asyncio.gather(*(run() for _ in range(CONCURRENCY)))


async def _send(port: int, message: bytes) -> bytes:
    """Send bytes, close the sending direction, and return everything that comes back."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        # Close with a reset, so that millions of connections do not wait for their ports.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await loop.sock_connect(connection, (HOST, port))
        await loop.sock_sendall(connection, message)
        connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        while part := await loop.sock_recv(connection, 65536):
            received += part
        return bytes(received)


def fuzz_configs(options: Namespace, numbers: Iterator[int], findings: Findings) -> None:
    """Load a small bundle with changed configs: each is refused, or loaded exactly as written."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        original = _make_small_bundle(folder, options.bundles / "sentiment")
        for number in numbers:
            choice = choice_for(options, number)
            tree = fuzz_inputs.make_config(choice, original)
            try:
                document = _with_hash(tree) if choice.random() < 0.7 else tree
                data = json.dumps(document, ensure_ascii=choice.random() < 0.5)
                content = data.encode(errors="surrogatepass")
            except RecursionError:
                continue
            if choice.random() < 0.3:
                content = fuzz_inputs.damage(choice, content)
            (folder / "config.json").write_bytes(content)
            _check_config(folder, number, content, findings)


def _check_config(folder: Path, number: int, content: bytes, findings: Findings) -> None:
    try:
        config = Bundle.load(folder).config
    except BundleError as error:
        findings.outcomes["refused"] += 1
        if "\n" in str(error):
            findings.fail(number, f"the message has several lines: {error}")
        return
    except Exception as error:  # every other exception is a finding
        findings.fail(number, f"{type(error).__name__}: {error}")
        return
    findings.outcomes["loaded"] += 1
    tree = json.loads(content)
    try:
        if config_hash(tree) != tree["sha256"].get("config.json", config_hash(tree)):
            findings.fail(number, "loaded although its hash does not fit")
        elif converted := _converted(config, tree):
            findings.fail(number, f"loaded with another value than written: {converted}")
        msgspec.json.encode(config.model_dump())
    except Exception as error:  # `GET /models` would answer 500
        findings.fail(number, f"loaded, but cannot be served: {error}")


def _converted(config: BundleConfig, tree: dict[str, Any]) -> list[str]:
    """Fields whose loaded value is not the written one; 1 equals 1.0 but not true."""
    loaded = config.model_dump(mode="json")
    return [
        name
        for name, value in tree.items()
        if name in loaded and (loaded[name] != value or _kinds(loaded[name]) != _kinds(value))
    ]


def _kinds(value: Any) -> list[str]:
    if isinstance(value, list):
        return [kind for item in value for kind in _kinds(item)]
    return ["number" if type(value) in (int, float) else type(value).__name__]


def _with_hash(tree: dict[str, Any]) -> dict[str, Any]:
    hashes = tree.get("sha256")
    if not isinstance(hashes, dict):
        return tree
    return tree | {"sha256": hashes | {"config.json": config_hash(tree)}}


def _make_small_bundle(folder: Path, source: Path) -> dict[str, Any]:
    """Write a bundle that loads fast, with the config of `source`; return its config."""
    folder.mkdir()
    tokenizer = Tokenizer.fit(["a good film", "a bad film"], 300).to_json().encode()
    files = {"model.onnx": b"no network", "tokenizer.json": tokenizer}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    config: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return _with_hash(config)


def fuzz_bundles(options: Namespace, numbers: Iterator[int], findings: Findings) -> None:
    """Damage a whole bundle and load it in a process of its own.

    With its old hashes it must be refused or give the same answers. With new hashes it may
    load, but must not crash.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sound = Path(scratch) / "sound"
        shutil.copytree(options.bundles / "sentiment-zh", sound)
        config = json.loads((sound / "config.json").read_text(encoding="utf-8"))
        (sound / "config.json").write_text(json.dumps(_with_hash(config)), encoding="utf-8")
        expected = _load(sound)[1]
        for number in numbers:
            folder = Path(scratch) / "damaged"
            shutil.copytree(sound, folder)
            renewed, how = _damage_bundle(choice_for(options, number), folder)
            status, output = _load(folder)
            shutil.rmtree(folder)
            if status != 0:
                findings.fail(number, f"{how}: exit status {status}: {output[-300:]}")
            elif output.startswith('{"refused"'):
                findings.outcomes["refused"] += 1
            elif renewed:
                findings.outcomes["loaded with new hashes"] += 1
            elif output == expected:
                findings.outcomes["same"] += 1
            else:
                findings.fail(number, f"{how}: loaded with other values")


def _damage_bundle(choice: Random, folder: Path) -> tuple[bool, str]:
    """Damage one file of a bundle; return whether its hash was renewed, and what was done."""
    file = folder / choice.choice(FILES)
    kind = choice.choice(("flip", "flip", "flip", "renewed", "renewed", "swap", "cut", "special"))
    content = bytearray(file.read_bytes())
    if kind == "special":
        file.unlink()
        what = choice.choice(("missing", "folder", "pipe", "link to /dev/zero"))
        if what == "folder":
            file.mkdir()
        elif what == "pipe":
            os.mkfifo(file)
        elif what == "link to /dev/zero":
            file.symlink_to("/dev/zero")
        return False, f"{file.name}: {what}"
    if kind == "swap":
        start, other = (choice.randrange(len(content) - 64) for _ in range(2))
        content[start : start + 64], content[other : other + 64] = (
            content[other : other + 64],
            content[start : start + 64],
        )
    elif kind == "cut":
        del content[choice.randrange(len(content)) :]
    else:
        for _ in range(choice.randrange(1, 9)):
            content[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
    file.write_bytes(content)
    renewed = kind == "renewed" and file.name != "config.json"
    if renewed:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["sha256"][file.name] = hashlib.sha256(content).hexdigest()
        (folder / "config.json").write_text(json.dumps(_with_hash(config)), encoding="utf-8")
    return renewed, f"{file.name}: {kind}"


def _load(folder: Path) -> tuple[int, str]:
    """Exit status and output of `load_bundle`; status -1 if it does not end in time."""
    command = [sys.executable, "-m", "benchmarks.reliability.load_bundle", str(folder)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LOAD_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, f"not loaded after {LOAD_TIMEOUT:g} s"
    return done.returncode, done.stdout or done.stderr


TARGETS: dict[str, tuple[Target, int]] = {
    "bodies": (fuzz_bodies, 5_000_000),
    "heads": (fuzz_heads, 5_000_000),
    "texts": (fuzz_texts, 5_000_000),
    "configs": (fuzz_configs, 20_000),
    "bundles": (fuzz_bundles, 500),
}
"""The targets and the number of cases that each has to pass."""
