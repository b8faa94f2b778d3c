"""The control plane under `/_sandbox/`: time, cards, faults and disturbed webhooks. JSON, without a key."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.stripe.sandbox import collection
from integrations.stripe.sandbox.account import Account, Fault, FaultKind
from integrations.stripe.sandbox.books import RETRY_AFTER_DAYS, AfterRetries, Card
from integrations.stripe.sandbox.cards import set_card
from integrations.stripe.sandbox.cycles import resume
from integrations.stripe.sandbox.engine import catch_up
from integrations.stripe.sandbox.failures import StripeFailure


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TravelOrder(Order):
    now: AwareDatetime


class CardOrder(Order):
    card: Card
    declines: int = Field(default=0, ge=0)
    """How many charges are declined before the card is asked at all."""


class DunningOrder(Order):
    retry_days: tuple[int, ...] = RETRY_AFTER_DAYS
    after_retries: AfterRetries = "past_due"
    gives_up_invoices: bool = False


class ProblemOrder(Order):
    message: str


class FaultOrder(Order):
    kind: FaultKind
    times: int = Field(default=1, ge=1)
    method: str | None = None
    path_prefix: str = "/v1/"


class WebhookOrder(Order):
    duplicate: bool = False
    reorder: bool = False
    drop: int = Field(default=0, ge=0)
    at_once: int = Field(default=1, ge=1, le=100)


T = TypeVar("T", bound=Order)


class ControlPlane:
    """What a test or a demo may do to an account that Stripe's API does not offer."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        return [
            Route("/_sandbox/clock", self.clock, methods=["GET", "POST"]),
            Route("/_sandbox/tick", self.tick, methods=["POST"]),
            Route("/_sandbox/customers/{id}/card", self.card, methods=["POST"]),
            Route("/_sandbox/invoices/{id}/finalization_error", self.finalization_error, methods=["POST"]),
            Route("/_sandbox/dunning", self.dunning, methods=["POST"]),
            Route("/_sandbox/subscriptions/{id}/pause", self.pause, methods=["POST"]),
            Route("/_sandbox/subscriptions/{id}/resume", self.resume, methods=["POST"]),
            Route("/_sandbox/faults", self.faults, methods=["POST"]),
            Route("/_sandbox/webhooks", self.webhooks, methods=["POST"]),
            Route("/_sandbox/flush", self.flush, methods=["POST"]),
            Route("/_sandbox/books", self.books, methods=["GET"]),
            Route("/_sandbox/thin_events", self.thin_events, methods=["GET"]),
            Route("/_sandbox/reset", self.reset, methods=["POST"]),
        ]

    async def clock(self, request: Request) -> Response:
        """Say the time; travel there and let happen what is due by then."""
        if request.method == "POST":
            order = await read_order(request, TravelOrder)
            travel_to: Callable[[datetime], None] | None = getattr(self._account.clock, "travel_to", None)
            if travel_to is None:
                raise StripeFailure("this clock does not travel: move it where it lives, then tick")
            travel_to(order.now)
            self._pass_time()
        return self._present()

    async def tick(self, request: Request) -> Response:
        """Let happen what is due by now, for a clock that is moved elsewhere."""
        self._pass_time()
        return self._present()

    async def card(self, request: Request) -> Response:
        """Change a customer's card; with one that works, open invoices are charged at once."""
        order, books = await read_order(request, CardOrder), self._account.books
        customer = books.get("customer", request.path_params["id"])
        set_card(books, customer, order.card)
        books.declines[customer["id"]] = order.declines
        if order.card == "success" and not order.declines:
            for invoice in books.all("invoice", customer=customer["id"], status="open", attempted=True):
                collection.collect(books, invoice)
        return JSONResponse(books.shown(customer))

    async def finalization_error(self, request: Request) -> Response:
        """Let an invoice be one that Stripe could not finalize."""
        order, books = await read_order(request, ProblemOrder), self._account.books
        invoice = books.get("invoice", request.path_params["id"])
        invoice["last_finalization_error"] = {"type": "invalid_request_error", "message": order.message}
        books.emit("invoice.finalization_failed", invoice)
        return JSONResponse(books.shown(invoice))

    async def dunning(self, request: Request) -> Response:
        """How often a charge is retried, and what comes after the last retry: what Stripe's settings say."""
        order, books = await read_order(request, DunningOrder), self._account.books
        books.retry_days, books.after_retries = order.retry_days, order.after_retries
        books.gives_up_invoices = order.gives_up_invoices
        return JSONResponse(order.model_dump(mode="json"))

    async def pause(self, request: Request) -> Response:
        """Pause a subscription, as if in the Dashboard."""
        books = self._account.books
        subscription = books.get("subscription", request.path_params["id"])
        collection.pause_subscription(books, subscription, "pause_requested")
        return JSONResponse(books.shown(subscription))

    async def resume(self, request: Request) -> Response:
        """Let a paused subscription go on."""
        books = self._account.books
        subscription = books.get("subscription", request.path_params["id"])
        if subscription["status"] != "paused":
            raise StripeFailure("The subscription is not paused.")
        resume(books, subscription)
        return JSONResponse(books.shown(subscription))

    async def faults(self, request: Request) -> Response:
        """Let the next matching requests fail."""
        order = await read_order(request, FaultOrder)
        self._account.faults.append(Fault(order.kind, order.times, order.method, order.path_prefix))
        return JSONResponse({"faults": len(self._account.faults)})

    async def webhooks(self, request: Request) -> Response:
        """Disturb the deliveries from now on; an empty order calms them."""
        order, deliveries = await read_order(request, WebhookOrder), self._account.deliveries
        deliveries.duplicate, deliveries.reorder, deliveries.drop = order.duplicate, order.reorder, order.drop
        deliveries.at_once = order.at_once
        return JSONResponse(order.model_dump())

    async def flush(self, request: Request) -> Response:
        """Wait until all deliveries so far were attempted; names the events that are not confirmed."""
        await self._account.deliveries.flush()
        return JSONResponse({"undelivered": sorted(self._account.books.undelivered)})

    async def books(self, request: Request) -> Response:
        """All objects, by kind."""
        books = self._account.books
        return JSONResponse(
            {kind: [books.shown(stored) for stored in table.values()] for kind, table in books.tables.items()}
        )

    async def thin_events(self, request: Request) -> Response:
        """The ids of all thin events, oldest first."""
        return JSONResponse({"ids": list(self._account.books.thin_events)})

    async def reset(self, request: Request) -> Response:
        """Forget everything but the settings."""
        self._account.reset()
        return self._present()

    def _pass_time(self) -> None:
        catch_up(self._account.books)
        self._account.deliveries.wake()

    def _present(self) -> Response:
        return JSONResponse({"now": self._account.clock.now().isoformat()})


async def read_order(request: Request, model: type[T]) -> T:
    """What a request orders. Raises StripeFailure."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise StripeFailure(str(error)) from None
