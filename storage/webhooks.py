"""Deliveries of Stripe and SignNow, kept raw: each is stored once and applied once."""

from enum import StrEnum

from tortoise.fields import CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class WebhookSource(StrEnum):
    """Who sent it."""

    STRIPE = "STRIPE"
    SIGNNOW = "SIGNNOW"


class WebhookState(StrEnum):
    """IGNORED with a reason in `note`: not ours, or nothing to do."""

    RECEIVED = "RECEIVED"
    APPLIED = "APPLIED"
    IGNORED = "IGNORED"


class WebhookEvent(Model):
    """One delivery by its key: Stripe's event id, or for SignNow, which has none, the fact that it states."""

    source = CharEnumField(WebhookSource)
    key = TextField()
    id = UUIDField(primary_key=True, default=new_id)
    type = TextField()
    payload = TextField()
    api_version = TextField(null=True)
    state = CharEnumField(WebhookState)
    note = TextField(null=True)
    received_at = InstantField()
    applied_at = InstantField(null=True)

    class Meta:
        table = "webhook_event"
