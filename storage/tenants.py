"""The operator's customers."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.database import lock, rows
from storage.fields import InstantField

_SLICE: Final = 500


class TenantState(StrEnum):
    """What a tenant may do: all of it when ACTIVE, or in GRACE until that ends; reads alone otherwise."""

    PROVISIONING = "PROVISIONING"
    ACTIVE = "ACTIVE"
    GRACE = "GRACE"
    RESTRICTED = "RESTRICTED"
    DEPROVISIONED = "DEPROVISIONED"


class Isolation(StrEnum):
    """Whose SignNow account a tenant's documents are in, for good: the operator's, in a folder; a user's of its own;
    a user's of its own who belongs to an organization of its own.
    """

    SHARED_ACCOUNT = "SHARED_ACCOUNT"
    DEDICATED_USER = "DEDICATED_USER"
    ORGANIZATION = "ORGANIZATION"


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
    isolation = CharEnumField(Isolation, default=Isolation.SHARED_ACCOUNT)
    signnow_user_id = TextField(null=True)
    """The user of its own who has consented; another one is not let in after them."""
    signnow_organization_id = TextField(null=True)
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


async def find_tenants(ids: Iterable[int]) -> list[Tenant]:
    """The tenants with these keys, in order, however many: no statement takes any number of parameters."""
    wanted = sorted(ids)
    slices = [wanted[at : at + _SLICE] for at in range(0, len(wanted), _SLICE)]
    return [tenant for part in slices for tenant in await Tenant.filter(id__in=part).order_by("id")]
