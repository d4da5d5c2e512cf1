"""The help of the command and of its subcommands."""

import pytest
import typer

from heed.__main__ import app
from tests.support.command import heed

COMMANDS = ("serve", "train", "export", "evaluate", "classify")


def without_space(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_every_character_of_each_option(name: str) -> None:
    """Brackets included, which typer can read as markup."""
    shown = without_space(heed(name, "--help").stdout)
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert without_space(command.help.replace("\b", "")) in shown
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name} has no help"
        assert without_space(parameter.help) in shown


def test_the_help_lists_every_command() -> None:
    for shown in (heed("--help").stdout, heed().stdout):
        assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_the_help_of_a_setting_names_default_and_variable() -> None:
    shown = without_space(heed("serve", "--help").stdout)
    assert without_space("[default: 65536] [env: HEED_MAX_QUEUE]") in shown
