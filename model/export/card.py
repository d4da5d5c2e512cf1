"""Render the model card: the README.md of a bundle, with the front matter that model hubs read."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from heed.model.inference import MODEL, BundleConfig
from heed.model.metrics import describe_threshold

MAX_LISTED_LABELS = 20
MAX_EXAMPLE_CHARACTERS = 80
EXPLANATIONS = "## Explanations compared"


def render_card(config: BundleConfig, example: str, model_bytes: int) -> str:
    """Return the model card of a bundle as Markdown.

    Args:
        config: the bundle's configuration. What it does not contain is left out of the card.
        example: a text for the example command.
        model_bytes: size of the ONNX file in bytes.
    """
    training = config.training
    encoders = _encoder_names(training)
    parity = training.get("parity", {})
    template = Template(files(__package__).joinpath("card_template.md").read_text("utf-8"))
    card = template.substitute(
        front_matter=_front_matter(config, encoders),
        name=config.name,
        version=config.version,
        label_count=len(config.labels),
        labels=_labels(config.labels),
        example=_quotable(example),
        max_tokens=config.max_tokens,
        sources=" and ".join(["its training texts", *encoders]),
        them="these sources" if encoders else "these texts",
        without_label=_without_label(config.min_confidence),
        data=_data(training),
        terms=training.get("terms") or "not stated",
        notes="\n".join(f"- {note}" for note in training.get("notes", [])),
        command=training.get("command", "heed train"),
        seed=training.get("seed", "not stated"),
        date=training.get("date", "not stated"),
        epochs=training.get("epochs", "an unknown number of"),
        tuning=_tuning(training.get("tuned")),
        encoders=_encoders(training),
        scores=_scores(config.scores),
        temperature=f"{config.temperature:.3f}",
        threshold=describe_threshold(config),
        sizes=_sizes(config, model_bytes),
        mixture=_mixture(training.get("mixture")),
        difference=f"{parity.get('difference', 0):.0e}",
        compared=parity.get("texts", 0),
    )
    return re.sub(r"\n{3,}", "\n\n", card)  # a field that is empty leaves empty lines


def add_explanation_table(card: str, data: str, table: str) -> str:
    """Return the card with a table of explanation methods. It replaces an older table.

    Args:
        card: the text of the card.
        data: name of the file that the methods were measured on.
        table: the table in Markdown.
    """
    before, _, old = card.partition(EXPLANATIONS)
    _, heading, after = old.partition("\n## ")
    section = f"{before.rstrip()}\n\n{EXPLANATIONS}\n\nOn `{data}`. {table.rstrip()}\n"
    return section + heading + after


def _front_matter(config: BundleConfig, encoders: Sequence[str]) -> str:
    fields: dict[str, Any] = {
        "library_name": "heed",
        "pipeline_tag": "text-classification",
        "tags": ["text-classification", "onnx", "explanations"],
        "model_name": config.name,
    }
    if encoders:
        fields["base_model"] = list(encoders)
    # JSON is valid YAML, and json.dumps adds the quotes that YAML needs.
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in fields.items())


def _encoder_names(training: Mapping[str, Any]) -> list[str]:
    """Names of the pretrained encoders that the bundle learned from, without duplicates."""
    names = [training.get("init_embeddings"), (training.get("teacher") or {}).get("name")]
    return list(dict.fromkeys(name for name in names if name))


def _labels(labels: Sequence[str]) -> str:
    listed = ", ".join(f"`{label}`" for label in labels[:MAX_LISTED_LABELS])
    more = len(labels) - MAX_LISTED_LABELS
    return f"{listed} and {more} more" if more > 0 else listed


def _without_label(min_confidence: float | None) -> str:
    if min_confidence:
        return f"If the highest probability is below {min_confidence:.2f}, the text gets no label."
    return "Every text gets a label, even if no label fits."


def _data(training: Mapping[str, Any]) -> str:
    rows = ", ".join(f"{n:,} {part}" for part, n in training.get("rows", {}).items() if n)
    return f"{training.get('data', 'Data not stated')}. Rows: {rows or 'not stated'}."


def _tuning(tuned: Mapping[str, Any] | None) -> str:
    if not tuned:
        return ""
    changes = ", ".join(f"{name} {value:g}" for name, value in tuned["changed"].items())
    return (
        f"{tuned['trials']} settings were tried on dev in {tuned['minutes']:g} minutes. Changed "
        f"settings: {changes or 'none'}. Dev accuracy is {tuned['accuracy']:.4f} with them and "
        f"{tuned['planned_accuracy']:.4f} without. Because dev chose them, the dev figures are "
        "slightly too high."
    )


def _encoders(training: Mapping[str, Any]) -> str:
    sentences = []
    if source := training.get("init_embeddings"):
        sentences.append(f"Its embedding table started from the token vectors of {source}.")
    if teacher := training.get("teacher"):
        texts = ["the training rows"]
        if unlabelled := teacher.get("unlabelled"):
            texts.append(f"{unlabelled:,} texts without labels")
        if augmented := teacher.get("augmented"):
            texts.append(f"{augmented:,} texts made from the training rows")
        accuracy = teacher.get("dev_accuracy")
        sentences += [
            f"The teacher is {teacher['name']}, fine-tuned on the training rows"
            + (f" to a dev accuracy of {accuracy:.4f}." if accuracy else "."),
            f"The bundle learned from the teacher's probabilities for {' and '.join(texts)}.",
        ]
    return "\n".join(sentences)


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [part, f"{s['n']:,}", *(f"{s[name]:.4f}" for name in ("accuracy", "macro_f1", "ece"))]
        for part, s in scores.items()
    ]
    return _table(["rows", "texts", "accuracy", "macro-F1", "ECE"], rows)


def _sizes(config: BundleConfig, model_bytes: int) -> str:
    network = {
        "tokens in the vocabulary": "vocabulary",
        "width": "width",
        "self-attention blocks": "blocks",
        "heads": "heads",
        "feed-forward width": "hidden",
    }
    rows = [
        ("labels", len(config.labels)),
        *((name, config.network[key]) for name, key in network.items() if key in config.network),
        (f"`{MODEL}`", f"{model_bytes / 1e6:.1f} MB"),
        *config.tools.items(),
    ]
    cells = [[name, f"{value:,}" if isinstance(value, int) else value] for name, value in rows]
    return _table(["what", "size or version"], cells)


def _mixture(mixture: Mapping[str, Any] | Sequence[float] | None) -> str:
    """Describe the mixture weights. Up to bundle version 3.2 they were a list of two numbers."""
    if not mixture:
        return ""
    if isinstance(mixture, Mapping):
        network, ngrams = mixture["network"], mixture["ngrams"]
    else:
        network, ngrams = mixture[:1], mixture[1:]
    if not any(ngrams):
        return ""
    weights = [
        f"{a:.2f} × the attention network + {b:.2f} × the n-gram model"
        for a, b in zip(network, ngrams, strict=True)
    ]
    if len(weights) == 1:
        formula = f"A logit is its bias + {weights[0]}."
    else:
        formula = (
            f"In short texts a logit is its bias + {weights[0]}. In long texts it is its bias + "
            f"{weights[1]} of long texts. Between them the weights change with the length."
        )
    return (
        f"{formula} These weights were fitted on the dev rows, so the dev figures are slightly too "
        "good. `attention` comes from the attention network only. The contribution of an n-gram "
        "counts for its last token."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _quotable(text: str) -> str:
    """Return the text on one line, without characters that a shell interprets inside quotes."""
    return " ".join(re.sub(r'[\\"$`!]', "", text).split())[:MAX_EXAMPLE_CHARACTERS]
