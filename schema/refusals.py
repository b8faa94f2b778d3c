"""What the caller can act on: `UserError` and its kinds, each named like a `Refused` of `inkmeter.errors`."""

from dataclasses import fields
from datetime import datetime
from typing import Any, Final

import strawberry
from strawberry import relay

from inkmeter import errors, money
from schema.money import Money
from schema.scalars import BigInt, Quantity


@strawberry.interface(description="A refusal that the caller can act on.")
class UserError:
    code: str = strawberry.field(description="Stable, for programs: `NOT_FOUND`, `QUOTA_EXCEEDED` and so on.")
    message: str = strawberry.field(description="For people.")
    path: list[str] = strawberry.field(description="Leads into the input; empty if it is about all of it.")


@strawberry.type(description="One thing that is wrong with an input.")
class Problem:
    path: list[str] = strawberry.field(description="Leads to the wrong value.")
    message: str = strawberry.field(description="What would be right.")


@strawberry.type(description="There is no such thing, or it belongs to someone else.")
class NotFound(UserError):
    pass


@strawberry.type(description="The API key is good, but not for this.")
class NotPermitted(UserError):
    pass


@strawberry.type(description="An idempotency key or a unique name was used before with other content.")
class Conflict(UserError):
    pass


@strawberry.type(description="Values of the input break rules; all of them are listed.")
class InvalidInput(UserError):
    problems: list[Problem] = strawberry.field(description="Everything that is wrong, not only the first.")


@strawberry.type(description="A price's configuration does not fit its billing model.")
class InvalidConfig(UserError):
    problems: list[Problem] = strawberry.field(description="Everything that is wrong, not only the first.")


@strawberry.type(description="Units that the plan offers to buy; `topUp` buys them.")
class TopUpPack:
    units: BigInt = strawberry.field(description="How many.")
    price: Money = strawberry.field(description="What all of them cost.")


@strawberry.type(description="Credits that the plan's rule has ordered; they are there once they are paid.")
class PendingTopUp:
    id: relay.GlobalID = strawberry.field(description="Of the order.")
    units: BigInt = strawberry.field(description="How many.")
    price: Money = strawberry.field(description="What all of them cost.")


@strawberry.type(description="The plan to go on with: the successor of the present one.")
class NextPlan:
    id: relay.GlobalID = strawberry.field(description="Of the plan.")
    code: str = strawberry.field(description="The plan's name for programs.")
    name: str = strawberry.field(description="The plan's name for people.")


@strawberry.type(description="An invoice that is owed.")
class UnpaidInvoice:
    id: relay.GlobalID = strawberry.field(description="Of the invoice.")
    total: Money = strawberry.field(description="The sum of its lines.")
    due: Money = strawberry.field(description="What is left to be paid of it, with taxes.")
    hosted_url: str | None = strawberry.field(description="Stripe's page, where it can be paid.")


@strawberry.type(description="The hard limit of a meter would be passed. Upgrade the plan, or wait for the reset.")
class QuotaExceeded(UserError):
    meter: str = strawberry.field(description="Code of the meter.")
    limit: Quantity = strawberry.field(description="Units that the plan allows in a billing period.")
    used: Quantity = strawberry.field(description="Units used or reserved in this billing period.")
    requested: Quantity = strawberry.field(description="Units that were asked for.")
    resets_at: datetime = strawberry.field(description="When the next billing period begins.")
    packs: list[TopUpPack] = strawberry.field(description="Top-ups that the plan offers for the meter.")
    next_plan: NextPlan | None = strawberry.field(description="The plan's successor, if it has one.")


@strawberry.type(description="Prepaid credits do not cover this. Buy a top-up.")
class TopUpRequired(UserError):
    meter: str = strawberry.field(description="Code of the meter.")
    balance: Quantity = strawberry.field(description="Credits that are left.")
    requested: Quantity = strawberry.field(description="Units that were asked for.")
    resets_at: datetime | None = strawberry.field(description="When the quota's own units come back.")
    packs: list[TopUpPack] = strawberry.field(description="Top-ups that the plan offers for the meter.")
    next_plan: NextPlan | None = strawberry.field(description="The plan's successor, if it has one.")
    pending: PendingTopUp | None = strawberry.field(
        description="What the plan's rule has ordered; try again once it is paid."
    )


@strawberry.type(description="The overage of a meter would pass its spend cap. Change the plan, or wait for the reset.")
class SpendCapReached(UserError):
    meter: str = strawberry.field(description="Code of the meter.")
    cap: Money = strawberry.field(description="The most that a billing period's overage may cost.")
    spent: Money = strawberry.field(description="What this period's overage costs already.")
    price: Money = strawberry.field(description="What was asked for would cost on top.")
    resets_at: datetime = strawberry.field(description="When the next billing period begins.")


@strawberry.type(description="Payment is overdue past its grace. Reads go on, new signing waits for the payment.")
class TenantRestricted(UserError):
    invoices: list[UnpaidInvoice] = strawberry.field(
        description="What is owed; empty if the subscription is paused, or was ended by hand."
    )


@strawberry.type(description="There is no running subscription that this could be billed to.")
class SubscriptionInactive(UserError):
    pass


@strawberry.type(description="SignNow or Stripe cannot be used now. Nothing happened: try again.")
class UpstreamUnavailable(UserError):
    pass


@strawberry.type(
    description="SignNow did not answer in time; the units stay reserved until that is settled. "
    "Repeat the call with the same idempotency key."
)
class OutcomeUnknown(UserError):
    pass


@strawberry.type(description="SignNow refused.")
class SignNowRefused(UserError):
    upstream_code: str | None = strawberry.field(description="SignNow's own code, where it gave one.")


@strawberry.type(
    description="The tenant's SignNow user has to let Inkmeter act for them, again if they have withdrawn it: "
    "`signNowAuthorizationUrl`, then `connectSignNow`. Nothing happened."
)
class SignNowNotConnected(UserError):
    pass


@strawberry.type(description="The payment provider refused.")
class PaymentRefused(UserError):
    upstream_code: str | None = strawberry.field(description="The provider's own code, where it gave one.")


@strawberry.type(description="A delivery that is not authentic or not readable. Nothing was stored.")
class WebhookRejected(UserError):
    pass


_KINDS: Final[dict[type[errors.Refused], type[UserError]]] = {
    errors.NotFound: NotFound,
    errors.NotPermitted: NotPermitted,
    errors.Conflict: Conflict,
    errors.InvalidInput: InvalidInput,
    errors.InvalidConfig: InvalidConfig,
    errors.QuotaExceeded: QuotaExceeded,
    errors.TopUpRequired: TopUpRequired,
    errors.SpendCapReached: SpendCapReached,
    errors.TenantRestricted: TenantRestricted,
    errors.SubscriptionInactive: SubscriptionInactive,
    errors.UpstreamUnavailable: UpstreamUnavailable,
    errors.OutcomeUnknown: OutcomeUnknown,
    errors.SignNowRefused: SignNowRefused,
    errors.SignNowNotConnected: SignNowNotConnected,
    errors.PaymentRefused: PaymentRefused,
    errors.WebhookRejected: WebhookRejected,
}

USER_ERRORS: Final = tuple(_KINDS.values())
"""Every kind of user error: no field names them, so the schema is given them as additional `types`."""


def user_error(refusal: errors.Refused) -> UserError:
    """Show a refusal in the API. A subclass of a known refusal is shown as that one, with its own code."""
    kind = next((_KINDS[cls] for cls in type(refusal).__mro__ if cls in _KINDS), None)
    if kind is None:
        raise TypeError(f"{type(refusal).__name__} has no type in the API")
    return kind(**{field.name: _shown(getattr(refusal, field.name)) for field in fields(kind)})


def pack_type(pack: errors.TopUpPack) -> TopUpPack:
    """A pack on offer as the API shows it."""
    return TopUpPack(units=BigInt(pack.units), price=Money.of(pack.price))


def next_plan_type(plan: errors.NextPlan) -> NextPlan:
    """A plan's successor as the API shows it."""
    return NextPlan(id=relay.GlobalID("Plan", plan.id), code=plan.code, name=plan.name)


def unpaid_invoice_type(invoice: errors.UnpaidInvoice) -> UnpaidInvoice:
    """An invoice that is owed as the API shows it."""
    return UnpaidInvoice(
        id=relay.GlobalID("Invoice", invoice.id),
        total=Money.of(invoice.total),
        due=Money.of(invoice.due),
        hosted_url=invoice.hosted_url,
    )


def _shown(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    if isinstance(value, errors.Problem):
        return Problem(path=list(value.path), message=value.message)
    if isinstance(value, money.Money):
        return Money.of(value)
    if isinstance(value, errors.TopUpPack):
        return pack_type(value)
    if isinstance(value, errors.PendingTopUp):
        return PendingTopUp(
            id=relay.GlobalID("TopUpOrder", value.id), units=BigInt(value.units), price=Money.of(value.price)
        )
    if isinstance(value, errors.UnpaidInvoice):
        return unpaid_invoice_type(value)
    if isinstance(value, errors.NextPlan):
        return next_plan_type(value)
    return value
