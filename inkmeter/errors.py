"""Everything that Inkmeter raises on purpose.

InkmeterError                    code, message
├── Refused                      the caller can act on it; the API shows it as a `UserError` of the same name
│   ├── NotFound                 no such thing, or not yours
│   ├── NotPermitted             this key may not do that
│   ├── Conflict                 the same idempotency key or name, with other content
│   ├── InvalidInput             values that break a rule, each with its path
│   ├── InvalidConfig            a price's configuration, each wrong path named
│   ├── QuotaExceeded            the hard limit of a meter is reached
│   ├── TopUpRequired            prepaid credits are used up
│   ├── SpendCapReached          the overage of a meter has reached its cap in money
│   ├── TenantRestricted         payment is overdue; reads go on, new signing does not
│   ├── SubscriptionInactive     there is no running subscription to bill this to
│   ├── UpstreamUnavailable      SignNow or Stripe cannot be used now; nothing happened
│   ├── OutcomeUnknown           SignNow did not answer; the operation stays reserved until it is settled
│   ├── SignNowRefused           SignNow said no, with its reason
│   ├── SignNowNotConnected      the tenant's own SignNow user has to consent (again); nothing happened
│   ├── PaymentRefused           Stripe said no, with its reason
│   └── WebhookRejected          a delivery that is not authentic or not readable
├── UpstreamError                SignNow or Stripe could not be used; outcome known: nothing happened
│   ├── UpstreamTimeout          outcome unknown: it may have happened
│   └── UpstreamRateLimited      retry_after in seconds, where the upstream said so
├── PluginError                  a plugin broke its contract: plugin, hook
└── ConfigurationError           at start: settings, plugins or database do not fit
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from inkmeter.money import Money
from inkmeter.ways import NextPlan as NextPlan
from inkmeter.ways import PendingTopUp as PendingTopUp
from inkmeter.ways import TopUpPack as TopUpPack
from inkmeter.ways import UnpaidInvoice as UnpaidInvoice


class InkmeterError(Exception):
    """Base of all; `code` is stable, `message` is for people."""

    code: ClassVar[str] = "INKMETER_ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Refused(InkmeterError):
    """A "no" that the caller can act on. `path` leads into the input, e.g. `("prices", "0", "config")`."""

    code = "REFUSED"

    def __init__(self, message: str, *, path: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.path = tuple(path)


class NotFound(Refused):
    """No such thing, or it belongs to someone else: the answer is the same."""

    code = "NOT_FOUND"


class NotPermitted(Refused):
    """The key is good, but not for this."""

    code = "NOT_PERMITTED"


class Conflict(Refused):
    """An idempotency key or a unique name was used before with other content."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where, and what would be right."""

    path: tuple[str, ...]
    message: str


class _Problems(Refused):
    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("at least one problem is needed")
        told = (f"{'.'.join(p.path)}: {p.message}" if p.path else p.message for p in problems)
        super().__init__("; ".join(told))
        self.problems = tuple(problems)


class InvalidInput(_Problems):
    """Values of an input break rules; all of them are listed."""

    code = "INVALID_INPUT"


class InvalidConfig(_Problems):
    """A price's configuration does not fit its billing model; every wrong path is listed."""

    code = "INVALID_CONFIG"


def _ways_on(packs: Sequence[TopUpPack], next_plan: NextPlan | None) -> str:
    ways = []
    if packs:
        ways.append("buy a top-up")
    if next_plan is not None:
        ways.append(f"change to the plan {next_plan.code}")
    return " or ".join(ways)


class QuotaExceeded(Refused):
    """The hard limit of a meter would be passed. Units count from the start of the billing period.

    They are exact: a Decimal for a meter with decimals. `packs` are the top-ups on offer, `next_plan` the plan's
    successor.
    """

    code = "QUOTA_EXCEEDED"

    def __init__(
        self,
        *,
        meter: str,
        limit: int | Decimal,
        used: int | Decimal,
        requested: int | Decimal,
        resets_at: datetime,
        packs: Sequence[TopUpPack] = (),
        next_plan: NextPlan | None = None,
    ) -> None:
        ways = _ways_on(packs, next_plan) or "upgrade the plan"
        super().__init__(
            f"{requested} more {meter} would pass the limit of {limit} ({used} used); "
            f"it resets at {resets_at.isoformat()}. {ways[0].upper()}{ways[1:]} or wait."
        )
        self.meter, self.limit, self.used, self.requested = meter, limit, used, requested
        self.resets_at, self.packs, self.next_plan = resets_at, tuple(packs), next_plan


class TopUpRequired(Refused):
    """Prepaid credits do not cover the operation; `balance` units are left, a Decimal for a meter with decimals.

    `packs` are the top-ups on offer; at `resets_at` (None without a billing period) the quota's own units come back.
    `pending` was ordered by the plan's rule and is not paid yet.
    """

    code = "TOP_UP_REQUIRED"

    def __init__(
        self,
        *,
        meter: str,
        balance: int | Decimal,
        requested: int | Decimal,
        packs: Sequence[TopUpPack] = (),
        next_plan: NextPlan | None = None,
        resets_at: datetime | None = None,
        pending: PendingTopUp | None = None,
    ) -> None:
        ways = _ways_on(packs, next_plan) or "buy a top-up"
        if pending is not None:
            ways = f"{pending.units} more are ordered and wait for their payment: try again, or {ways}"
        super().__init__(f"{requested} {meter} are needed, {balance} credits are left. {ways[0].upper()}{ways[1:]}.")
        self.meter, self.balance, self.requested = meter, balance, requested
        self.resets_at, self.packs, self.next_plan, self.pending = resets_at, tuple(packs), next_plan, pending


class SpendCapReached(Refused):
    """The overage of a meter would pass its cap: `spent` stands on this period's bill, and this would cost `price`."""

    code = "SPEND_CAP_REACHED"

    def __init__(self, *, meter: str, cap: Money, spent: Money, price: Money, resets_at: datetime) -> None:
        super().__init__(
            f"{price} more for {meter} would pass the spend cap of {cap} ({spent} spent); "
            f"it resets at {resets_at.isoformat()}. Change the plan, ask for credits, or wait."
        )
        self.meter, self.cap, self.spent, self.price, self.resets_at = meter, cap, spent, price, resets_at


class TenantRestricted(Refused):
    """Payment is overdue past its grace. Reads go on; new signing operations wait for the payment of `invoices`."""

    code = "TENANT_RESTRICTED"

    def __init__(self, message: str, *, invoices: Sequence[UnpaidInvoice] = ()) -> None:
        super().__init__(message)
        self.invoices = tuple(invoices)


class SubscriptionInactive(Refused):
    """There is no running subscription that this could be billed to."""

    code = "SUBSCRIPTION_INACTIVE"


class UpstreamUnavailable(Refused):
    """SignNow or Stripe cannot be used now. Nothing happened: the same call may be made again."""

    code = "UPSTREAM_UNAVAILABLE"


class OutcomeUnknown(Refused):
    """SignNow did not answer in time. The units stay reserved; repeat the call with the same idempotency
    key.
    """

    code = "OUTCOME_UNKNOWN"


class SignNowRefused(Refused):
    """SignNow answered with a refusal; its own code and words are kept."""

    code = "SIGNNOW_REFUSED"

    def __init__(self, message: str, *, upstream_code: str | None = None, path: Sequence[str] = ()) -> None:
        super().__init__(message, path=path)
        self.upstream_code = upstream_code


class SignNowNotConnected(Refused):
    """No token opens the SignNow account that is wanted: its user has not consented yet, or has withdrawn it.

    Nothing happened.
    """

    code = "SIGNNOW_NOT_CONNECTED"


class PaymentRefused(Refused):
    """Stripe answered with a refusal; its own code and words are kept."""

    code = "PAYMENT_REFUSED"

    def __init__(self, message: str, *, upstream_code: str | None = None, path: Sequence[str] = ()) -> None:
        super().__init__(message, path=path)
        self.upstream_code = upstream_code


class WebhookRejected(Refused):
    """A delivery whose signature, time stamp or body is not acceptable. Nothing was stored."""

    code = "WEBHOOK_REJECTED"


class UpstreamError(InkmeterError):
    """SignNow or Stripe could not be used; nothing happened there, the call may be repeated."""

    code = "UPSTREAM_ERROR"


class UpstreamTimeout(UpstreamError):
    """The call was sent and no answer came: it may have happened. Never taken for a "no"."""

    code = "UPSTREAM_TIMEOUT"


class UpstreamRateLimited(UpstreamError):
    """The upstream asks to slow down; `retry_after` is in seconds where it said so."""

    code = "UPSTREAM_RATE_LIMITED"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PluginError(InkmeterError):
    """A plugin broke its contract; says which plugin and which hook."""

    code = "PLUGIN_ERROR"

    def __init__(self, message: str, *, plugin: str, hook: str) -> None:
        super().__init__(f"plugin {plugin!r}, {hook}: {message}")
        self.plugin, self.hook = plugin, hook


class ConfigurationError(InkmeterError):
    """Inkmeter cannot start like this; the message says what to change."""

    code = "CONFIGURATION_ERROR"
