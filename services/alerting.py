"""Thresholds inside a batch: which of them usage has crossed, of a quota, of credits, of a budget."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from inkmeter.events import ThresholdCrossed
from inkmeter.money import Money
from services import rating
from services.batch import Batch, span_of
from services.terms import PlanTerms
from storage.alerts import AlertKind
from storage.fields import from_micros
from storage.ids import new_id
from storage.ledger import CREDITED, USED, Account, Gate, StoredGrant

DEFAULT_PERCENTS: Final = (50, 80, 100)


def crossed(percents: Iterable[int], bound: int, before: int, after: int) -> Iterator[int]:
    """The percentages of a bound that were reached on the way from one value to another."""
    for percent in percents:
        if bound > 0 and before * 100 < percent * bound <= after * 100:
            yield percent


def quota_used(batch: Batch, account: Account, gate: Gate, terms: PlanTerms | None, meter: str, before: int) -> None:
    """The used units of a meter have changed from `before`."""
    quota = terms.quotas.get(meter) if terms is not None else None
    if quota is None:
        return
    used = batch.sums(account.tenant_id, gate.starts_at, meter)[USED]
    for percent in crossed(quota.alerts_at, quota.units, before, used):
        _note(batch, account, AlertKind.QUOTA, meter, gate.starts_at, percent, used, quota.units)


def credits_drawn(
    batch: Batch, account: Account, gate: Gate, meter: str, grants: Sequence[StoredGrant], units: int
) -> None:
    """So many credits were consumed; thresholds count from the last grant."""
    last = max(grants, key=lambda grant: grant.created_at, default=None)
    if last is None:
        return
    left = sum(grant.remaining for grant in grants if grant.created_at <= last.created_at)
    after = last.balance - left
    terms = batch.terms_of(account, gate)
    quota = terms.quotas.get(meter) if terms is not None else None
    percents = quota.alerts_at if quota is not None else DEFAULT_PERCENTS
    for percent in crossed(percents, last.balance, after - units, after):
        _note(batch, account, AlertKind.CREDITS, meter, last.created_at, percent, after, last.balance)


def budgets_spent(batch: Batch) -> None:
    """At the end of a batch: what the periods that it touched cost now, against the tenants' budgets."""
    for (tenant_id, starts_at), counters in batch.counters_before.items():
        account = batch.known.accounts[tenant_id]
        gate = next((g for g in batch.known.gates.get(tenant_id, ()) if g.starts_at == starts_at), None)
        terms = batch.terms_of(account, gate) if gate is not None and account.budget_minor is not None else None
        if gate is None or terms is None or account.budget_minor is None:
            continue
        now = {
            meter: sums
            for (owner, start, meter), sums in batch.known.counters.items()
            if (owner, start) == (tenant_id, starts_at)
        }
        seats = batch.seats(account, gate)
        before = _cost(terms, {**now, **counters}, seats, gate)
        after = _cost(terms, now, seats, gate)
        for percent in crossed(account.budget_alerts_at, account.budget_minor, before.minor, after.minor):
            _note(
                batch,
                account,
                AlertKind.SPEND,
                "",
                starts_at,
                percent,
                after.minor,
                account.budget_minor,
                after.currency,
            )


def _cost(terms: PlanTerms, counters: dict[str, list[int]], seats: int, gate: Gate) -> Money:
    units = {meter: sums[USED] - sums[CREDITED] for meter, sums in counters.items()}
    lines = rating.rate_usage(terms, units, seats, span_of(gate))
    return rating.sum_of((entry.line for entry in lines), terms.plan.currency)


def _note(
    batch: Batch,
    account: Account,
    kind: AlertKind,
    meter: str,
    since: int,
    percent: int,
    value: int,
    bound: int,
    currency: str | None = None,
) -> None:
    alert_id = str(new_id())
    row = (account.tenant_id, alert_id, kind, meter, since, percent, value, bound, currency, batch.now)
    batch.writes.alerts.append(row)
    event = ThresholdCrossed(account.public_id, from_micros(batch.now), kind, meter, percent, value, bound)
    batch.alert_news[alert_id] = event
