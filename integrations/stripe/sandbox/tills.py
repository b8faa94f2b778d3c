"""Where people and banks act on payments, under `/_sandbox/`: the page of a Checkout session, refunds and disputes."""

import html
from typing import Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from integrations.stripe.sandbox import checkout, refunds
from integrations.stripe.sandbox.account import Account
from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.checkout import Outcome
from integrations.stripe.sandbox.control import Order
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.refunds import DisputeStatus

PAGE = """<!doctype html><meta charset="utf-8"><title>Checkout</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 28rem; margin: 4rem auto; padding: 0 1rem }}
button {{ display: block; width: 100%; padding: .6rem; margin: .5rem 0; font: inherit }}</style>
<h1>{amount} {currency}</h1><p>{note}</p>
<form method="post"><button name="outcome" value="pay">Pay</button>
<button name="outcome" value="fail">Pay with a card that is declined</button>
<button name="outcome" value="async">Pay by a bank that takes its time</button></form>
<p><a href="{cancel_url}">Cancel</a></p>"""


class PayOrder(Order):
    outcome: Outcome


class DisputeOrder(Order):
    status: Literal["opened", "inquired"] | DisputeStatus
    amount: int | None = Field(default=None, ge=1)


T = TypeVar("T", bound=Order)


class Tills:
    """What a person does in a browser, and a test by JSON."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        return [
            Route("/_sandbox/checkout/{id}", self.page, methods=["GET"]),
            Route("/_sandbox/checkout/{id}", self.pay, methods=["POST"]),
            Route("/_sandbox/charges/{id}/dispute", self.dispute, methods=["POST"]),
            Route("/_sandbox/refunds/{id}/fail", self.fail_refund, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """A small page to pay or cancel on."""
        session = self._books.get("checkout.session", request.path_params["id"])
        note = "The amount is in minor units. No money moves here."
        return HTMLResponse(_page(session, note if session["status"] == "open" else f"This is {session['status']}."))

    async def pay(self, request: Request) -> Response:
        """By JSON `{"outcome": …}`, or by the page's form, which then leads back to the shop."""
        session = self._books.get("checkout.session", request.path_params["id"])
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            checkout.act(self._books, session, (await _read(request, PayOrder)).outcome)
            return JSONResponse(self._books.shown(session))
        form = dict(parse_qsl((await request.body()).decode()))
        checkout.act(self._books, session, _checked(PayOrder, form).outcome)
        if session["status"] == "open":
            return HTMLResponse(_page(session, "The card was declined. Try another one."))
        address = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
        return RedirectResponse(address, status_code=303)

    async def dispute(self, request: Request) -> Response:
        """A bank opens a dispute of a charge, or decides the one that there is."""
        order = await _read(request, DisputeOrder)
        charge = self._books.get("charge", request.path_params["id"])
        if order.status == "opened" or order.status == "inquired":
            is_inquiry = order.status == "inquired"
            opened = refunds.open_dispute(self._books, charge, order.amount, is_inquiry=is_inquiry)
            return JSONResponse(self._books.shown(opened))
        found = self._books.all("dispute", charge=charge["id"])
        if not found:
            raise StripeFailure("the charge is not disputed")
        refunds.decide_dispute(self._books, found[0], order.status)
        return JSONResponse(self._books.shown(found[0]))

    async def fail_refund(self, request: Request) -> Response:
        """The bank sends a refund back."""
        refund = self._books.get("refund", request.path_params["id"])
        refunds.fail_refund(self._books, refund)
        return JSONResponse(self._books.shown(refund))

    @property
    def _books(self) -> Books:
        return self._account.books


def _page(session: Object, note: str) -> str:
    return PAGE.format(
        amount=session["amount_total"],
        currency=html.escape(session["currency"].upper()),
        note=html.escape(note),
        cancel_url=html.escape(session["cancel_url"] or session["success_url"], quote=True),
    )


async def _read(request: Request, model: type[T]) -> T:
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise StripeFailure(str(error)) from None


def _checked(model: type[T], form: dict[str, str]) -> T:
    try:
        return model.model_validate(form)
    except ValidationError as error:
        raise StripeFailure(str(error)) from None
