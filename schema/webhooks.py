"""Webhooks as mutations: the same door as the HTTP routes."""

import strawberry
from strawberry import relay

from schema.refusals import UserError


@strawberry.input(description="A delivery, exactly as it was sent.")
class ReceiveWebhookInput:
    payload: str = strawberry.field(description="The raw body, byte for byte.")
    signature: str = strawberry.field(description="The header `Stripe-Signature` or `X-SignNow-Signature`.")


@strawberry.type(description="A delivery that was verified and stored. It is applied after this answer.")
class WebhookReceipt:
    event_id: relay.GlobalID = strawberry.field(description="Under which it is stored.")
    is_duplicate: bool = strawberry.field(description="Whether it was stored before; then nothing more happens.")


@strawberry.type(description="What became of a delivery.")
class ReceiveWebhookPayload:
    receipt: WebhookReceipt | None = strawberry.field(default=None, description="That it was stored.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was rejected.")
