"""The operator's customers."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.database import lock, rows
from storage.fields import InstantField


class TenantState(StrEnum):
    """What a tenant may do: all of it when ACTIVE, or in GRACE until that ends; reads alone otherwise."""

    PROVISIONING = "PROVISIONING"
    ACTIVE = "ACTIVE"
    GRACE = "GRACE"
    RESTRICTED = "RESTRICTED"
    DEPROVISIONED = "DEPROVISIONED"


class Tenant(Model):
    """One customer of the operator: one Stripe customer and one SignNow identity."""

    id = BigIntField(primary_key=True)
    public_id = UUIDField()
    external_reference = TextField()
    name = TextField()
    email = TextField()
    currency = TextField()
    state = CharEnumField(TenantState)
    grace_until = InstantField(null=True)
    stripe_customer_id = TextField(null=True)
    signnow_folder_id = TextField(null=True)
    provisioning_problem = TextField(null=True)
    address: JSONField[dict[str, str] | None] = JSONField(null=True)
    """Where the tenant is taxed, in Stripe's words: line1, city, state, postal_code, country."""
    created_at = InstantField()

    class Meta:
        table = "tenant"


async def lock_tenant(tenant_id: int) -> Tenant:
    """The tenant, which nobody else changes until the transaction ends. Rows that refer to it can still be added."""
    await rows("SELECT id FROM tenant WHERE id = ?" + lock("NO KEY UPDATE"), tenant_id)
    return await Tenant.get(id=tenant_id)
