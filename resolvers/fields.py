"""Queries and mutations as resolvers declare them.

Mutations answer refusals in their payload: nothing that a caller can act on ends up in `errors`.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints

import strawberry

from inkmeter.errors import Refused, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from schema.refusals import user_error

P = ParamSpec("P")
Payload = TypeVar("Payload")


def query(description: str, *, name: str | None = None) -> Callable[[Callable[..., Any]], Any]:
    """A field of the root that only reads."""

    def decorate(resolver: Callable[..., Any]) -> Any:
        return strawberry.field(resolver, name=name, description=description)

    return decorate


def mutation(description: str, *, name: str | None = None) -> Callable[[Callable[P, Awaitable[Payload]]], Any]:
    """A mutation whose payload has `userErrors`: whatever is refused inside is answered there, typed."""

    def decorate(resolver: Callable[P, Awaitable[Payload]]) -> Any:
        payload = get_type_hints(resolver)["return"]

        @functools.wraps(resolver)
        async def answer(*args: P.args, **kwargs: P.kwargs) -> Payload:
            try:
                return await resolver(*args, **kwargs)
            except Refused as refusal:
                refused = refusal
            except UpstreamError as error:
                did = "it may have happened" if isinstance(error, UpstreamTimeout) else "nothing happened"
                refused = UpstreamUnavailable(f"{error.message} ({did}); try again with the same input")
            made: Payload = payload(user_errors=[user_error(refused)])
            return made

        return strawberry.mutation(answer, name=name, description=description)

    return decorate
