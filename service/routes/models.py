"""The routes that describe the models, and the choice of a request's model."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from heed.model.inference import OnnxClassifier
from heed.service.errors import Invalid, UnknownModel
from heed.service.http import EXAMPLE_MODEL, JsonResponse, Model, Models, route_docs
from heed.service.inference import Engine

router = APIRouter(tags=["models"])


EXAMPLES = {"default": "sentiment", "models": [EXAMPLE_MODEL]}


@router.get(
    "/models", **route_docs("The models that are served", Models, EXAMPLES, errors=(401, 500))
)
async def list_models(request: Request) -> Response:
    """Every bundle, and the default for requests that name none."""
    engine: Engine = request.app.state.service.engine
    models = [_describe(model) for model in engine.models.values()]
    return JsonResponse({"default": engine.default, "models": models})


@router.get(
    "/models/{name}", **route_docs("One model", Model, EXAMPLE_MODEL, errors=(401, 404, 500))
)
async def get_model(
    request: Request,
    name: Annotated[str, Path(description="Name of a bundle.", examples=["sentiment"])],
) -> Response:
    """The configuration, scores and provider of one bundle."""
    return JsonResponse(_describe(select_model(request.app.state.service.engine, name)))


def select_model(engine: Engine, name: str | None) -> OnnxClassifier:
    """Return the model of that name, or the default; raises `Invalid` or `UnknownModel`."""
    name = engine.default if name is None else name
    if name in engine.models:
        return engine.models[name]
    names = ", ".join(engine.models)
    if name is None:
        raise Invalid([(["body", "model"], f"there is no default model; name one of {names}")])
    raise UnknownModel(f"there is no model {name[:100]!r}; choose one of {names}")


def _describe(model: OnnxClassifier) -> dict[str, Any]:
    fields = set(Model.__annotations__) - {"provider"}
    return model.config.model_dump(mode="json", include=fields) | {"provider": model.provider}
