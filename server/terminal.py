"""What every command of the command line is made of: where it prints, how it fails, and the platform it works on."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from strawberry import relay

from inkmeter.errors import InkmeterError, InvalidConfig, InvalidInput
from server.settings import Settings
from server.wiring import open_platform
from services.platform import Platform

out = Console(width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True)
T = TypeVar("T")


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """One clear line on stderr and status 1 for everything that the caller can mend."""
    try:
        yield
    except (InvalidConfig, InvalidInput) as refusal:
        for problem in refusal.problems:
            err.print(
                f"inkmeter: {'.'.join(problem.path)}: {problem.message}", style="red", markup=False, soft_wrap=True
            )
        raise typer.Exit(1) from None
    except InkmeterError as error:
        fail(error.message)


def fail(message: str) -> NoReturn:
    """One clear line on stderr, and status 1."""
    complain(message)
    raise typer.Exit(1)


def complain(message: str) -> None:
    """One clear line on stderr."""
    err.print(f"inkmeter: {message}", style="red", markup=False, soft_wrap=True)


def with_platform(work: Callable[[Platform], Awaitable[T]]) -> T:
    """Run something on the platform that the settings describe."""

    async def run() -> T:
        async with open_platform(Settings.load()) as platform:
            return await work(platform)

    with clear_errors():
        return asyncio.run(run())


def tenant_uuid(text: str) -> UUID:
    """Read a global id or a bare UUID."""
    with contextlib.suppress(ValueError):
        return UUID(text)
    with contextlib.suppress(ValueError):
        parsed = relay.GlobalID.from_id(text)
        if parsed.type_name == "Tenant":
            return UUID(parsed.node_id)
    return fail(f"{text!r} is not a tenant's id")
