"""`heed serve`'s options, made from the settings so that each is declared once."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from heed.service.settings import Settings, flag


def settings_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command that takes `**flags` one option for every setting.

    The options are plain text: `Settings` converts and checks them, and its errors name the flag.
    """
    parameters = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name)
        )
        for name in Settings.model_fields
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _option(name: str) -> Any:
    field = Settings.model_fields[name]
    default = "" if field.default is None else f" [default: {field.default}]"
    text = f"{field.description}{default} [env: HEED_{name.upper()}]"
    return Annotated[
        str | None, typer.Option(flag(name), help=text, show_default=False, metavar="VALUE")
    ]
