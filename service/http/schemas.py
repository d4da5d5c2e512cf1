"""What goes over the wire. Requests are strict: unknown fields and wrong types are refused."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from heed.model.inference.classifier import Explain
from heed.model.inference.response import Unit

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Options(BaseModel):
    """How a text is to be classified."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str | None = Field(
        None, description="Name of the bundle; the default model when left out."
    )
    explain: Explain = Field(
        "attention",
        description="Reasons to give: none; attention (where the model looked); or contributions "
        "(what moved the score) beside it.",
    )
    explain_label: str | None = Field(
        None, description="Whose contributions; the most probable label's when left out."
    )
    unit: Unit = Field("token", description="Reasons for each token, or summed for each word.")
    truncate: bool = Field(
        True,
        description="Read the first `max_tokens` tokens of a longer text; false: refuse it (422).",
    )
    top_k: Annotated[int, Field(ge=1)] | None = Field(
        None, description="That many most probable labels in `probabilities`; all when left out."
    )
    min_confidence: Probability | None = Field(
        None, description="Below this probability `label` is null; the bundle's when left out."
    )


class ClassifyRequest(Options):
    """One text, and how to classify it."""

    text: str = Field(description="The text, with at least one visible character.")


class BatchRequest(Options):
    """Several texts, classified under the same options."""

    # The route looks at each text, once it has counted them: a million faults would take seconds.
    texts: Annotated[list[SkipValidation[str]], Field(min_length=1)] = Field(
        description="At least one text, at most --max-texts; each with a visible character."
    )


class Token(TypedDict):
    """A token, or a word, of the text and what it counted."""

    text: Annotated[str, Field(description="The slice of the text as sent, from start to end.")]
    start: Annotated[int, Field(ge=0, description="Its first Unicode code point.")]
    end: Annotated[int, Field(ge=0, description="One past its last code point.")]
    attention: Annotated[
        float, Field(description="Share of the model's look; sums to 1 over the text's tokens.")
    ]
    contribution: NotRequired[
        Annotated[
            float, Field(description="Signed part of the logit. Only with explain=contributions.")
        ]
    ]


class Result(TypedDict):
    """The answer for one text. Fields that were not asked for are left out."""

    label: Annotated[
        str | None, Field(description="The most probable label, or null below min_confidence.")
    ]
    probabilities: Annotated[
        dict[str, Probability],
        Field(description="softmax(logits / temperature), most probable first."),
    ]
    tokens: NotRequired[
        Annotated[list[Token], Field(description="The reasons. Left out with explain=none.")]
    ]
    explain_label: NotRequired[
        Annotated[
            str,
            Field(description="Whose contributions these are. Only with explain=contributions."),
        ]
    ]
    logit: NotRequired[
        Annotated[
            float,
            Field(description="Its logit, bias + sum of contribution; as explain_label."),
        ]
    ]
    bias: NotRequired[
        Annotated[float, Field(description="The constant part of the logit; as explain_label.")]
    ]
    truncated: Annotated[
        bool, Field(description="Whether the text went on after its first `max_tokens` tokens.")
    ]


class ClassifyResponse(Result):
    """Answer of `POST /classify`."""

    model: Annotated[str, Field(description="Name of the bundle that answered.")]
    version: Annotated[str, Field(description="Its version.")]


class Problem(TypedDict):
    """An error (RFC 9457), sent as application/problem+json."""

    type: Annotated[str, Field(description="A URN that names the kind of error.")]
    title: Annotated[str, Field(description="The kind of error in words.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong here and how to mend it.")]


class Fault(TypedDict):
    """One fault of an invalid request."""

    loc: Annotated[list[str | int], Field(description="Where in the request it is.")]
    msg: Annotated[str, Field(description="What is wrong with it.")]


class InvalidProblem(Problem):
    """A 422, with the place of every fault."""

    errors: Annotated[list[Fault], Field(description="The faults.")]


class Failure(TypedDict):
    """Stands in the place of a text whose inference failed."""

    error: Annotated[
        Problem, Field(description="Why this text has no answer; its neighbours have theirs.")
    ]


class BatchResponse(TypedDict):
    """Answer of `POST /classify/batch`."""

    model: Annotated[str, Field(description="Name of the bundle that answered.")]
    version: Annotated[str, Field(description="Its version.")]
    results: Annotated[
        list[Result | Failure], Field(description="One for each text, in the order sent.")
    ]


class Model(TypedDict):
    """What is known of a bundle."""

    name: Annotated[str, Field(description="Its name in requests.")]
    version: Annotated[str, Field(description="Its version.")]
    labels: Annotated[list[str], Field(description="The labels it knows.")]
    max_tokens: Annotated[int, Field(description="Tokens of a text that it reads.")]
    min_confidence: Annotated[
        float | None, Field(description="Below this probability it gives no label; null: never.")
    ]
    sha256: Annotated[dict[str, str], Field(description="Hashes of its files, by name.")]
    scores: Annotated[dict[str, Any], Field(description="How it did on data held out.")]
    training: Annotated[dict[str, Any], Field(description="What it was trained on.")]
    provider: Annotated[str, Field(description="The onnxruntime provider that really runs it.")]


class Models(TypedDict):
    """The bundles that are served."""

    default: Annotated[
        str | None, Field(description="Answers when a request names none; null: it must name one.")
    ]
    models: Annotated[list[Model], Field(description="All of them.")]


class Status(TypedDict):
    """Health or readiness."""

    status: Annotated[Literal["ok", "ready"], Field(description="Why not is told by a 503.")]
