"""The JSON of requests and responses. Requests are strict: unknown fields are rejected."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, WithJsonSchema
from typing_extensions import TypedDict  # pydantic requires this one before Python 3.12

from heed.model.inference import Explain, Unit

NOT_EMPTY = {"type": "string", "minLength": 1}
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Options(BaseModel):
    """How to classify a text."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    model: str | None = None
    """Name of the bundle; the default model if absent."""
    explain: Explain = "attention"
    """Explanation of each token: none; attention (its share of the attention), the default; or
    contributions (its signed part of the logit) with the attention."""
    explain_label: str | None = None
    """Label whose contributions are returned; the most probable label if absent."""
    unit: Unit = "token"
    """token, the default: explain each token; word: sum over the tokens of each word."""
    truncate: bool = True
    """true, the default: use the first `max_tokens` tokens of a longer text; false: reject it
    (422)."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """Number of most probable labels in `probabilities`; all if absent."""
    min_confidence: Probability | None = None
    """Below this probability `label` is null; the bundle's value if absent."""


class ClassifyRequest(Options):
    """One text, and how to classify it."""

    # The tokenizer rejects an empty text, and its message names the whole rule.
    text: Annotated[str, WithJsonSchema(NOT_EMPTY)]
    """The text, with at least one visible character."""


class BatchRequest(Options):
    """Several texts, classified with the same options."""

    # The route checks the texts after it has counted them: a million faults would take seconds.
    texts: Annotated[
        list[Annotated[str, SkipValidation, WithJsonSchema(NOT_EMPTY)]], Field(min_length=1)
    ]
    """At least one text, at most --max-texts; each with a visible character."""
    on_error: Literal["refuse", "report"] = "refuse"
    """What to do with a text that is not valid: refuse, the default, rejects the whole request
    (422); report puts an error in its place and answers the other texts."""


def doc(description: str) -> Any:
    """Return the description of a field; pydantic reads no docstrings of inherited TypedDicts."""
    return Field(description=description)


class Token(TypedDict):
    """A token or word of the text, with its explanation."""

    text: Annotated[str, doc("The slice of the text as sent, from start to end.")]
    start: Annotated[int, Field(ge=0), doc("Index of its first Unicode code point.")]
    end: Annotated[int, Field(ge=0), doc("Index after its last code point.")]
    attention: Annotated[float, doc("Share of the attention; sums to 1 over the text's tokens.")]
    contribution: NotRequired[
        Annotated[float, doc("Signed part of the logit. Only with explain=contributions.")]
    ]


class Result(TypedDict):
    """The result for one text. Fields that were not requested are absent."""

    label: Annotated[str | None, doc("The most probable label, or null below min_confidence.")]
    probabilities: Annotated[
        dict[str, Probability], doc("softmax(logits / temperature), most probable first.")
    ]
    tokens: NotRequired[Annotated[list[Token], doc("Absent with explain=none.")]]
    explain_label: NotRequired[
        Annotated[str, doc("Label of the contributions. Only with explain=contributions.")]
    ]
    logit: NotRequired[
        Annotated[float, doc("Its logit, bias + sum of contribution; as explain_label.")]
    ]
    bias: NotRequired[Annotated[float, doc("The constant part of the logit; as explain_label.")]]
    truncated: Annotated[bool, doc("True if the text has more than `max_tokens` tokens.")]


class ClassifyResponse(Result):
    """Answer of `POST /classify`."""

    model: Annotated[str, doc("Name of the bundle that answered.")]
    version: Annotated[str, doc("Version of the bundle.")]


class Problem(TypedDict):
    """An error (RFC 9457), sent as application/problem+json."""

    type: Annotated[str, doc("A URN that names the kind of error.")]
    title: Annotated[str, doc("The kind of error in words.")]
    status: Annotated[int, doc("The HTTP status.")]
    detail: Annotated[str, doc("What is wrong and how to correct it.")]
    request_id: Annotated[str, doc("The id of the request, as in X-Request-Id and in the log.")]


class Fault(TypedDict):
    """One fault of an invalid request."""

    loc: Annotated[list[str | int], doc("Location in the request.")]
    msg: Annotated[str, doc("What is wrong there.")]


class InvalidProblem(Problem):
    """A 422, with the location of every fault."""

    errors: Annotated[list[Fault], doc("The faults.")]


class TextProblem(Problem):
    """The error of one text of a batch."""

    errors: NotRequired[Annotated[list[Fault], doc("The faults of a text that is not valid.")]]


class Failure(TypedDict):
    """Replaces the result of a text that failed; with on_error=report, of an invalid one too."""

    error: Annotated[TextProblem, doc("Why this text has no result; the other texts have theirs.")]


class BatchResponse(TypedDict):
    """Answer of `POST /classify/batch`."""

    model: Annotated[str, doc("Name of the bundle that answered.")]
    version: Annotated[str, doc("Version of the bundle.")]
    results: Annotated[list[Result | Failure], doc("One for each text, in the order sent.")]


class Model(TypedDict):
    """Configuration and scores of a bundle."""

    name: Annotated[str, doc("Its name in requests.")]
    version: Annotated[str, doc("Its version.")]
    labels: Annotated[list[str], doc("Its labels.")]
    max_tokens: Annotated[int, doc("Tokens of a text that it uses.")]
    min_confidence: Annotated[
        float | None, doc("Below this probability it returns no label; null: it always does.")
    ]
    sha256: Annotated[dict[str, str], doc("Hashes of its files, by name.")]
    scores: Annotated[dict[str, Any], doc("Its scores on held-out data.")]
    training: Annotated[dict[str, Any], doc("Its training data and options.")]
    provider: Annotated[str, doc("The onnxruntime provider that its session uses.")]
    reload_error: NotRequired[
        Annotated[str, doc("Why a reload refused the present files; older files are served.")]
    ]


class Models(TypedDict):
    """The bundles that are served."""

    default: Annotated[
        str | None, doc("Model for requests that name none; null: requests must name one.")
    ]
    models: Annotated[list[Model], doc("All bundles.")]


class Status(TypedDict):
    """Health or readiness."""

    status: Annotated[Literal["ok", "ready"], doc("Otherwise the response is a 503.")]
