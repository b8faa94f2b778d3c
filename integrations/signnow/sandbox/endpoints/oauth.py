"""`/oauth2`: tokens in exchange for a password, a refresh token or a user's consent."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.signnow.sandbox.accounts import Token
from integrations.signnow.sandbox.calls import Call, bearer, read_bearer, read_client
from integrations.signnow.sandbox.multipart import read_form
from integrations.signnow.sandbox.refusals import auth_refusal
from integrations.signnow.sandbox.world import World


async def grant_token(request: Request) -> Response:
    """The client may be in HTTP Basic or in the form: SignNow's own clients do both."""
    world: World = request.app.state.world
    form = (await read_form(request)).texts
    client = read_client(request) or (form.get("client_id", ""), form.get("client_secret", ""))
    world.accounts.check_client(*client)
    now = world.clock.now()
    token = _grant(world, form)
    return JSONResponse(
        {
            "expires_in": token.seconds_left(now),
            "token_type": "bearer",
            "access_token": token.access,
            "refresh_token": token.refresh,
            "scope": form.get("scope") or "*",
            "last_login": 1,
        }
    )


def _grant(world: World, form: Mapping[str, str]) -> Token:
    now = world.clock.now()
    match form:
        case {"grant_type": "password", "username": username, "password": password}:
            return world.accounts.log_in(username, password, now)
        case {"grant_type": "refresh_token", "refresh_token": refresh_token}:
            return world.accounts.refresh(refresh_token, now)
        case {"grant_type": "authorization_code", "code": code}:
            return world.accounts.redeem(code, now)
        case _:
            raise auth_refusal("invalid_request")


async def show_token(call: Call) -> Response:
    token = call.world.accounts.tokens[read_bearer(call.request)]
    left = str(token.seconds_left(call.now))
    return JSONResponse({"access_token": token.access, "scope": "*", "expires_in": left, "token_type": "bearer"})


async def terminate_token(call: Call) -> Response:
    call.world.accounts.terminate(read_bearer(call.request))
    return Response(status_code=204)


ROUTES = [
    Route("/oauth2/token", grant_token, methods=["POST"]),
    bearer("GET", "/oauth2/token", show_token),
    bearer("POST", "/oauth2/terminate", terminate_token),
]
