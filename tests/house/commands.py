"""The command line, as typer has built it."""

import typer.main
from typer.core import TyperCommand, TyperGroup

from server.cli import app


def commands() -> dict[str, TyperCommand]:
    """Every command by what one types."""
    found: dict[str, TyperCommand] = {}
    waiting = [("inkmeter", typer.main.get_command(app))]
    for name, command in waiting:
        if isinstance(command, TyperGroup):
            waiting += [(f"{name} {inner}", what) for inner, what in command.commands.items()]
        elif isinstance(command, TyperCommand):
            found[name] = command
    return found
