"""Whose an object of Stripe's is that we do not know by its id.

A webhook may be faster than our own commit: the object is made, and its id is not stored yet. Its metadata, which we
wrote, says that it is ours.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from inkmeter.errors import InkmeterError
from storage.invoices import Invoice
from storage.subscriptions import Subscription
from storage.tenants import Tenant

KEY: Final = "inkmeter_key"
"""The metadata entry that the gateway gives to everything that it makes."""


class NotYetKnown(InkmeterError):
    """An object of ours whose id we have not stored yet: the webhook is looked at again."""

    code = "NOT_YET_KNOWN"


async def require_foreign(object_id: str, metadata: Mapping[str, str]) -> None:
    """Raises NotYetKnown if the object's metadata names something of ours that waits for its id at Stripe."""
    tenant_id = _uuid(metadata.get("tenant_id"))
    if KEY not in metadata or tenant_id is None:
        return
    tenant = await Tenant.get_or_none(public_id=tenant_id)
    if tenant is not None and await _is_expected(tenant, metadata):
        raise NotYetKnown(f"{object_id} is {metadata[KEY]} of tenant {tenant.public_id}, which does not know it yet")


async def _is_expected(tenant: Tenant, metadata: Mapping[str, str]) -> bool:
    if invoice_id := _uuid(metadata.get("invoice_id")):
        return await Invoice.exists(tenant_id=tenant.id, id=invoice_id, stripe_invoice_id=None)
    if "order_id" in metadata:
        return False  # a top-up's invoice becomes one of ours when it is paid
    if subscription_id := _uuid(metadata.get("subscription_id")):
        return await Subscription.exists(tenant_id=tenant.id, id=subscription_id, stripe_subscription_id=None)
    return True


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
