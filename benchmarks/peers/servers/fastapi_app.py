"""Plain FastAPI: typed bodies, a sync route, as its tutorial writes it. Run by `uvicorn`.

https://fastapi.tiangolo.com/tutorial/body/ and /tutorial/response-model/.
"""

from typing import Any

from fastapi import FastAPI
from predict import Predictor
from pydantic import BaseModel


class Request(BaseModel):
    """The request body."""

    text: str


class Token(BaseModel):
    """One token and its weight."""

    text: str
    start: int
    end: int
    attention: float


class Answer(BaseModel):
    """The response body."""

    label: str
    probabilities: dict[str, float]
    tokens: list[Token]


app = FastAPI()
predictor = Predictor()


@app.post("/classify")
def classify(request: Request) -> Answer:
    """Classify one text."""
    answer: dict[str, Any] = predictor.predict([request.text])[0]
    return Answer(**answer)
