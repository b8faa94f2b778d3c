"""A path of Stripe's API: what it accepts and who answers."""

from collections.abc import Callable
from typing import Any, NamedTuple

from integrations.stripe.sandbox.books import Object
from integrations.stripe.sandbox.forms import Params


class Endpoint(NamedTuple):
    """`handle(books, params)` answers a collection, `handle(books, params, id)` one object of it."""

    method: str
    path: str
    params: type[Params]
    handle: Callable[..., Object]

    def answer(self, books: Any, params: Params, object_id: str | None) -> Object:
        return self.handle(books, params) if object_id is None else self.handle(books, params, object_id)
