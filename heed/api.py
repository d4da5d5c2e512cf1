"""The Python interface: load a bundle, classify texts, read typed answers."""

import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import msgspec

from heed.model.errors import HeedError, TextError

# onnxruntime takes a third of a second to import, so `load` and the methods import what uses it.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heed.model.inference import OnnxClassifier
    from heed.model.text import Encoding

Device = Literal["auto", "cpu", "cuda"]
Explain = Literal["none", "attention", "contributions"]
Unit = Literal["token", "word"]


class OptionError(HeedError, ValueError):
    """An argument has a value that is not allowed."""


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token or a word of a text, with its weights.

    Attributes:
        text: the slice of the text from `start` to `end`.
        start: index of its first Unicode code point.
        end: index after its last code point.
        attention: share of the attention; sums to 1 over the tokens of the text.
        contribution: signed part of the logit of `Answer.explain_label`. None unless
            `explain="contributions"`.
    """

    text: str
    start: int
    end: int
    attention: float
    contribution: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The classification of one text.

    Attributes:
        label: the most probable label. None if its probability is below `min_confidence`.
        probabilities: label to probability, most probable first; the first `top_k` of them.
        tokens: the tokens in the order of the text. None if `explain="none"`.
        explain_label: the label that the contributions explain. This attribute, `logit` and `bias`
            are None unless `explain="contributions"`.
        logit: its logit, which equals `bias` plus the sum of the contributions within 1e-4.
        bias: the constant part of its logit.
        truncated: True if the text has more than the bundle's `max_tokens` tokens.
    """

    label: str | None
    probabilities: dict[str, float]
    tokens: list[Token] | None = None
    explain_label: str | None = None
    logit: float | None = None
    bias: float | None = None
    truncated: bool

    def to_dict(self) -> dict[str, Any]:
        """Return what `POST /classify` answers, without `model` and `version`.

        Attributes that were not requested are left out.
        """
        answer: dict[str, Any] = msgspec.to_builtins(self)
        return answer


def load(path: str | os.PathLike[str], device: Device = "cpu", threads: int = 1) -> "Classifier":
    """Load a bundle, verify it and return its classifier.

    Args:
        path: folder of the bundle.
        device: `cpu`, `cuda`, or `auto`, which uses CUDA where onnxruntime has it.
        threads: CPU threads of one call; several threads of the caller may use one classifier.

    Raises:
        BundleError: the bundle is missing, damaged or of another format.
        DeviceError: `device` is `cuda` and CUDA cannot be used.
        TypeError: an argument has the wrong type.
        OptionError: `device` or `threads` has a value that is not allowed.

    Example:
        >>> import heed
        >>> classifier = heed.load("bundles/sentiment")
        >>> classifier.classify("A gripping film.").label
        'positive'
    """
    _check_choice("device", device, Device)
    threads = _check_positive("threads", threads)
    from heed.model.inference import Bundle, OnnxClassifier

    return Classifier(OnnxClassifier(Bundle.load(Path(path)), device, threads))


class Classifier:
    """A loaded bundle. `heed.load` makes one; several threads may use it at the same time."""

    def __init__(self, inner: "OnnxClassifier") -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"<heed.Classifier {self.name} {self.version}: {len(self.labels)} labels>"

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return self._inner.config.name

    @property
    def version(self) -> str:
        """Version of the bundle."""
        return self._inner.config.version

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the columns of `predict_proba`."""
        return list(self._inner.config.labels)

    @overload
    def classify(  # type: ignore[overload-overlap]  # a str is an iterable of str, too
        self,
        texts: str,
        *,
        explain: Explain = ...,
        explain_label: str | None = ...,
        unit: Unit = ...,
        truncate: bool = ...,
        top_k: int | None = ...,
        min_confidence: float | None = ...,
    ) -> Answer: ...

    @overload
    def classify(
        self,
        texts: Iterable[str],
        *,
        explain: Explain = ...,
        explain_label: str | None = ...,
        unit: Unit = ...,
        truncate: bool = ...,
        top_k: int | None = ...,
        min_confidence: float | None = ...,
    ) -> list[Answer]: ...

    def classify(
        self,
        texts: str | Iterable[str],
        *,
        explain: Explain = "attention",
        explain_label: str | None = None,
        unit: Unit = "token",
        truncate: bool = True,
        top_k: int | None = None,
        min_confidence: float | None = None,
    ) -> Answer | list[Answer]:
        """Classify one text, or several in batches of similar length.

        Args:
            texts: a string, or an iterable of strings such as a list or a pandas column.
            explain: `none` returns no tokens, `attention` their attention, `contributions` also
                their signed contributions to a logit.
            explain_label: the label to explain; None: the most probable one.
            unit: `token`, or `word` to sum the weights of the tokens of each word.
            truncate: read only the first `max_tokens` tokens of a longer text. False: raise
                `TextError` for it.
            top_k: number of labels in `probabilities`, at least 1; None: all.
            min_confidence: below this probability, 0 to 1, `label` is None; None: the bundle's.

        Returns:
            One answer for a string; otherwise a list of answers in the order of the texts.

        Raises:
            TextError: a text is not valid; `index` is its position.
            InferenceError: the network failed.
            TypeError: an option has the wrong type.
            OptionError: an option has a value that is not allowed.

        Example:
            >>> answer = classifier.classify("A gripping film.", explain="contributions")
            >>> max(answer.tokens, key=lambda token: token.contribution).text
            'gripping'
        """
        _check_choice("explain", explain, Explain)
        _check_choice("unit", unit, Unit)
        if not isinstance(truncate, bool):
            raise TypeError(f"truncate must be True or False, not {truncate!r}")
        if explain_label is not None:
            self._check_label(explain_label)
        if top_k is not None:
            top_k = _check_positive("top_k", top_k)
        if min_confidence is not None:
            min_confidence = _check_probability("min_confidence", min_confidence)
        from heed.model.inference import build_answer
        from heed.model.text import length_batches

        alone = _is_single(texts)
        sent = [texts] if alone else _as_list(texts)
        plain, encodings = self._encode(sent, truncate=truncate, alone=alone)
        answers: dict[int, Answer] = {}
        lengths = [len(encoding.ids) for encoding in encodings]
        for batch in length_batches(lengths, self._inner.batch_tokens):
            predictions = self._inner.run([encodings[index] for index in batch], explain)
            for index, prediction in zip(batch, predictions, strict=True):
                fields = build_answer(
                    prediction,
                    self._inner.config,
                    text=plain[index],
                    explain=explain,
                    explain_label=explain_label,
                    unit=unit,
                    top_k=top_k,
                    min_confidence=min_confidence,
                )
                answers[index] = _typed(fields)
        return answers[0] if alone else [answers[index] for index in range(len(plain))]

    def predict(self, texts: Iterable[str]) -> "NDArray[np.object_]":
        """Return the most probable label of each text, whatever its probability.

        Args:
            texts: an iterable of strings.

        Returns:
            Labels, an object array of shape (texts,).

        Raises:
            TextError, InferenceError: as `classify`.
            TypeError: `texts` is one string.
        """
        import numpy as np

        labels = np.array(self.labels, dtype=object)
        predicted: NDArray[np.object_] = labels[self.predict_proba(texts).argmax(axis=1)]
        return predicted

    def predict_proba(self, texts: Iterable[str]) -> "NDArray[np.float64]":
        """Return the probabilities of each text, softmax(logits / temperature).

        Args:
            texts: an iterable of strings. Only their first `max_tokens` tokens are read.

        Returns:
            Probabilities, shape (texts, labels); the columns follow `labels`.

        Raises:
            TextError, InferenceError: as `classify`.
            TypeError: `texts` is one string.
        """
        if _is_single(texts):
            raise TypeError("texts must be a list of texts; put the single text into a list")
        _, encodings = self._encode(_as_list(texts), truncate=True, alone=False)
        return self._inner.probabilities([encoding.ids for encoding in encodings])

    def _encode(
        self, texts: list[Any], *, truncate: bool, alone: bool
    ) -> tuple[list[str], list["Encoding"]]:
        """Tokenize every text before any is classified, so that an invalid text is found first."""
        plain = []
        encodings = []
        for index, text in enumerate(texts):
            try:
                plain.append(_as_text(text))
                encodings.append(self._inner.encode(plain[-1]))
                if encodings[-1].truncated and not truncate:
                    raise TextError(
                        f"the text has more than {self._inner.config.max_tokens} tokens; shorten "
                        "it, or allow truncation"
                    )
            except TextError as error:
                raise TextError(error.reason, None if alone else index) from None
        return plain, encodings

    def _check_label(self, label: object) -> None:
        labels = self._inner.config.labels
        if not isinstance(label, str):
            raise TypeError(f"explain_label must be a label or None, not {label!r}")
        if label not in labels:
            known = ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
            raise OptionError(
                f"explain_label {label!r}: {self.name} has no such label; it has {known}"
            )


def _is_single(texts: object) -> bool:
    """True if `texts` is one text, valid or not, rather than several."""
    return isinstance(texts, str | bytes | bytearray | dict) or not isinstance(texts, Iterable)


def _as_list(texts: Iterable[Any]) -> list[Any]:
    dimensions = getattr(texts, "ndim", 1)
    if dimensions != 1:
        raise TypeError(f"texts must have one dimension, not {dimensions}; pass one column")
    return list(texts)


def _as_text(text: object) -> str:
    """Return a valid text as a plain `str`; raises `TextError`."""
    if not isinstance(text, str):
        raise TextError(f"a text must be a string, not {type(text).__name__}")
    plain = str.__str__(text)  # of a subclass, such as numpy.str_ or an enum's, the characters
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise TextError(
            f"the text has a lone surrogate at index {error.start}, which is no character; decode "
            "its bytes as UTF-8"
        ) from None
    return plain


def _typed(fields: dict[str, Any]) -> Answer:
    """Turn what `build_answer` returns into an answer."""
    if "tokens" in fields:
        fields["tokens"] = [
            Token(
                token.text,
                token.start,
                token.end,
                token.attention,
                getattr(token, "contribution", None),
            )
            for token in fields["tokens"]
        ]
    return Answer(**fields)


def _check_choice(name: str, value: object, choices: Any) -> None:
    allowed = get_args(choices)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if value not in allowed:
        raise OptionError(f"{name} {value!r} is not one of {', '.join(allowed)}")


def _check_positive(name: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    number = operator.index(value)
    if number < 1:
        raise OptionError(f"{name} must be at least 1, not {number}")
    return number


def _check_probability(name: str, value: Any) -> float:
    if isinstance(value, bool | str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number from 0 to 1, not {value!r}")
    number = float(value)
    if not 0 <= number <= 1:  # also false for NaN
        raise OptionError(f"{name} must be a number from 0 to 1, not {number}")
    return number
