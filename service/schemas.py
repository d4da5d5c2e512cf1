"""What goes over the wire. Requests are strict: unknown fields and wrong types are refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from model.classifier import Explain

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
EXAMPLE_TEXT = "A gripping, beautifully shot film."


class Options(BaseModel):
    """How a text is to be classified."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str | None = Field(None, description="Name of the bundle; the default model when left out.")
    explain: Explain = Field(
        "attention",
        description="Reasons to give: none; attention (where the model looked); or contributions "
        "(what moved the score) beside it.",
    )
    explain_label: str | None = Field(
        None, description="Whose contributions; the most probable label's when left out."
    )
    unit: Literal["token", "word"] = Field(
        "token", description="Reasons for each token, or summed for each word."
    )
    truncate: bool = Field(
        True, description="Read the first `max_tokens` tokens of a longer text; false: refuse it with 422."
    )
    top_k: Annotated[int, Field(ge=1)] | None = Field(
        None, description="That many most probable labels in `probabilities`; all when left out."
    )
    min_confidence: Probability | None = Field(
        None, description="Below this probability `label` is null; the bundle's own when left out."
    )


class ClassifyRequest(Options):
    """One text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": EXAMPLE_TEXT, "explain": "contributions", "unit": "word"}]}
    )

    text: StrictStr = Field(description="The text, with at least one visible character.")


class BatchRequest(Options):
    """Several texts, under the same options."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"texts": [EXAMPLE_TEXT, "Two hours that I will not get back."]}]}
    )

    texts: Annotated[list[StrictStr], Field(min_length=1)] = Field(
        description="At least one text, at most --max-texts; each with a visible character."
    )


class Token(BaseModel):
    """A token, or a word, of the text and what it counted."""

    text: str = Field(description="The slice of the text as sent, from start to end.")
    start: int = Field(description="First Unicode code point.")
    end: int = Field(description="One past the last code point.")
    attention: float = Field(description="Share of the model's look; sums to 1 over the text's tokens.")
    contribution: float | None = Field(
        None, description="Signed share of the logit; only with explain = contributions."
    )


class Answer(BaseModel):
    """The answer for one text. Fields that were not asked for are left out."""

    label: str | None = Field(description="The most probable label, or null below min_confidence.")
    probabilities: dict[str, Probability] = Field(
        description="softmax(logits / temperature), most probable first."
    )
    tokens: list[Token] | None = Field(None, description="Reasons; left out with explain = none.")
    truncated: bool = Field(description="Whether only the first `max_tokens` tokens were read.")
    explain_label: str | None = Field(None, description="The label that the contributions speak of.")
    logit: float | None = Field(None, description="Its logit: bias + sum of the contributions.")
    bias: float | None = Field(None, description="The constant part of its logit.")


class ClassifyResponse(Answer):
    """Answer of `POST /classify`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "sentiment",
                    "version": "1.0.0",
                    "label": "positive",
                    "probabilities": {"positive": 0.988, "negative": 0.012},
                    "tokens": [{"text": "gripping", "start": 2, "end": 10, "attention": 0.42}],
                    "truncated": False,
                }
            ]
        }
    )

    model: str = Field(description="Name of the bundle that answered.")
    version: str = Field(description="Its version.")


class Problem(BaseModel):
    """An error (RFC 9457), sent as application/problem+json."""

    type: str = Field(description="A URN that names the kind of error.")
    title: str = Field(description="The kind of error in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong here and how to mend it.")


class Place(BaseModel):
    """One fault of an invalid request."""

    loc: list[str | int] = Field(description="Where in the request it is.")
    msg: str = Field(description="What is wrong with it.")


class InvalidProblem(Problem):
    """A 422, with every fault's place."""

    errors: list[Place] = Field(description="The faults.")


class FailedAnswer(BaseModel):
    """Stands in the place of a text whose inference failed."""

    error: Problem = Field(description="Why this text has no answer; its neighbours have theirs.")


class BatchResponse(BaseModel):
    """Answer of `POST /classify/batch`: one result for each text, in order."""

    model: str = Field(description="Name of the bundle that answered.")
    version: str = Field(description="Its version.")
    results: list[Answer | FailedAnswer] = Field(description="In the order of the texts.")


class Model(BaseModel):
    """What is known of a bundle."""

    name: str = Field(description="Its name in requests.")
    version: str = Field(description="Its version.")
    labels: list[str] = Field(description="The labels it knows.")
    max_tokens: int = Field(description="Tokens of a text that it reads.")
    min_confidence: float | None = Field(description="Below this probability it gives no label.")
    sha256: dict[str, str] = Field(description="Hashes of its files.")
    scores: dict[str, Any] = Field(description="How it did on data held out.")
    training: dict[str, Any] = Field(description="What it was trained on.")
    provider: str = Field(description="The onnxruntime provider that really runs it.")


class Models(BaseModel):
    """The bundles that are served."""

    default: str | None = Field(description="The one that answers when a request names none.")
    models: list[Model] = Field(description="All of them.")


class Status(BaseModel):
    """Health or readiness."""

    status: str = Field(description="ok or ready; else why not.")
