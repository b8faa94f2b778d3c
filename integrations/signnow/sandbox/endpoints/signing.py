"""The page behind a signing link: a person signs or declines. Its looks are the sandbox's own."""

from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from integrations.signnow.sandbox.links import SigningLink
from integrations.signnow.sandbox.multipart import read_form
from integrations.signnow.sandbox.refusals import Refusal
from integrations.signnow.sandbox.world import World

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:16px/1.5 system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem}}
button,input{{font:inherit;padding:.5rem 1rem;margin:.25rem 0}}</style><h1>{title}</h1>{body}</html>"""


async def show(request: Request) -> Response:
    """What is to be signed, and by whom."""
    world, link = _open(request)
    if link is None:
        return _page("This link has expired", "<p>Ask for a new one.</p>", 403)
    name = escape(world.documents[link.document_id].name)
    who = f"<p>As {escape(link.email)}.</p>" if link.email else '<p><input name="email" placeholder="Your e-mail"></p>'
    buttons = '<button name="do" value="sign">Sign</button> <button name="do" value="decline">Decline</button>'
    return _page(name, f'<form method="post">{who}{buttons}</form>')


async def act(request: Request) -> Response:
    """Sign or decline, then go where the invite's sender wants the signer to be."""
    world, link = _open(request)
    if link is None:
        return _page("This link has expired", "<p>Ask for a new one.</p>", 403)
    form, document = (await read_form(request)).texts, world.documents[link.document_id]
    email, url = link.email or form.get("email", ""), str(request.base_url).rstrip("/")
    invite = next((sent for sent in document.field_invites if sent.email == email), None)
    try:
        if form.get("do") == "decline":
            world.decline(document, email, form.get("reason") or "no reason given", url)
            return _page("Declined", "<p>The sender will be told.</p>")
        world.sign(document, email, url)
    except Refusal as refusal:
        return _page("This cannot be signed", f"<p>{escape(refusal.message)}</p>", refusal.status)
    if invite is not None and invite.redirect_uri:
        query = urlencode({"document_id": document.id, "signer": email})
        return RedirectResponse(f"{invite.redirect_uri}{'&' if '?' in invite.redirect_uri else '?'}{query}", 303)
    return _page("Signed", "<p>Thank you. You may close this page.</p>")


async def ask_for_consent(request: Request) -> Response:
    """SignNow's consent page: who is logged in there lets the application act for them."""
    query = request.query_params
    who = '<p><input name="email" placeholder="Your SignNow e-mail"></p><button>Allow</button>'
    return _page("Let this application sign for you?", f'<form method="post">{who}</form>', 200 if query else 400)


async def consent(request: Request) -> Response:
    """Back to the application with a code."""
    world: World = request.app.state.world
    try:
        code = world.accounts.consent((await read_form(request)).texts.get("email", ""))
    except Refusal as refusal:
        return _page("This user is not known", f"<p>{escape(refusal.message)}</p>", refusal.status)
    back, state = request.query_params.get("redirect_uri", ""), request.query_params.get("state")
    query = urlencode({"code": code, **({"state": state} if state else {})})
    return RedirectResponse(f"{back}{'&' if '?' in back else '?'}{query}", 303)


def _open(request: Request) -> tuple[World, SigningLink | None]:
    """The world, and the link if it is one that still opens that document."""
    world: World = request.app.state.world
    link = world.signing_links.get(request.query_params.get("access_token", ""))
    is_good = (
        link is not None
        and link.document_id == request.path_params["document_id"]
        and link.document_id in world.documents
        and (link.expires_at is None or link.expires_at > world.clock.now())
    )
    return world, link if is_good else None


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), status)


_PATH = "/webapp/document/{document_id}"

ROUTES = [
    Route(_PATH, show, methods=["GET"]),
    Route(_PATH, act, methods=["POST"]),
    Route("/authorize", ask_for_consent, methods=["GET"]),
    Route("/authorize", consent, methods=["POST"]),
]
