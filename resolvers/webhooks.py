"""Webhooks as mutations, through the same door as the HTTP routes; and what became of them."""

from uuid import UUID

from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import require_operator
from schema import webhooks as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.nodes import global_id
from services import deliveries, webhooks
from services.deliveries import Delivery, WebhookSource, WebhookState
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


@query("Deliveries of Stripe and SignNow, in the order in which they came. Operator only.")
async def webhook_events(
    info: Info,
    state: types.StateFilter = None,
    source: types.SourceFilter = None,
    first: First = DEFAULT_PAGE,
    after: After = None,
) -> Connection[types.WebhookEvent]:
    require_operator(info)
    size = page_size(first)
    rows = await deliveries.list_webhooks(
        WebhookState[state.name] if state else None,
        WebhookSource[source.name] if source else None,
        decode_cursor(after, UUID),
        size + 1,
    )
    return page_of(rows, size, key=lambda row: str(row.event.id), node=event_type, after=after)


@mutation("Apply a delivery again, whatever became of it: what is done already stays done. Operator only.")
async def replay_webhook(info: Info, input: types.ReplayWebhookInput) -> types.ReplayWebhookPayload:
    require_operator(info)
    event_id = uuid_of(input.event_id, "WebhookEvent", path=("eventId",))
    return types.ReplayWebhookPayload(
        event=event_type(await deliveries.replay_webhook(info.context.platform, event_id))
    )


@mutation("Fetch the events that Stripe could not deliver; each is stored once. Operator only.")
async def catch_up_stripe(info: Info, input: types.CatchUpStripeInput) -> types.CatchUpStripePayload:
    require_operator(info)
    found = await deliveries.catch_up(info.context.platform, input.since)
    return types.CatchUpStripePayload(listed=found.listed, new=found.new)


def event_type(delivery: Delivery) -> types.WebhookEvent:
    """A delivery as the API shows it."""
    event = delivery.event
    return types.WebhookEvent(
        id=global_id("WebhookEvent", event.id),
        source=types.WebhookSource[event.source.name],
        key=event.key,
        type=event.type,
        api_version=event.api_version,
        state=types.WebhookState[event.state.name],
        note=event.note,
        attempts=delivery.attempts,
        last_error=delivery.last_error,
        received_at=event.received_at,
        applied_at=event.applied_at,
    )
