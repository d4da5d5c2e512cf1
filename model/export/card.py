"""The model card: the bundle's README.md, with the front matter that model hubs read."""

import json
from dataclasses import asdict
from typing import Any

from heed.model.inference.bundle import MODEL, BundleConfig
from heed.model.metrics.calibration import NETWORK_ONLY, Mixture
from heed.model.metrics.threshold import describe_threshold

TEMPLATE = """\
---
{front_matter}
---

# {name} {version}

A text classifier made by Heed. It tells {labels} apart and shows, for every answer, which \
tokens it looked at (`attention`) and how much each moved every label's score (`contributions`).

## Use

```sh
heed serve --bundles .
heed classify . "{example}"
```

**Intended for** texts like those it was trained on, one label a text. **Not for** texts of \
another kind, language or time without checking it there first, nor for decisions about people \
that nobody looks at. It reads the first {max_tokens} tokens of a text; the answer says when there \
were more. It learnt from {sources}, with whatever that has of error and prejudice, and it gives \
a label to texts that have none{abstaining}.

## Data

{data}

## Training

```sh
{command}
```

Seed {seed}, {date}. Equal data, seed, versions and machine give equal files. Of at most {epochs} \
epochs the one that did best on the dev rows was kept.{tuned}{pretrained}

## Figures

Measured on the files of this bundle.

{figures}

ECE is the expected calibration error over 15 equal-width bins. Probabilities are softmax(logits / \
{temperature:.3f}); the temperature was fitted on the dev rows, so that their ECE flatters a \
little.{threshold}

## Inside

{sizes}

{mixture}The embedding table is kept in 8 bits with a scale for each row. PyTorch and ONNX \
differ by {difference:.0e} at most over {compared} dev texts.

## Reading the reasons

`attention` is where the network looked: weights that sum to 1 over the text's tokens, without \
sign. `contributions` is what moved the score: a label's logit is its bias plus the sum over \
tokens of their signed contributions, exactly, where the attention weights and the gates count \
as given. A word that changes how its neighbours are taken shows in their numbers, not its own.
"""

EXPLANATIONS = "## Explanations compared"


def add_explanation_table(card: str, data: str, table: str) -> str:
    """The card with a table of ways of explaining, in the place of one that was there.

    Args:
        card: the card's text.
        data: name of the file that was measured on.
        table: in Markdown.
    """
    before = card.split(EXPLANATIONS)[0].rstrip()
    return f"{before}\n\n{EXPLANATIONS}\n\nOn `{data}`. {table}"


def render_card(config: BundleConfig, example: str, model_bytes: int) -> str:
    """Write the card of a bundle from what its `config.json` knows.

    Args:
        config: the bundle's configuration.
        example: a text to try it with.
        model_bytes: size of the ONNX file.
    """
    training, network = config.training, config.network
    terms = training.get("terms") or "not stated"
    front_matter = {
        "library_name": "heed",
        "pipeline_tag": "text-classification",
        "tags": ["text-classification", "onnx", "explanations"],
        "model_name": config.name,
    }
    encoders = _encoders(training)
    if encoders:
        front_matter["base_model"] = encoders
    rows = training["rows"]
    data = [
        f"{training['data']}. Rows: "
        + ", ".join(f"{n:,} {part}" for part, n in rows.items() if n)
        + ".",
        f"Terms: {terms}.",
        *training["notes"],
    ]
    sizes = [
        ("labels", len(config.labels)),
        ("tokens in the vocabulary", f"{network['vocabulary']:,}"),
        ("width", network["width"]),
        ("self-attention blocks", network["blocks"]),
        ("heads", network["heads"]),
        ("feed-forward width", network["hidden"]),
        (f"`{MODEL}`", f"{model_bytes / 1e6:.1f} MB"),
        *((tool, version) for tool, version in config.tools.items()),
    ]
    named = ", ".join(f"`{label}`" for label in config.labels[:20])
    more = f" and {len(config.labels) - 20} more labels" if len(config.labels) > 20 else ""
    return TEMPLATE.format(
        # JSON is YAML, and quotes what needs it.
        front_matter="\n".join(
            f"{key}: {json.dumps(value)}" for key, value in front_matter.items()
        ),
        name=config.name,
        version=config.version,
        labels=named + more,
        example=_in_shell(example),
        max_tokens=config.max_tokens,
        sources=" and ".join(["its training text", *encoders])
        if encoders
        else "its training text alone",
        tuned=_tuned(training),
        pretrained=_pretrained(training),
        threshold=_paragraph(describe_threshold(config)),
        abstaining=""
        if not config.min_confidence
        else f", unless its probability is below {config.min_confidence:.2f}: then it gives none",
        data="\n".join(data),
        command=training["command"],
        seed=training["seed"],
        date=training["date"],
        epochs=training["epochs"],
        figures=_table(
            ["rows", "texts", "accuracy", "macro-F1", "ECE"],
            [
                [
                    part,
                    f"{s['n']:,}",
                    f"{s['accuracy']:.4f}",
                    f"{s['macro_f1']:.4f}",
                    f"{s['ece']:.4f}",
                ]
                for part, s in config.scores.items()
            ],
        ),
        temperature=config.temperature,
        sizes=_table(["what", "size or version"], [[str(a), str(b)] for a, b in sizes]),
        mixture=_mixture(training),
        difference=training["parity"]["difference"],
        compared=training["parity"]["texts"],
    )


def _encoders(training: dict[str, Any]) -> list[str]:
    """Names of the pretrained encoders that it learnt from, each once."""
    named = [training.get("init_embeddings"), (training.get("teacher") or {}).get("name")]
    return list(dict.fromkeys(name for name in named if name))


def _mixture(training: dict[str, Any]) -> str:
    """How the halves are mixed."""
    mixture = Mixture(**training.get("mixture", asdict(NETWORK_ONLY)))
    if not any(mixture.ngrams):
        return ""
    parts = [
        f"{ours:.2f} times what the attention network says and {theirs:.2f} times what a bag of "
        "tokens and of neighbours does"
        for ours, theirs in zip(mixture.network, mixture.ngrams, strict=True)
    ]
    told = parts[0]
    if len(parts) > 1:
        told = f"in short texts {parts[0]}, in long ones {parts[1]} of their own, between them both"
    return (
        f"A logit is its bias and {told}. These weights were fitted on the dev rows, whose figures "
        "are the better for it. Attention is the network's; what neighbours say counts for their "
        "last. "
    )


def _tuned(training: dict[str, Any]) -> str:
    """What the search for better settings found."""
    if not (tuned := training.get("tuned")):
        return ""
    changes = ", ".join(f"{name} {value:g}" for name, value in tuned["changed"].items())
    return (
        f" {tuned['trials']} settings were tried on dev in {tuned['minutes']:g} minutes; "
        f"{changes or 'none'} was better than what follows from the data ({tuned['accuracy']:.4f} "
        f"against {tuned['planned_accuracy']:.4f}, the network alone), so that the figures on dev "
        "flatter."
    )


def _pretrained(training: dict[str, Any]) -> str:
    """What the encoders gave."""
    words = ""
    if start := training.get("init_embeddings"):
        words += f"Its embedding table started from the token vectors of {start}."
    if teacher := training.get("teacher"):
        extra = [
            f"{teacher[kind]:,} {what}"
            for kind, what in (
                ("unlabelled", "texts without labels"),
                ("augmented", "texts made of the training rows"),
            )
            if teacher[kind]
        ]
        words += (
            f" It was taught by {teacher['name']}, fine-tuned on the training rows to an accuracy "
            f"of {teacher['dev_accuracy']:.4f} on dev, which labelled "
            + " and ".join(["them", *extra])
            + "."
        )
    return _paragraph(words.strip())


def _paragraph(words: str) -> str:
    return f"\n\n{words}" if words else ""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _in_shell(text: str) -> str:
    """A text as it may stand between double quotes in a shell, on one line."""
    for special in '\\"$`!':
        text = text.replace(special, "")
    return " ".join(text.split())[:80]
