"""`heed classify`, as a person and as a program run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT, heed

TEXTS = ("A wonderful, gripping film", "这家酒店很差 <b>", "ok")


def test_json_has_one_line_for_each_text_in_the_format_of_the_api(trained: Path) -> None:
    lines = heed("classify", trained, *TEXTS, "--json").stdout.splitlines()
    assert len(lines) == len(TEXTS)
    for text, line in zip(TEXTS, lines, strict=True):
        answer = json.loads(line)
        assert list(answer) == [
            "model", "version", "label", "probabilities", "tokens", "truncated"
        ]  # fmt: skip
        assert answer["model"] == "reviews"
        assert answer["label"] == next(iter(answer["probabilities"]))
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert all(
            text[token["start"] : token["end"]] == token["text"] for token in answer["tokens"]
        )


def test_options_are_those_of_the_api(trained: Path) -> None:
    options = [
        "--json", "--explain", "contributions", "--explain-label", "negative",
        "--unit", "word", "--top-k", 1, "--min-confidence", 1,
    ]  # fmt: skip
    answer = json.loads(heed("classify", trained, TEXTS[0], *options).stdout)
    assert answer["label"] is None
    assert len(answer["probabilities"]) == 1
    assert answer["explain_label"] == "negative"
    assert [token["text"] for token in answer["tokens"]] == TEXTS[0].replace(",", " ,").split()
    total = answer["bias"] + sum(token["contribution"] for token in answer["tokens"])
    assert total == pytest.approx(answer["logit"], abs=1e-4)
    none = json.loads(heed("classify", trained, TEXTS[0], "--json", "--explain", "none").stdout)
    assert "tokens" not in none


def test_a_person_sees_label_probabilities_and_words(trained: Path) -> None:
    shown = heed("classify", trained, TEXTS[0]).stdout
    answer = json.loads(heed("classify", trained, TEXTS[0], "--json").stdout)
    assert answer["label"] in shown
    assert f"{answer['probabilities'][answer['label']]:.1%}" in shown
    assert TEXTS[0] in shown
    assert "\x1b" not in shown, "no colour codes where there is no terminal"


def test_save_writes_a_page(trained: Path, tmp_path: Path) -> None:
    heed("classify", trained, *TEXTS, "--save", tmp_path / "new" / "page.html")
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert page.count("<article>") == len(TEXTS)
    assert "&lt;" in page
    done = heed("classify", trained, "ok", "--save", tmp_path, check=False)
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("fine", " \t"), "text 2: the text contains no token"),
        (("fine", "--explain-label", "neutral"), "it has negative, positive"),
        (("fine", "--unit", "sentence"), "--unit"),
        ((), "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    trained: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = heed("classify", trained, *arguments, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("heed: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_each_line_is_one_text(trained: Path) -> None:
    def classify_lines(lines: bytes) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "heed", "classify", str(trained), "-", "--json"]
        return subprocess.run(command, cwd=ROOT, input=lines, capture_output=True, check=False)

    done = classify_lines("a wonderful film\r\ncafé".encode())
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["label"], second["tokens"][0]["text"]) == ("positive", "café")
    for lines, message in (
        (b"a\n\n", b"text 2: "),
        (b"a\n\xff\n", b"line 2: not UTF-8"),
        (b"", b"no line"),
    ):
        done = classify_lines(lines)
        assert (done.returncode, message in done.stderr) == (2, True)


def test_output_is_utf_8_and_a_full_disk_one_sentence(trained: Path) -> None:
    command = [sys.executable, "-m", "heed", "classify", str(trained), "café", "--json"]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, env=ascii_only)
    assert json.loads(done.stdout)["tokens"][0]["text"] == "café"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"No space left on device" in done.stderr


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    done = heed("classify", tmp_path / "nothing", "fine", check=False)
    assert (done.returncode, str(tmp_path / "nothing") in done.stderr) == (2, True)


def test_a_folder_of_bundles_is_not_accepted_as_a_bundle(trained: Path) -> None:
    done = heed("classify", trained.parent, "fine", check=False)
    assert (done.returncode, f"name one of them, such as {trained}" in done.stderr) == (2, True)
