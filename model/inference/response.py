"""From a prediction to the answer that people and programs read: once, for server and command.

Needs no PyTorch, and stands on the server's hot path: most of an answer is its tokens, and structs
are quicker to make and to write than dicts.
"""

from typing import Any, Literal

import msgspec
import numpy as np

from heed.model.inference.bundle import BundleConfig
from heed.model.inference.classifier import Explain, Prediction
from heed.model.text.tokenizer import Encoding

Unit = Literal["token", "word"]

DECIMALS = 7
"""Of weights and contributions: as many as float32 holds."""
PROBABILITY_DECIMALS = 10
"""More than the others, so that even thousands of labels sum to 1 within 1e-6."""


class Token(msgspec.Struct, gc=False):
    """A token, or a word, as the answer tells it; `text` is the slice from `start` to `end`."""

    text: str
    start: int
    end: int
    attention: float


class ExplainedToken(Token, gc=False):
    """With its signed contribution to a label's logit."""

    contribution: float


def build_answer(
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
    """Tell a prediction as `POST /classify` answers it, less model and version.

    All is of JSON's types but the tokens: msgspec writes them, and `msgspec.to_builtins` turns the
    whole into plain dicts.

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
) -> list[Token] | list[ExplainedToken]:
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
    numbers = np.array(columns, dtype=np.float64).round(DECIMALS).tolist()
    slices = [text[start:end] for start, end in spans]
    starts, ends = zip(*spans, strict=True)
    if explained is not None:
        return list(map(ExplainedToken, slices, starts, ends, *numbers))
    return list(map(Token, slices, starts, ends, *numbers))


def words(encoding: Encoding) -> tuple[list[int], list[tuple[int, int]]]:
    """Each word's first token, and where the word stands in the text."""
    spans, numbers = encoding.spans, encoding.words
    first = [t for t, number in enumerate(numbers) if t == 0 or number != numbers[t - 1]]
    ends = [*first[1:], len(spans)]
    return first, [(spans[a][0], spans[b - 1][1]) for a, b in zip(first, ends, strict=True)]
