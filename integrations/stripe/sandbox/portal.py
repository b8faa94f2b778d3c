"""The customer portal: sessions, and the page that they lead to."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from integrations.stripe.sandbox.account import Account
from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import missing
from integrations.stripe.sandbox.forms import Params


class CreateSession(Params):
    customer: str
    return_url: str | None = None


def create_session(books: Books, params: CreateSession) -> Object:
    """The address leads to a page of the sandbox's own, on the host that answered."""
    customer = books.get("customer", params.customer, "customer")
    session = books.new(
        "billing_portal.session",
        configuration="bpc_sandbox",
        created=books.now(),
        customer=customer["id"],
        flow=None,
        locale=None,
        on_behalf_of=None,
        return_url=params.return_url,
    )
    session["url"] = f"https://billing.sandbox.invalid/_sandbox/portal/{session['id']}"
    return books.shown(session)


def page(account: Account) -> Route:
    """A customer's invoices, and the way back: as much of a portal as a test needs."""

    async def show(request: Request) -> Response:
        books = account.books
        session = books.tables["billing_portal.session"].get(request.path_params["id"])
        if session is None:
            raise missing("billing_portal.session", request.path_params["id"], "id")
        rows = "".join(
            f"<li>{escape(str(i['number']))}: {i['total']} {i['currency']}, {i['status']}</li>"
            for i in books.all("invoice", customer=session["customer"])
            if i["status"] != "draft"
        )
        back = escape(session["return_url"] or "/", quote=True)
        return HTMLResponse(f'<h1>Billing</h1><ul>{rows}</ul><a href="{back}">Back</a>')

    return Route("/_sandbox/portal/{id}", show)


ENDPOINTS = (Endpoint("POST", "/v1/billing_portal/sessions", CreateSession, create_session),)
