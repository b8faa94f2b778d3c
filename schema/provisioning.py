"""Provisioning by steps, whose SignNow account a tenant signs through, and what a tenant has lost."""

from enum import Enum

import strawberry
from strawberry import relay

from schema.refusals import UserError


@strawberry.enum(description="Whose SignNow account a tenant's documents are in.")
class Isolation(Enum):
    SHARED_ACCOUNT = strawberry.enum_value("SHARED_ACCOUNT", description="The operator's, in a folder of the tenant's.")
    DEDICATED_USER = strawberry.enum_value("DEDICATED_USER", description="A SignNow user's of its own, who consents.")
    ORGANIZATION = strawberry.enum_value(
        "ORGANIZATION", description="A user's of its own, who is a member of an organization of the tenant's."
    )


@strawberry.enum(description="A step of provisioning.")
class ProvisioningStepName(Enum):
    STRIPE_CUSTOMER = strawberry.enum_value("STRIPE_CUSTOMER", description="The customer at Stripe.")
    SIGNNOW_ORGANIZATION = strawberry.enum_value("SIGNNOW_ORGANIZATION", description="The organization in SignNow.")
    SIGNNOW_MEMBER = strawberry.enum_value("SIGNNOW_MEMBER", description="The tenant's e-mail as its member.")
    SIGNNOW_CONNECTION = strawberry.enum_value("SIGNNOW_CONNECTION", description="The consent of the tenant's user.")
    SIGNNOW_FOLDER = strawberry.enum_value("SIGNNOW_FOLDER", description="The folder for the tenant's documents.")
    SIGNNOW_CALLBACKS = strawberry.enum_value("SIGNNOW_CALLBACKS", description="What SignNow calls us for.")


@strawberry.enum(description="How a step of provisioning stands.")
class ProvisioningStepState(Enum):
    TO_DO = strawberry.enum_value("TO_DO", description="Its turn has not come.")
    DONE = strawberry.enum_value("DONE", description="It is done.")
    FAILED = strawberry.enum_value("FAILED", description="It did not work, and is tried again by itself.")
    REFUSED = strawberry.enum_value(
        "REFUSED", description="Stripe or SignNow has said no; `error` says what has to be mended."
    )
    NEEDS_CONNECTION = strawberry.enum_value("NEEDS_CONNECTION", description="The tenant's SignNow user must consent.")
    AWAITING_OPERATOR = strawberry.enum_value("AWAITING_OPERATOR", description="Only you can do it, by hand.")
    AWAITING_ACCEPTANCE = strawberry.enum_value(
        "AWAITING_ACCEPTANCE", description="The tenant must accept SignNow's invite to the organization."
    )


@strawberry.type(description="A step of a tenant's provisioning.")
class ProvisioningStep:
    step: ProvisioningStepName = strawberry.field(description="Which.")
    state: ProvisioningStepState = strawberry.field(description="How it stands.")
    error: str | None = strawberry.field(description="Why it is not done, and what to do about it.")


@strawberry.enum(description="What a tenant has lost at Stripe or SignNow.")
class TenantDriftKind(Enum):
    CUSTOMER_GONE = strawberry.enum_value("CUSTOMER_GONE", description="The customer was deleted at Stripe.")
    NOT_CONNECTED = strawberry.enum_value("NOT_CONNECTED", description="Its SignNow user has withdrawn consent.")
    FOLDER_GONE = strawberry.enum_value("FOLDER_GONE", description="Its folder is not below the root of the account.")
    CALLBACKS_WRONG = strawberry.enum_value("CALLBACKS_WRONG", description="SignNow does not call for all events.")
    NOT_CHECKED = strawberry.enum_value("NOT_CHECKED", description="Stripe or SignNow did not answer; check again.")


@strawberry.type(description="One thing that a tenant has lost.")
class TenantDrift:
    tenant_id: relay.GlobalID = strawberry.field(description="Which tenant.")
    kind: TenantDriftKind = strawberry.field(description="What is lost.")
    message: str = strawberry.field(description="For people.")
    is_repaired: bool = strawberry.field(description="Whether this call has put it right.")


@strawberry.input(description="The code that a tenant's SignNow user has brought back from SignNow's page.")
class ConnectSignNowInput:
    code: str = strawberry.field(description="It works once.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Which tenant; needed with an operator's key."
    )


@strawberry.input(description="The organization that was made for a tenant by hand.")
class AssignSignNowOrganizationInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Which tenant.")
    organization_id: str = strawberry.field(description="Its id in SignNow.")


@strawberry.input(description="Which tenants to check.")
class CheckTenantsInput:
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description="One; all if missing.")


@strawberry.type(description="What became of `checkTenants`.")
class CheckTenantsPayload:
    drifts: list[TenantDrift] | None = strawberry.field(default=None, description="Everything that was lost.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="The tenant to repair.")
class RepairTenantInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Which.")


@strawberry.input(description="How far to look back in SignNow's log of callbacks.")
class CatchUpSignNowInput:
    days: int = strawberry.field(default=7, description="From 1 to 30; how long SignNow keeps its log is not known.")


@strawberry.type(description="What became of `catchUpSignNow`.")
class CatchUpSignNowPayload:
    mended: int | None = strawberry.field(default=None, description="Subscriptions that were missing or wrong.")
    listed: int | None = strawberry.field(default=None, description="Callbacks in SignNow's log.")
    new: int | None = strawberry.field(default=None, description="Those of them that were not stored here.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
