"""The README runs: its first request gets its answer, and what it names is there."""

import json
import re
import shlex
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.command import ROOT, heed
from tests.server import Server, serve

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    """Every shell command of the README, split into words."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def shipped() -> Generator[Server]:
    """A server of the bundles that ship."""
    with serve(ROOT / "bundles") as running:
        yield running


def test_first_request_gets_the_answer_shown(shipped: Server) -> None:
    request = next(words for words in commands() if words[0] == "curl")
    body = request[request.index("-d") + 1]
    shown = json.loads(blocks("json")[0])
    answer = shipped.post(body).json()
    assert list(answer) == list(shown)
    assert answer["label"] == shown["label"]
    assert answer["probabilities"] == pytest.approx(shown["probabilities"], abs=1e-4)
    assert answer["logit"] == pytest.approx(shown["logit"], abs=1e-4)
    for got, told in zip(answer["tokens"], shown["tokens"], strict=True):
        assert got == pytest.approx(told, abs=1e-4)


def test_metrics_named_are_those_exposed(shipped: Server) -> None:
    named = set(re.findall(r"`(heed_\w+)", README))
    exposed = set(re.findall(r"^# TYPE (\w+)", shipped.get("/metrics").text, flags=re.MULTILINE))
    assert named == exposed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_point_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_flags_of_commands_exist() -> None:
    seen = 0
    for words in commands():
        if words[0] == "heed":
            known = heed(words[1], "--help").stdout
            for word in filter(lambda word: word.startswith("--"), words):
                assert word in known, f"heed {words[1]} has no {word}"
                seen += 1
    assert seen


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {words[1] for words in commands() if words[0] == "make"}
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
