"""`heed evaluate --explanations`: every method is scored, with and without rationales."""

import json
from pathlib import Path

import pytest

from tests.support.command import heed


@pytest.fixture
def rationale_reviews(tmp_path: Path) -> Path:
    """Reviews in which the one informative word is the rationale."""
    lines = []
    for number in range(40):
        word, label = (("wonderful", "positive"), ("dreadful", "negative"))[number % 2]
        tokens = ["The", "film", "was", word, "."]
        lines.append({"tokens": tokens, "label": label, "rationale": [0, 0, 0, 1, 0]})
    data = tmp_path / "rationales.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return data


@pytest.mark.slow
def test_the_command_scores_every_method(
    trained: Path, checkpoint: Path, rationale_reviews: Path
) -> None:
    options = ("--explanations", "--checkpoint", checkpoint)
    result = json.loads(heed("evaluate", trained, rationale_reviews, "--json", *options).stdout)
    explanations = result["explanations"]
    methods = explanations["methods"]
    assert list(methods) == [
        "random", "attention", "contributions", "leave one out", "gradient × input",
        "integrated gradients",
    ]  # fmt: skip
    assert explanations["with_rationales"] is True
    assert explanations["n"] == result["accuracy"] * 40
    assert methods["random"]["base_rate"] == pytest.approx(0.2)
    assert methods["contributions"]["average_precision"] > 0.8
    assert methods["contributions"]["passes"] == methods["attention"]["passes"] == "0"
    text = heed("evaluate", trained, rationale_reviews, "--explanations").stdout
    assert "contributions" in text
    assert "MAP" in text


def test_without_rationales_only_faithfulness_is_scored(trained: Path, test_csv: Path) -> None:
    options = ("--json", "--explanations", "--limit", 10)
    explanations = json.loads(heed("evaluate", trained, test_csv, *options).stdout)["explanations"]
    assert (explanations["n"], explanations["with_rationales"]) == (10, False)
    assert "comprehensiveness" in explanations["methods"]["contributions"]
    assert "average_precision" not in explanations["methods"]["contributions"]


def test_rationales_without_a_usable_text_are_an_error(trained: Path, tmp_path: Path) -> None:
    data = tmp_path / "empty.jsonl"
    row = {"text": "A wonderful film", "label": "positive", "rationale": [0, 0, 0]}
    data.write_text(json.dumps(row) + "\n", encoding="utf-8")
    done = heed("evaluate", trained, data, "--explanations", check=False)
    assert done.returncode == 2
    assert "no text has a rationale and a correct prediction" in done.stderr
