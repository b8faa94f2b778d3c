"""Webhooks as mutations: authenticated by their signature alone, through the same door as the HTTP routes."""

from resolvers.context import Info
from resolvers.fields import mutation
from schema import webhooks as types
from schema.nodes import global_id
from services import webhooks
from services.webhooks import Receipt


@mutation("Take in a delivery of Stripe. No API key is needed: the signature says who sent it.")
async def receive_stripe_webhook(info: Info, input: types.ReceiveWebhookInput) -> types.ReceiveWebhookPayload:
    received = await webhooks.receive_stripe(info.context.platform, _raw(input), input.signature)
    return types.ReceiveWebhookPayload(receipt=receipt_type(received))


@mutation(
    "Take in a delivery of SignNow. No API key is needed: the signature says who sent it.",
    name="receiveSignNowWebhook",
)
async def receive_signnow_webhook(info: Info, input: types.ReceiveWebhookInput) -> types.ReceiveWebhookPayload:
    received = await webhooks.receive_signnow(info.context.platform, _raw(input), input.signature)
    return types.ReceiveWebhookPayload(receipt=receipt_type(received))


def _raw(input: types.ReceiveWebhookInput) -> bytes:
    # A lone surrogate is no UTF-8 and so cannot have been signed: as "?" it fails the signature check.
    return input.payload.encode("utf-8", "replace")


def receipt_type(receipt: Receipt) -> types.WebhookReceipt:
    """What became of a delivery, as the API shows it."""
    return types.WebhookReceipt(event_id=global_id("WebhookEvent", receipt.event_id), is_duplicate=not receipt.is_new)
