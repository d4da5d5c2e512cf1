"""From a prediction to the answer that people and programs read: once, for server and command.

Needs no PyTorch, and stands on the server's hot path: `round(x * SCALE) / SCALE` is what
`round(x, DECIMALS)` is, in a third of the time.
"""

from typing import Any, Literal

import numpy as np

from model.bundle import BundleConfig
from model.classifier import Explain, Prediction
from model.tokenizer import Encoding

Unit = Literal["token", "word"]

DECIMALS = 7
"""Of weights and contributions: as many as float32 holds."""
SCALE = 10**DECIMALS
PROBABILITY_DECIMALS = 10
"""More than the others, so that even thousands of labels sum to 1 within 1e-6."""


def answer(
    prediction: Prediction,
    config: BundleConfig,
    *,
    text: str,
    explain: Explain = "attention",
    explain_label: str | None = None,
    unit: Unit = "token",
    top_k: int | None = None,
    min_confidence: float | None = None,
) -> dict[str, Any]:
    """Tell a prediction as `POST /classify` answers it, less model and version, in JSON's types.

    Args:
        prediction: made with at least what `explain` asks for.
        config: of the bundle that made it.
        text: the text as sent; each token's `text` is a slice of it.
        explain: `none` leaves `tokens` out, `contributions` adds a signed number to each.
        explain_label: one of the bundle's labels, whose contributions to tell; None: the most
            probable, also where `label` is withheld.
        unit: `word` sums the tokens of each word.
        top_k: how many labels `probabilities` holds; None: all.
        min_confidence: below it `label` is None; None: the bundle's.

    Raises:
        ValueError: `explain_label` is no label of the bundle.
    """
    labels = config.labels
    numbers = prediction.probabilities
    ranked = sorted(range(len(labels)), key=numbers.__getitem__, reverse=True)
    best = ranked[0]
    if min_confidence is None:
        min_confidence = config.min_confidence
    unsure = min_confidence is not None and numbers[best] < min_confidence
    result: dict[str, Any] = {
        "label": None if unsure else labels[best],
        "probabilities": {
            labels[place]: round(numbers[place], PROBABILITY_DECIMALS) for place in ranked[:top_k]
        },
    }
    if explain != "none":
        explained = best if explain_label is None else labels.index(explain_label)
        result["tokens"] = _tokens(
            prediction, text, explained if explain == "contributions" else None, unit
        )
    if explain == "contributions":
        result["explain_label"] = labels[explained]
        result["logit"] = round(float(prediction.logits[explained]), DECIMALS)
        result["bias"] = round(config.bias[explained], DECIMALS)
    result["truncated"] = prediction.encoding.truncated
    return result


def _tokens(
    prediction: Prediction, text: str, explained: int | None, unit: Unit
) -> list[dict[str, Any]]:
    """What was read, in order; with the contributions to the label in place `explained`, if any."""
    assert prediction.attention is not None
    columns = [prediction.attention]
    if explained is not None:
        assert prediction.contributions is not None
        columns.append(prediction.contributions[:, explained])
    spans = prediction.encoding.spans
    if unit == "word":
        first, spans = words(prediction.encoding)
        columns = [np.add.reduceat(column, first) for column in columns]
    attention, *contributions = [
        [round(number * SCALE) / SCALE for number in column.tolist()] for column in columns
    ]
    if contributions:
        return [
            {
                "text": text[start:end],
                "start": start,
                "end": end,
                "attention": weight,
                "contribution": part,
            }
            for (start, end), weight, part in zip(spans, attention, contributions[0], strict=True)
        ]
    return [
        {"text": text[start:end], "start": start, "end": end, "attention": weight}
        for (start, end), weight in zip(spans, attention, strict=True)
    ]


def words(encoding: Encoding) -> tuple[list[int], list[tuple[int, int]]]:
    """Each word's first token, and where the word stands in the text."""
    spans, numbers = encoding.spans, encoding.words
    first = [t for t, number in enumerate(numbers) if t == 0 or number != numbers[t - 1]]
    ends = [*first[1:], len(spans)]
    return first, [(spans[a][0], spans[b - 1][1]) for a, b in zip(first, ends, strict=True)]
