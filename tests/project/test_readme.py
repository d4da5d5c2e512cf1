"""README and docs agree with the code: commands, flags, settings, metrics, files, links."""

import io
import json
import re
import shlex
import tomllib
from collections.abc import Generator
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heed.service.settings import Settings, flag
from tests.support.command import ROOT, heed
from tests.support.server import Server, serve

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docker/README.md")),
    *(ROOT / "model").rglob("README.md"),
    *(ROOT / "bundles").glob("*/README.md"),
    *(ROOT / "docs").rglob("*.md"),
]
SUBCOMMANDS = ("serve", "train", "evaluate", "classify", "export")
MAX_WORDS = 1500


@cache
def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


README = read(ROOT / "README.md")
SERVE = read(ROOT / "docs" / "serve.md")
TEXT = "\n".join(map(read, PAGES))


def section(page: str, heading: str) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def without_blocks(page: str) -> str:
    return re.sub(r"```.*?```", "", page, flags=re.DOTALL)


@cache
def commands(program: str) -> list[list[str]]:
    """Every call of a program, in a shell block or between backticks, split into words."""
    lines = "\n".join(blocks(TEXT, "sh")).replace("\\\n", " ").splitlines()
    lines += re.findall(r"`([^`\n]+)`", without_blocks(TEXT))
    calls = (line for line in lines if line.startswith(program + " "))
    return [shlex.split(line, comments=True) for line in calls]


@cache
def flags(subcommand: str) -> set[str]:
    """The flags that `heed SUBCOMMAND --help` lists."""
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", heed(subcommand, "--help").stdout))


@pytest.fixture(scope="module")
def shipped() -> Generator[Server]:
    """A server with the shipped bundles."""
    with serve(ROOT / "bundles") as running:
        yield running


def test_the_first_request_gets_the_answer_of_the_readme(shipped: Server) -> None:
    request = commands("curl")[0]
    url = urlsplit(next(word for word in request if word.startswith("http")))
    assert url.netloc == "127.0.0.1:8000"  # where `make serve` listens
    name, _, value = request[request.index("-H") + 1].partition(": ")
    answer = shipped.post(request[request.index("-d") + 1], url.path, headers={name: value}).json()
    near = partial(pytest.approx, abs=1e-4)
    shown = json.loads(blocks(README, "json")[0], parse_float=lambda digits: near(float(digits)))
    assert answer == shown
    assert list(answer) == list(shown)
    assert list(answer["probabilities"]) == list(shown["probabilities"])


def test_the_python_example_prints_the_output_of_the_readme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    (program,) = blocks(README, "python")
    (shown,) = blocks(README, "text")
    output = io.StringIO()
    with redirect_stdout(output):
        exec(program, {})
    assert output.getvalue() == shown


def test_the_metrics_of_serve_md_are_those_of_the_server(shipped: Server) -> None:
    shipped.post({"text": "a film"})
    rejected = shipped.post({"texts": ["a film"] * 1025}, "/classify/batch")
    assert rejected.status_code == 413
    named = {
        name: set(filter(None, labels.split(",")))
        for name, labels in re.findall(
            r"`((?:heed|process)_\w+)(?:\{([\w,]+)\})?`", section(SERVE, "Metrics")
        )
    }
    families = text_string_to_metric_families(shipped.get("/metrics").text)
    exposed = {
        family.name + "_total" * (family.type == "counter"): {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in families
    }
    assert named == exposed


def test_the_settings_of_serve_md_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(--[a-z-]+)` \| (.+?) \| .+? \| `(HEED_\w+)` \|",
        section(SERVE, "Settings"),
        flags=re.MULTILINE,
    )
    fields = {name: field.default for name, field in Settings.model_fields.items()}
    assert [row[0] for row in rows] == [flag(name) for name in fields]
    for (_, default, variable), (name, value) in zip(rows, fields.items(), strict=True):
        assert variable == f"HEED_{name.upper()}"
        if value is not None:
            assert getattr(Settings.read(**{name: default.strip("`")}), name) == value
        elif name == "default_model":
            assert default.startswith("`sentiment`")
        else:
            assert default == "none"


def test_the_scores_of_evaluate_md_are_keys_of_the_json(trained: Path, test_csv: Path) -> None:
    page = section(read(ROOT / "docs" / "evaluate.md"), "Scores")
    cells = re.findall(r"^\| (`.+?`) \|", page, flags=re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named >= {"n", "accuracy", "macro_f1", "ece"}
    assert named <= json.loads(heed("evaluate", trained, test_csv, "--json").stdout).keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)", without_blocks(read(page))
    ):
        file = (page.parent / target) if target else page
        assert file.exists(), f"links to {target}"
        if anchor:
            assert anchor in headings(read(file)), f"links to {target}#{anchor}"


def headings(page: str) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    found = re.findall(r"^#+ (.+)$", without_blocks(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_the_files_named_exist() -> None:
    folders = "model|service|heed|docs|docker|benchmarks|bundles|tests|scripts"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", TEXT))
    assert named
    missing = {name for name in named if not (ROOT / name).exists()}
    assert not missing


def test_the_heed_commands_have_known_flags() -> None:
    found = commands("heed")
    assert {words[1] for words in found} >= set(SUBCOMMANDS)
    for words in found:
        if not words[1].startswith("-"):
            assert words[1] in SUBCOMMANDS, shlex.join(words)
            given = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
            assert given <= flags(words[1]), shlex.join(words)


def test_the_flags_named_alone_exist() -> None:
    pages = [page for page in PAGES if page.parent.name in {"docs", ROOT.name}]
    named = set(re.findall(r"`(--[a-z][\w-]*)", "\n".join(map(read, pages))))
    assert named
    assert named <= set().union(*map(flags, SUBCOMMANDS)) | {"--env", "--http2"}


def test_the_make_targets_exist() -> None:
    makefile = read(ROOT / "Makefile")
    targets = {words[1] for words in commands("make")}
    assert targets
    missing = {name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)}
    assert not missing


def test_the_programs_named_exist() -> None:
    named = {words[2] for words in commands("python") if words[1] == "-m"}
    assert named
    paths = {name: ROOT / name.replace(".", "/") for name in named}
    missing = {
        name
        for name, path in paths.items()
        if not (path / "__main__.py").exists() and not path.with_suffix(".py").exists()
    }
    assert not missing


def test_the_extras_named_exist() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    named = re.findall(r"heed-classifier\[([\w,]+)\]", README)
    named += re.findall(r"-e '\.\[([\w,]+)\]'", TEXT)
    assert named
    assert {extra for one in named for extra in one.split(",")} <= project[
        "optional-dependencies"
    ].keys()


def test_the_readme_has_at_most_1500_words() -> None:
    lines = without_blocks(README).splitlines()
    assert len(" ".join(line for line in lines if not line.startswith("|")).split()) <= MAX_WORDS
