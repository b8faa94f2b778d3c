"""A post office between the sandboxes and the processes that live and die: it keeps webhooks until somebody takes them.

Whoever is killed before confirming a delivery gets it again, or somebody else does. Some are handed out
twice, some late, in any order, and some are lost for good.
"""

import random
from dataclasses import dataclass, field

import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from integrations.signnow.webhooks import sign
from tests.crash.places import SIGNNOW_SECRET, STRIPE_SECRET
from tests.month.deeds import Deed


@dataclass(slots=True)
class Office:
    """`loss` is the share of what is lost. `somebody` is any tenant's reference: a delivery belongs to none."""

    dice: random.Random
    somebody: str
    loss: float = 0.1
    is_refusing: bool = False
    """Whether it answers 404 and keeps nothing, so that the sender may end its subscription."""
    waiting: list[Deed] = field(default_factory=list)
    count: int = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/webhooks/{source}", self._take_in, methods=["POST"])])

    async def _take_in(self, request: Request) -> Response:
        payload = await request.body()
        if self.is_refusing:
            return Response(status_code=404)
        for _ in range(self.dice.choice((1, 1, 2))):
            if self.dice.random() >= self.loss:
                self.count += 1
                args = {"source": request.path_params["source"], "payload": payload}
                self.waiting.append(Deed(f"delivery-{self.count}", self.somebody, "deliver", args))
        return Response(status_code=200)

    def hand_out(self, share: float) -> list[Deed]:
        """About that share of what waits, signed now, in any order; it waits until it is confirmed."""
        taken = [self._signed(deed) for deed in self.waiting if self.dice.random() < share]
        self.dice.shuffle(taken)
        return taken

    def _signed(self, deed: Deed) -> Deed:
        payload = deed.args["payload"]
        if deed.args["source"] == "stripe":
            signature = stripe.WebhookSignature.generate_signature_header(payload.decode(), STRIPE_SECRET)
        else:
            signature = sign(payload, SIGNNOW_SECRET)
        return Deed(deed.key, deed.tenant, deed.kind, {**deed.args, "signature": signature})

    def confirm(self, key: str) -> None:
        self.waiting = [deed for deed in self.waiting if deed.key != key]
