"""SignNow's three ways to say no. Where its code for a case is not known, the code is 0."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

UNKNOWN_CODE: Final = 0
NOT_FOUND: Final = 65582
INVALID_EMAIL: Final = 65585


class Refusal(Exception):
    """An answer that ends a call early."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body

    @property
    def message(self) -> str:
        """Its words, for a page."""
        errors = self.body.get("errors")
        return str(errors[0]["message"] if errors else self.body.get("error", ""))


class NoRoute(Exception):
    """A path that SignNow does not know; an id of another shape is one too."""


def auth_refusal(error: str) -> Refusal:
    """Who you are is not accepted. SignNow uses one code for several errors, and HTTP 400 for all."""
    return Refusal(400, {"error": error, "code": 1537})


def refusal(message: str, code: int = UNKNOWN_CODE, status: int = 400) -> Refusal:
    """What you ask for is not accepted."""
    return Refusal(status, {"errors": [{"code": code, "message": message}]})


def not_found(what: str) -> Refusal:
    """An id of the right shape that is nobody's or somebody else's."""
    return refusal(f"unable to find {what}", NOT_FOUND)


async def answer_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - it is registered for this class alone
    return JSONResponse(error.body, error.status)


async def answer_no_route(request: Request, error: Exception) -> Response:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).lstrip("/")
    return JSONResponse({"404": f"Unable to find a route to match the URI: {path}"}, 404)


HANDLERS: Final = {Refusal: answer_refusal, NoRoute: answer_no_route, HTTPException: answer_no_route}
