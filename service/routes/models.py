"""The routes that describe the models, and the choice of a request's model."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from heed.model.inference import OnnxClassifier
from heed.service.errors import Invalid, UnknownModel
from heed.service.http import EXAMPLE_MODEL, JsonResponse, Model, Models, route_docs
from heed.service.inference import Engine
from heed.service.state import Service

router = APIRouter(tags=["models"])


EXAMPLES = {"default": "sentiment", "models": [EXAMPLE_MODEL]}


@router.get(
    "/models", **route_docs("The models that are served", Models, EXAMPLES, errors=(401, 500))
)
async def list_models(request: Request) -> Response:
    """Every bundle, and the default for requests that name none."""
    service: Service = request.app.state.service
    engine = service.engine
    models = [_describe(service, model) for model in engine.models.versions.values()]
    return JsonResponse({"default": engine.default, "models": models})


@router.get(
    "/models/{name}", **route_docs("One model", Model, EXAMPLE_MODEL, errors=(401, 404, 500))
)
async def get_model(
    request: Request,
    name: Annotated[str, Path(description="Name of a bundle.", examples=["sentiment"])],
) -> Response:
    """The configuration, scores and provider of one bundle."""
    service: Service = request.app.state.service
    return JsonResponse(_describe(service, select_model(service.engine, name)))


def select_model(engine: Engine, name: str | None) -> OnnxClassifier:
    """Return the model of that name, or the default; raises `Invalid` or `UnknownModel`."""
    name = engine.default if name is None else name
    if name is not None and name in engine.models:
        return engine.models[name]
    if not engine.models:
        raise UnknownModel("no bundle is served at present")
    names = ", ".join(engine.models)
    if name is None:
        raise Invalid([(["body", "model"], f"there is no default model; name one of {names}")])
    raise UnknownModel(f"there is no model {name[:100]!r}; choose one of {names}")


def _describe(service: Service, model: OnnxClassifier) -> dict[str, Any]:
    config = model.config
    fields = set(Model.__annotations__) - {"provider", "reload_error"}
    answer = config.model_dump(mode="json", include=fields) | {"provider": model.provider}
    error = service.reload_errors.get(f"{config.name}@{config.version}")
    return answer if error is None else answer | {"reload_error": error}
