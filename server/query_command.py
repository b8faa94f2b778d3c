"""The command `query`: the whole API from the command line, as the operator, without a server."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import typer
from strawberry.types import ExecutionResult

from resolvers.context import Context
from server.asgi import graphql_schema
from server.terminal import fail, with_platform
from services.keys import Role, Viewer
from services.platform import Platform

query_app = typer.Typer()

OPERATOR: Final = Viewer(UUID(int=0), Role.OPERATOR, None)
"""Whoever can read the settings can make an operator's key as well."""


@query_app.command("query")
def query(
    document: Annotated[str, typer.Argument(help="A GraphQL document, @FILE, or - to read it from stdin.")],
    variables: Annotated[str, typer.Option(help="Its variables as a JSON object, or @FILE.")] = "{}",
) -> None:
    """Run a query or mutation as the operator, on the database of the settings, and print the answer as JSON."""
    text, given = _read(document), _variables(_read(variables))

    async def run(platform: Platform) -> ExecutionResult:
        return await graphql_schema().execute(text, variable_values=given, context_value=Context(platform, OPERATOR))

    result = with_platform(run)
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    sys.stdout.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode() + "\n")
    if result.errors or any(isinstance(p, dict) and p.get("userErrors") for p in (result.data or {}).values()):
        raise typer.Exit(1)


def _read(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return fail(f"{text[1:]} cannot be read: {error}")


def _variables(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fail(f"the variables are not JSON: {error}")
    return value if isinstance(value, dict) else fail("the variables are a JSON object")
