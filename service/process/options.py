"""The options of `heed serve`, made from the settings so that each is declared once."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from heed.service.settings import Settings, flag, variable

REPEATED = ("allow_origin", "trusted_proxies")
"""Options that may be given more than once."""


def settings_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command that takes `**flags` one option for each setting.

    The options are plain text. `Settings` converts and checks them, and its errors name the flag.
    """
    parameters = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f" [default: {field.default}]"
        text = f"{field.description}{default} [env: {variable(name)}]"
        option = typer.Option(flag(name), help=text, show_default=False, metavar="VALUE")
        kind: Any = list[str] | None if name in REPEATED else str | None
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind, option],
            )
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
