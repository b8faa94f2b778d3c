"""What lies between Stripe and Inkmeter in the year: a postman who hands on what he likes, and calls that fail."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.services.steps import fault
from tests.world import World

DOOR = "/webhooks/stripe"


@dataclass(slots=True)
class Letter:
    body: bytes
    headers: dict[str, str]
    due_at: datetime


@dataclass(slots=True)
class Postman:
    """Answers each delivery of Stripe's at once and keeps it; hands on what is due, doubled and shuffled.

    `late` is the most that a delivery waits.
    """

    dice: random.Random
    now: Callable[[], datetime] | None = None
    late: timedelta = timedelta()
    kept: list[Letter] = field(default_factory=list)
    _app: ASGIApp | None = None

    def stand_before(self, app: ASGIApp) -> ASGIApp:
        self._app = app

        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != DOOR or self.now is None:
                await app(scope, receive, send)
                return
            request = Request(scope, receive)
            wait = self.late * self.dice.random() if self.dice.random() < 0.3 else timedelta()
            self.kept.append(Letter(await request.body(), dict(request.headers), self.now() + wait))
            await Response()(scope, receive, send)

        return door

    async def deliver(self) -> int:
        assert self._app is not None
        assert self.now is not None
        due = [letter for letter in self.kept if letter.due_at <= self.now()]
        if not due:
            return 0
        self.kept = [letter for letter in self.kept if letter.due_at > self.now()]
        twice = [*due, *due]
        self.dice.shuffle(twice)
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://inkmeter.test") as client:
            for letter in twice:
                (await client.post(DOOR, content=letter.body, headers=letter.headers)).raise_for_status()
        return len(twice)


async def trouble(world: World, dice: random.Random) -> None:
    """Some of the next calls to Stripe fail, and some webhooks are lost."""
    for _ in range(dice.choice((0, 1, 1, 2))):
        kind = dice.choice(("500", "500_remembered", "429", "409", "timeout_before", "timeout_after"))
        await fault(world.stripe, kind, dice.randint(1, 3), on="/v1/", method=dice.choice(("POST", "GET")))
    await disturb(world, drop=dice.choice((0, 0, 0, 1, 2)))


async def disturb(world: World, **order: Any) -> None:
    (await world.stripe.post("/_sandbox/webhooks", json=order)).raise_for_status()
