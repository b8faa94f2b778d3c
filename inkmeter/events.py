"""What has happened, in the past tense: given to every plugin's `on_event` after the change is committed."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from inkmeter.money import Money


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. `tenant_id` is the tenant's public UUID."""

    tenant_id: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class TenantProvisioned(Event):
    """The tenant has its Stripe customer and its SignNow identity."""


@dataclass(frozen=True, slots=True)
class UsageRecorded(Event):
    """Usage was counted: `quantity` of the meter's units, in so many `events` that were committed together.

    A Decimal for a meter with decimals.
    """

    meter: str
    quantity: int | Decimal
    events: int


@dataclass(frozen=True, slots=True)
class OperationRefused(Event):
    """An operation was refused: `code` is QUOTA_EXCEEDED, TOP_UP_REQUIRED, SPEND_CAP_REACHED or TENANT_RESTRICTED.

    `meter` is the one that refused, None for TENANT_RESTRICTED. QUOTA_EXCEEDED also says that `used` units of `limit`
    are used; a Decimal for a meter with decimals.
    """

    code: str
    meter: str | None = None
    used: int | Decimal | None = None
    limit: int | Decimal | None = None


@dataclass(frozen=True, slots=True)
class ThresholdCrossed(Event):
    """Usage reached `percent` of a bound, for the first time in this period: `value` of `bound`.

    `kind` is QUOTA, CREDITS or SPEND; the numbers are units of the `meter`, for SPEND minor units of money.
    """

    kind: str
    meter: str
    percent: int
    value: int
    bound: int


@dataclass(frozen=True, slots=True)
class MarginNegative(Event):
    """What began in a calendar month ("2026-03") is over, and SignNow costs more than the tenant brings. Told once."""

    month: str
    revenue: Money
    cost: Money


@dataclass(frozen=True, slots=True)
class PlanUpgraded(Event):
    """A quota with AUTO_UPGRADE was passed: the tenant is on the plan's successor now."""

    meter: str
    from_plan: str
    to_plan: str


@dataclass(frozen=True, slots=True)
class CreditsToppedUp(Event):
    """Credits were bought: by the plan's rule because they ran low, `units` for `price` on the next invoice, or by an
    order that has been paid.
    """

    meter: str
    units: int
    price: Money


@dataclass(frozen=True, slots=True)
class TopUpFailed(Event):
    """An order of credits was not paid: `units` for `price` are not granted. A rule orders no more of them in this
    period, unless others are paid meanwhile.
    """

    order_id: str
    meter: str
    units: int
    price: Money
    reason: str


@dataclass(frozen=True, slots=True)
class SubscriptionChanged(Event):
    """The terms change at `effective_at`: from then on it is that many seats on that version of a plan. Also told
    when a change or a cancellation that was planned is withdrawn.
    """

    plan: str
    version: int
    seats: int
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionCancelled(Event):
    """The subscription ends at `ends_at`, now or later."""

    ends_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentCompleted(Event):
    """Every signer has signed the document."""

    document_id: str


@dataclass(frozen=True, slots=True)
class InvoiceFinalized(Event):
    """A period was closed and its invoice stands."""

    invoice_id: str
    total: Money


@dataclass(frozen=True, slots=True)
class InvoicePaid(Event):
    """Stripe says that the invoice is paid."""

    invoice_id: str
    total: Money


@dataclass(frozen=True, slots=True)
class PaymentActionRequired(Event):
    """The payer's bank wants a payment to be confirmed: send them to `hosted_url`, Stripe's page for the invoice."""

    invoice_id: str
    hosted_url: str


@dataclass(frozen=True, slots=True)
class DiscrepancyFound(Event):
    """Our books and Stripe's differ, or ours with themselves: `kind` and, in words, how."""

    discrepancy_id: str
    kind: str
    explanation: str


@dataclass(frozen=True, slots=True)
class PaymentFailed(Event):
    """A payment failed; the tenant is in grace until `grace_until`."""

    invoice_id: str
    grace_until: datetime


@dataclass(frozen=True, slots=True)
class SigningRestricted(Event):
    """Payment is overdue past its grace, or the subscription is paused: new signing is refused from now on."""

    invoice_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TenantRestored(Event):
    """Nothing is owed any more. `left_plan` is the code of the plan that a downgrade or the end has left, if any."""

    left_plan: str | None


@dataclass(frozen=True, slots=True)
class TenantDowngraded(Event):
    """It was not paid in time, or Stripe ended the subscription: the tenant goes on, on another plan."""

    from_plan: str
    to_plan: str


@dataclass(frozen=True, slots=True)
class TenantDeprovisioned(Event):
    """The tenant's subscription ends at once, and operations are refused; what can be read stays."""

    left_plan: str | None
