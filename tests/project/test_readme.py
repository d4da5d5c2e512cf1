"""The README runs: its first request gets its answer, and what it names is there."""

import json
import re
import shlex
from collections.abc import Generator
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.command import ROOT, heed
from tests.support.server import Server, serve

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docker/README.md")),
    *(ROOT / "docs").glob("*.md"),
]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
SUBCOMMANDS = ("serve", "train", "evaluate", "classify", "export")


def blocks(language: str) -> list[str]:
    """The code blocks of a language, the README's first."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Every call of a program, in a shell block or between backticks, split into words."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    lines += (call.replace("\n", " ") for call in re.findall(r"`([^`]+)`", prose))
    # What is no command may hold half a quotation mark, which shlex does not read.
    mine = (line for line in lines if line.startswith(program + " "))
    return [shlex.split(line, comments=True) for line in mine]


@cache
def flags(subcommand: str) -> set[str]:
    """The flags that `heed SUBCOMMAND --help` tells of."""
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", heed(subcommand, "--help").stdout))


@pytest.fixture(scope="module")
def shipped() -> Generator[Server]:
    """A server of the bundles that ship."""
    with serve(ROOT / "bundles") as running:
        yield running


def test_first_request_gets_the_answer_shown(shipped: Server) -> None:
    request = commands("curl")[0]
    url = urlsplit(next(word for word in request if word.startswith("http")))
    assert url.netloc == "127.0.0.1:8000"  # where `make serve` listens
    name, _, value = request[request.index("-H") + 1].partition(": ")
    answer = shipped.post(request[request.index("-d") + 1], url.path, headers={name: value}).json()
    near = partial(pytest.approx, abs=1e-4)
    shown = json.loads(blocks("json")[0], parse_float=lambda digits: near(float(digits)))
    assert answer == shown
    assert list(answer) == list(shown)
    assert list(answer["probabilities"]) == list(shown["probabilities"])


def test_metrics_named_are_those_exposed(shipped: Server) -> None:
    """By name, and by labels where there are any."""
    shipped.post({"text": "a film"})
    refused = shipped.post({"texts": ["a film"] * 1025}, "/classify/batch")
    assert refused.status_code == 413
    section = README.split("\n## Metrics\n")[1].split("\n## ")[0]
    named = {
        name: set(filter(None, labels.split(",")))
        for name, labels in re.findall(r"`(heed_\w+)(?:\{([\w,]+)\})?`", section)
    }
    families = text_string_to_metric_families(shipped.get("/metrics").text)
    exposed = {
        family.name + "_total" * (family.type == "counter"): {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in families
    }
    assert named == exposed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_point_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"links to {target}"


def test_files_named_exist() -> None:
    folders = "|".join(("model", "service", "docs", "docker", "benchmarks", "bundles", "tests"))
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", TEXT))
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


def test_commands_parse() -> None:
    found = commands("heed")
    assert {words[1] for words in found} >= {"serve", "train", "evaluate", "classify"}
    for words in found:
        if not words[1].startswith("-"):
            assert words[1] in SUBCOMMANDS, shlex.join(words)
            given = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
            assert given <= flags(words[1]), shlex.join(words)


def test_flags_named_exist() -> None:
    """Those that stand alone, as in the table of settings."""
    named = set(re.findall(r"`(--[a-z][\w-]*)", README))
    assert named
    assert named <= set().union(*map(flags, SUBCOMMANDS))


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {words[1] for words in commands("make")}
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
