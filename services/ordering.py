"""Orders inside a batch: what a plan's rule that is paid first would buy is ordered, and granted once it is paid.

One order of a meter is open at a time. After one that failed no other is placed in the same period, unless a top-up of
that meter is paid meanwhile.
"""

from collections.abc import Mapping
from typing import Final

from inkmeter.errors import PendingTopUp, TopUpRequired
from inkmeter.money import Money
from services.batch import Batch
from services.decisions import Standing, top_up
from services.included import included_units, needed_credits
from services.terms import PlanTerms
from storage.ids import new_id
from storage.ledger import Account, Gate, StoredOrder

PAY: Final = "order.pay"
OPEN: Final = "OPEN"


def ordered(batch: Batch, tenant_id: int, gate: Gate, meter: str) -> int:
    """What the order of a meter that waits for its payment takes from the period's cap, in minor units."""
    order = _open_order(batch, tenant_id, meter)
    return order.amount_minor if order is not None and order.period_starts_at == gate.starts_at else 0


def place_orders(
    batch: Batch,
    account: Account,
    gate: Gate,
    terms: PlanTerms,
    standings: Mapping[str, Standing],
    units: Mapping[str, int],
) -> None:
    """Order what the plan's rules ask for, before so many more units of each meter are used."""
    for meter, wanted in units.items():
        quota = terms.quotas.get(meter)
        if quota is None or not quota.is_paid_first or _is_held(batch, account.tenant_id, gate, meter):
            continue
        stands = standings.get(meter, Standing())
        included = included_units(terms, meter, batch.seats(account, gate))
        after = stands.taken + wanted
        purchase = top_up(terms, quota, stands, needed_credits(included, stands.taken, after), included, after)
        if purchase is not None:
            price = purchase.pack.price
            order = StoredOrder(
                tenant_id=account.tenant_id,
                id=new_id(),
                meter=meter,
                state=OPEN,
                period_starts_at=gate.starts_at,
                units=purchase.pack.units * purchase.times,
                amount_minor=price.minor * purchase.times,
                currency=price.currency,
            )
            _write(batch, gate, order)


def _is_held(batch: Batch, tenant_id: int, gate: Gate, meter: str) -> bool:
    return any(
        order.state == OPEN or order.period_starts_at == gate.starts_at
        for order in batch.known.orders
        if (order.tenant_id, order.meter) == (tenant_id, meter)
    )


def _write(batch: Batch, gate: Gate, order: StoredOrder) -> None:
    batch.known.orders.append(order)
    batch.writes.orders.append(
        (
            order.tenant_id,
            str(order.id),
            f"rule:{order.id}",
            "INVOICE",
            order.meter,
            str(gate.id),
            order.period_starts_at,
            order.units,
            order.amount_minor,
            order.currency,
            OPEN,
            True,
            batch.now,
        )
    )
    batch.writes.jobs.append(
        (order.tenant_id, str(new_id()), PAY, str(order.id), "{}", "WAITING", batch.now, batch.now)
    )


def naming_order(batch: Batch, account: Account, refusal: TopUpRequired) -> TopUpRequired:
    """The same refusal with the order that waits for its payment, if there is one."""
    order = _open_order(batch, account.tenant_id, refusal.meter)
    if order is None:
        return refusal
    price = Money(order.amount_minor, order.currency)
    return TopUpRequired(
        meter=refusal.meter,
        balance=refusal.balance,
        requested=refusal.requested,
        packs=refusal.packs,
        next_plan=refusal.next_plan,
        resets_at=refusal.resets_at,
        pending=PendingTopUp(str(order.id), order.units // 10 ** batch.meters[refusal.meter].decimals, price),
    )


def _open_order(batch: Batch, tenant_id: int, meter: str) -> StoredOrder | None:
    found = (o for o in batch.known.orders if (o.tenant_id, o.meter, o.state) == (tenant_id, meter, OPEN))
    return next(found, None)
