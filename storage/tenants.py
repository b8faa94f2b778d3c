"""The operator's customers."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField


class TenantState(StrEnum):
    """What a tenant may do: all of it when ACTIVE or in GRACE, reads alone otherwise."""

    PROVISIONING = "PROVISIONING"
    ACTIVE = "ACTIVE"
    GRACE = "GRACE"


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
