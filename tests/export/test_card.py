"""The model card renders every bundle's config, and the shipped cards agree with their configs."""

from pathlib import Path

import pytest

from heed.model.bundles import BundleConfig
from heed.model.export.card import add_explanation_table, render_card
from heed.model.inference import Bundle
from tests.support.command import ROOT

SHIPPED = ["intents", "sentiment", "sentiment-zh"]

MINIMAL = BundleConfig(
    format=1,
    name="small",
    version="1.0.0",
    labels=["no", "yes"],
    max_tokens=8,
    bias=[0.0, 0.0],
    temperature=1.0,
    min_confidence=None,
    sha256={},
)


def read_config(name: str) -> BundleConfig:
    text = (ROOT / "bundles" / name / "config.json").read_text("utf-8")
    return BundleConfig.model_validate_json(text)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_config_of_a_shipped_bundle_renders(name: str) -> None:
    config = read_config(name)
    card = render_card(config, "an example", 1_000_000)
    assert f"# {name} {config.version}" in card
    assert f"| test | {config.scores['test']['n']:,} |" in card
    assert "× the n-gram model" in card
    assert "$" not in card
    assert "\n\n\n" not in card


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_card_has_the_figures_of_its_config(name: str) -> None:
    config = read_config(name)
    size = (ROOT / "bundles" / name / "model.onnx").stat().st_size
    card = (ROOT / "bundles" / name / "README.md").read_text("utf-8")
    rendered = render_card(config, "an example", size)
    for heading in ("## Results", "## Model"):
        tables = [line for line in _section(rendered, heading) if line.startswith("|")]
        assert tables == [line for line in _section(card, heading) if line.startswith("|")]
    assert f"# {name} {config.version}" in card


def _section(card: str, heading: str) -> list[str]:
    return card.partition(heading)[2].partition("\n## ")[0].splitlines()


def test_a_new_bundle_has_a_card_with_its_command_and_scores(trained: Path) -> None:
    bundle = Bundle.load(trained)
    card = (trained / "README.md").read_text("utf-8")
    assert bundle.config.training["command"] in card
    assert f"| test | 80 | {bundle.config.scores['test']['accuracy']:.4f} |" in card
    assert "Terms: made for the tests." in card


def test_a_config_without_training_data_renders() -> None:
    card = render_card(MINIMAL, "an example", 0)
    assert "Terms: not stated." in card
    assert "n-gram" not in card.partition("## How")[0]


def test_a_threshold_is_named_in_the_limits() -> None:
    config = MINIMAL.model_copy(update={"min_confidence": 0.6})
    assert "below 0.60, the text gets no label" in render_card(config, "an example", 0)


def test_more_than_twenty_labels_are_counted() -> None:
    labels = [f"label{n}" for n in range(25)]
    config = MINIMAL.model_copy(update={"labels": labels, "bias": [0.0] * 25})
    card = render_card(config, "an example", 0)
    assert "`label19` and 5 more" in card
    assert "label20" not in card


def test_the_example_is_safe_between_double_quotes_of_a_shell() -> None:
    card = render_card(MINIMAL, 'say "$HOME" `ls`\n\\ now!', 0)
    assert 'heed classify . "say HOME ls now"' in card


def test_two_mixtures_are_named_for_short_and_long_texts() -> None:
    mixture = {"network": [0.8, 0.2], "ngrams": [0.4, 0.9], "bias": 0.0}
    config = MINIMAL.model_copy(update={"training": {"mixture": mixture}})
    card = render_card(config, "an example", 0)
    assert "0.80 × the attention network + 0.40 × the n-gram model" in card
    assert "0.20 × the attention network + 0.90 × the n-gram model" in card


def test_encoders_and_augmented_texts_are_named() -> None:
    teacher = {"name": "mini", "unlabelled": 48, "augmented": 7020, "dev_accuracy": 0.9}
    training = {"init_embeddings": "mini", "teacher": teacher}
    card = render_card(MINIMAL.model_copy(update={"training": training}), "an example", 0)
    assert 'base_model: ["mini"]' in card
    assert "fine-tuned on the training rows to a dev accuracy of 0.9000." in card
    assert "48 texts without labels and 7,020 texts made from the training rows" in card


def test_a_search_is_named_with_its_result() -> None:
    tuned = {
        "trials": 3,
        "minutes": 0.5,
        "changed": {"dropout": 0.3},
        "accuracy": 0.9,
        "planned_accuracy": 0.8,
    }
    config = MINIMAL.model_copy(update={"training": {"tuned": tuned}})
    card = render_card(config, "an example", 0)
    assert "3 settings were tried on dev in 0.5 minutes" in card
    assert "Changed settings: dropout 0.3" in card


def test_a_second_explanation_table_replaces_the_first_and_keeps_the_rest() -> None:
    card = "# A bundle\n\n## Model\n\nSizes.\n"
    once = add_explanation_table(card, "rationales.jsonl", "| method | MAP |\n")
    assert once.startswith(card.rstrip())
    assert "| method | MAP |" in once
    twice = add_explanation_table(f"{once}\n## History\n\n1.0.0\n", "other.jsonl", "| other |\n")
    assert "| method |" not in twice
    assert twice.count("## Explanations compared") == 1
    assert twice.index("| other |") < twice.index("\n\n## History\n\n1.0.0")
