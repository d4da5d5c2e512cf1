"""Build the answer to one text. The server, the command and the Python API all use it.

It runs on the event loop of the server, so speed matters. Most of an answer is tokens: msgspec
structs are faster to create and to serialise than dicts. Needs no PyTorch.
"""

from typing import Any, Literal

import msgspec
import numpy as np

from heed.model.bundles import BundleConfig
from heed.model.inference.classifier import Explain, Prediction
from heed.model.text import Encoding

Unit = Literal["token", "word"]

DECIMALS = 7
"""Decimals of attention and contributions; float32 holds no more."""
PROBABILITY_DECIMALS = 10
"""Decimals of probabilities, so that thousands of labels still sum to 1 within 1e-6."""


class Token(msgspec.Struct, gc=False):
    """A token of the text, or a word if `unit` is "word"."""

    text: str
    """The slice of the text as sent, from `start` to `end`."""
    start: int
    """Offset of the first character in the text as sent, in Unicode code points."""
    end: int
    """Offset after the last character."""
    attention: float
    """Attention weight, 0 to 1. The weights of all tokens of a text sum to 1."""


class ExplainedToken(Token, gc=False):
    """A token with its contribution to the logit of `explain_label`."""

    contribution: float
    """Positive if the token raises the logit. The bias and all contributions sum to the logit."""


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
    """Return a prediction as `POST /classify` answers it, without `model` and `version`.

    All values are JSON types, except the tokens, which are `Token` or `ExplainedToken`.
    `msgspec.json.encode` serialises the answer; `msgspec.to_builtins` converts it to plain dicts.

    Args:
        prediction: made with the outputs that `explain` needs.
        config: of the bundle that made the prediction.
        text: the text as sent.
        explain: `none` leaves out `tokens`; `contributions` adds a contribution to each token.
        explain_label: the label whose contributions are returned; None: the most probable label,
            also if `label` is None.
        unit: `word` sums the tokens of each word.
        top_k: number of labels in `probabilities`; None: all.
        min_confidence: below this probability `label` is None; None: the value of the bundle.

    Raises:
        ValueError: `explain_label` is not a label of the bundle.
    """
    labels = config.labels
    probabilities = prediction.probabilities
    ranked = sorted(range(len(labels)), key=probabilities.__getitem__, reverse=True)
    best = ranked[0]
    if min_confidence is None:
        min_confidence = config.min_confidence
    withheld = min_confidence is not None and probabilities[best] < min_confidence
    answer: dict[str, Any] = {
        "label": None if withheld else labels[best],
        "probabilities": {
            labels[index]: round(probabilities[index], PROBABILITY_DECIMALS)
            for index in ranked[:top_k]
        },
    }
    if explain != "none":
        explained = best if explain_label is None else labels.index(explain_label)
        answer["tokens"] = _tokens(
            prediction, text, explained if explain == "contributions" else None, unit
        )
    if explain == "contributions":
        answer["explain_label"] = labels[explained]
        answer["logit"] = round(float(prediction.logits[explained]), DECIMALS)
        answer["bias"] = round(config.bias[explained], DECIMALS)
    answer["truncated"] = prediction.encoding.truncated
    return answer


def _tokens(
    prediction: Prediction, text: str, explained: int | None, unit: Unit
) -> list[Token] | list[ExplainedToken]:
    """Return the tokens in text order; `explained` is the index of the explained label, if any."""
    assert prediction.attention is not None
    columns = [prediction.attention]
    if explained is not None:
        assert prediction.contributions is not None
        columns.append(prediction.contributions[:, explained])
    spans = prediction.encoding.spans
    if unit == "word":
        first_tokens, spans = word_spans(prediction.encoding)
        columns = [np.add.reduceat(column, first_tokens) for column in columns]
    values = np.array(columns, dtype=np.float64).round(DECIMALS).tolist()
    slices = [text[start:end] for start, end in spans]
    starts, ends = zip(*spans, strict=True)
    if explained is not None:
        return list(map(ExplainedToken, slices, starts, ends, *values))
    return list(map(Token, slices, starts, ends, *values))


def word_spans(encoding: Encoding) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the index of the first token of each word, and the span of each word in the text."""
    spans, words = encoding.spans, encoding.words
    first_tokens = [t for t, word in enumerate(words) if t == 0 or word != words[t - 1]]
    ends = [*first_tokens[1:], len(spans)]
    return first_tokens, [
        (spans[a][0], spans[b - 1][1]) for a, b in zip(first_tokens, ends, strict=True)
    ]
