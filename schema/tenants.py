"""Tenants, and who is asking."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.dunning import Dunning
from schema.nodes import Node
from schema.provisioning import Isolation, ProvisioningStep, TenantDrift
from schema.refusals import UserError
from schema.scalars import CurrencyCode
from schema.subscriptions import Subscription


@strawberry.enum(description="What a tenant may do.")
class TenantState(Enum):
    PROVISIONING = strawberry.enum_value("PROVISIONING", description="Stripe or SignNow is not set up yet.")
    ACTIVE = strawberry.enum_value("ACTIVE", description="Everything.")
    GRACE = strawberry.enum_value(
        "GRACE", description="A payment failed: everything until `graceUntil`, then reads alone."
    )
    RESTRICTED = strawberry.enum_value(
        "RESTRICTED", description="Reads alone, until what is owed is paid, or a paused subscription is resumed."
    )
    DEPROVISIONED = strawberry.enum_value("DEPROVISIONED", description="Reads alone; the subscription has ended.")


@strawberry.type(description="Where a tenant is taxed.")
class Address:
    country: str = strawberry.field(description="Two letters, as in ISO 3166.")
    postal_code: str | None = strawberry.field(description="Its postal or ZIP code.")
    line1: str | None = strawberry.field(description="Street and number.")
    city: str | None = strawberry.field(description="Its city or town.")
    state: str | None = strawberry.field(description="Its state, county or province.")


@strawberry.type(description="A customer of the operator: one Stripe customer and one SignNow identity.")
class Tenant(Node):
    external_reference: str = strawberry.field(description="The operator's own name for the tenant.")
    name: str = strawberry.field(description="For people and invoices.")
    email: str = strawberry.field(description="Where Stripe sends invoices.")
    currency: CurrencyCode = strawberry.field(description="What the tenant pays in, for good.")
    state: TenantState = strawberry.field(description="What the tenant may do.")
    grace_until: datetime | None = strawberry.field(description="When grace ends, after a payment failed.")
    dunning: Dunning | None = strawberry.field(
        description="What it owes and what comes of it; null if nothing is owed."
    )
    provisioning_problem: str | None = strawberry.field(
        description="Why provisioning has not ended; it goes on by itself, or with `provisionTenant`."
    )
    isolation: Isolation = strawberry.field(description="Whose SignNow account it signs through, for good.")
    provisioning: list[ProvisioningStep] = strawberry.field(description="The steps of its provisioning, in order.")
    subscription: Subscription | None = strawberry.field(description="The running subscription.")
    address: Address | None = strawberry.field(description="Where it is taxed; null until somebody has said it.")
    created_at: datetime = strawberry.field(description="When the tenant was created.")


@strawberry.enum(description="Whom an API key speaks for.")
class Role(Enum):
    OPERATOR = strawberry.enum_value("OPERATOR", description="The company that runs Inkmeter.")
    TENANT = strawberry.enum_value("TENANT", description="One tenant; it sees nothing of the others.")


@strawberry.type(description="Who is asking.")
class Viewer:
    role: Role = strawberry.field(description="Whom the API key speaks for.")
    tenant: Tenant | None = strawberry.field(description="The key's own tenant; null for the operator.")


@strawberry.input(description="A customer of the operator.")
class ProvisionTenantInput:
    external_reference: str = strawberry.field(
        description="Your own name for the tenant. The same one again answers the same tenant and goes on."
    )
    name: str = strawberry.field(description="For people and invoices.")
    email: str = strawberry.field(description="Where Stripe sends invoices.")
    currency: CurrencyCode = strawberry.field(description="What the tenant pays in, for good.")
    isolation: Isolation | None = strawberry.field(
        default=None, description="Whose SignNow account it signs through, for good; `INKMETER_ISOLATION` if missing."
    )


@strawberry.type(description="What became of `provisionTenant`.")
class ProvisionTenantPayload:
    tenant: Tenant | None = strawberry.field(
        default=None, description="PROVISIONING if a step has to wait; it goes on by itself."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(
    description="Where a tenant is taxed. What a country needs beside its postal code or city, Stripe says."
)
class AddressInput:
    country: str = strawberry.field(description="Two capital letters, as in ISO 3166.")
    postal_code: str | None = strawberry.field(default=None, description="Its postal or ZIP code.")
    line1: str | None = strawberry.field(default=None, description="Street and number.")
    city: str | None = strawberry.field(default=None, description="Its city or town.")
    state: str | None = strawberry.field(default=None, description="Its state, county or province.")


@strawberry.input(description="What changes of a tenant.")
class UpdateTenantInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Which tenant.")
    address: AddressInput = strawberry.field(description="Where it is taxed; invoices that waited for it go on.")


@strawberry.type(description="What became of `updateTenant`.")
class UpdateTenantPayload:
    tenant: Tenant | None = strawberry.field(default=None, description="As it is now.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Whose subscription ends now, by hand.")
class DeprovisionTenantInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Who.")


@strawberry.type(description="What became of `deprovisionTenant`.")
class DeprovisionTenantPayload:
    tenant: Tenant | None = strawberry.field(default=None, description="DEPROVISIONED; its documents stay.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Who may come back.")
class ReactivateTenantInput:
    tenant_id: relay.GlobalID = strawberry.field(description="A tenant that owes nothing.")


@strawberry.type(description="What became of `reactivateTenant`.")
class ReactivateTenantPayload:
    tenant: Tenant | None = strawberry.field(default=None, description="ACTIVE, to be subscribed anew.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.type(description="What became of `connectSignNow`.")
class ConnectSignNowPayload:
    tenant: Tenant | None = strawberry.field(default=None, description="Its provisioning has gone on.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.type(description="What became of `assignSignNowOrganization`.")
class AssignSignNowOrganizationPayload:
    tenant: Tenant | None = strawberry.field(default=None, description="Its provisioning has gone on.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.type(description="What became of `repairTenant`.")
class RepairTenantPayload:
    tenant: Tenant | None = strawberry.field(default=None, description="As it is now.")
    drifts: list[TenantDrift] | None = strawberry.field(default=None, description="What was lost, put right or not.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
