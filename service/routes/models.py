"""Which models are served: the routes that tell, and the choice that a request makes."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from heed.model.inference.classifier import OnnxClassifier
from heed.service.errors import Invalid, UnknownModel
from heed.service.http.exchange import Json
from heed.service.http.openapi import EXAMPLE_MODEL, GUARDED, answers, problems
from heed.service.http.schemas import Model, Models
from heed.service.inference.engine import Engine
from heed.service.state import Service

catalog = APIRouter(tags=["models"])


@catalog.get(
    "/models",
    summary="The models that are served",
    response_model=Models,
    responses=answers({"default": "sentiment", "models": [EXAMPLE_MODEL]}) | problems(401, 500),
    openapi_extra=GUARDED,
)
async def list_models(request: Request) -> Response:
    """Every bundle, and which one answers when a request names none."""
    engine = _engine(request)
    described = [describe(model) for model in engine.models.values()]
    return Json({"default": engine.default, "models": described})


@catalog.get(
    "/models/{name}",
    summary="One model",
    response_model=Model,
    responses=answers(EXAMPLE_MODEL) | problems(401, 404, 500),
    openapi_extra=GUARDED,
)
async def get_model(
    request: Request,
    name: Annotated[str, Path(description="Of a bundle.", examples=["sentiment"])],
) -> Response:
    """What is known of one bundle."""
    return Json(describe(find(_engine(request), name)))


def choose(engine: Engine, name: str | None) -> OnnxClassifier:
    """The model that a request names, or the default; raises `Invalid` or `UnknownModel`."""
    if name is not None:
        return find(engine, name)
    if engine.default is None:
        message = f"name one of {', '.join(engine.models)}: there is no default"
        raise Invalid([(["body", "model"], message)])
    return engine.models[engine.default]


def find(engine: Engine, name: str) -> OnnxClassifier:
    """The model of that name, or `UnknownModel`."""
    if name not in engine.models:
        raise UnknownModel(
            f"there is no model {name[:100]!r}; there are {', '.join(engine.models)}"
        )
    return engine.models[name]


def describe(model: OnnxClassifier) -> dict[str, Any]:
    """Tell a model in plain JSON values."""
    fields = set(Model.__annotations__) - {"provider"}
    config = model.config.model_dump(mode="json", include=fields)
    return config | {"provider": model.provider}


def _engine(request: Request) -> Engine:
    service: Service = request.app.state.service
    return service.engine
