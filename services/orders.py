"""Orders of credits that are paid first: what is paid is granted once, and stands in our books as an invoice.

    T   Stripe says "paid" -> the order is PAID, with an invoice, its line and its charge -> the grant is queued
    T   the credits are granted, unique by the order

What could be paid is told by `services.checkouts` and `services.card_orders`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from inkmeter.errors import NotFound
from inkmeter.events import CreditsToppedUp, Event, InvoicePaid, TopUpFailed
from inkmeter.money import Money
from services import drafting, jobs, meters, operations
from services.commands import GrantCredits
from services.drafting import NewLine
from services.measures import quantity_of
from services.platform import Platform
from storage.charges import Charge, ChargeKind
from storage.credits import CreditGrant, CreditSource
from storage.database import insert_new
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice, InvoiceKind, InvoiceState, LineKind
from storage.jobs import Job
from storage.ledger import StoredGrant
from storage.orders import OrderState as OrderState
from storage.orders import OrderWay as OrderWay
from storage.orders import TopUpOrder as TopUpOrder
from storage.subscriptions import Period
from storage.tenants import Tenant

GRANT: Final = "order.grant"


def price_of(order: TopUpOrder) -> Money:
    """What it costs."""
    return Money(order.amount_minor, order.currency)


def grant_key(order: TopUpOrder) -> str:
    """The key of the credits that are granted for it."""
    return f"order:{order.id}"


async def label_of(platform: Platform, order: TopUpOrder) -> str:
    """What stands on a page or an invoice."""
    meter = (await meters.find_meters(platform, order.meter))[order.meter]
    return f"Top-up: {quantity_of(meter, order.units):,f} {meter.unit}s"


@dataclass(frozen=True, slots=True)
class Paid:
    """What Stripe has collected: of which amount before taxes, and where."""

    amount: Money
    payment_intent_id: str | None = None
    stripe_invoice_id: str | None = None
    hosted_url: str | None = None


async def note_paid(platform: Platform, order: TopUpOrder, paid: Paid) -> Sequence[Event]:
    """Stripe has collected the money: our invoice of it, once, and the grant to come; in the caller's transaction.

    Answers what to tell the plugins. Another amount or currency than was ordered grants nothing, and is kept as a
    discrepancy.
    """
    order = await TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id).select_for_update().get()
    if order.paid_at is not None:
        return []
    if paid.amount != price_of(order):
        await _flag_amount(platform, order, paid)
        return []
    now = platform.clock.now()
    period = await Period.get(tenant_id=order.tenant_id, id=order.period_id)
    invoice = Invoice(
        tenant_id=order.tenant_id,
        subscription_id=period.subscription_id,
        period_id=period.id,
        kind=InvoiceKind.TOP_UP,
        currency=order.currency,
        total_minor=order.amount_minor,
        upstream_units=0,
        upstream_cost_minor=0,
        upstream_cost_currency=platform.terms.invite_cost.currency,
        state=InvoiceState.PAID,
        stripe_invoice_id=paid.stripe_invoice_id,
        hosted_url=paid.hosted_url,
        finalized_at=now,
        pushed_at=now,
        paid_at=now,
    )
    await insert_new(invoice)
    label = await label_of(platform, order)
    charge = Charge(
        tenant_id=order.tenant_id,
        idempotency_key=f"grant:{grant_key(order)}",
        kind=ChargeKind.AUTO_TOP_UP if order.way is OrderWay.INVOICE else ChargeKind.TOP_UP,
        meter=order.meter,
        period_starts_at=order.period_starts_at,
        label=label,
        amount_minor=order.amount_minor,
        currency=order.currency,
        invoice_id=invoice.id,
        created_at=now,
    )
    await insert_new(charge)
    line = drafting.single(label, price_of(order))
    item = drafting.item_of(NewLine(LineKind.CHARGE, period, line, order.meter, charge_id=charge.id))
    item.tenant_id, item.invoice_id, item.position = order.tenant_id, invoice.id, 0
    item.stripe_item_id = order.stripe_item_id
    await insert_new(item)
    of_meter = TopUpOrder.filter(tenant_id=order.tenant_id, meter=order.meter)
    await of_meter.filter(state=OrderState.FAILED).update(is_holding=False)
    await TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id).update(
        state=OrderState.PAID,
        is_holding=False,
        paid_at=now,
        invoice_id=invoice.id,
        payment_intent_id=paid.payment_intent_id,
        failure=None,
    )
    await jobs.add_job(platform, tenant_id=order.tenant_id, topic=GRANT, dedup=str(order.id))
    tenant = await Tenant.get(id=order.tenant_id)
    return [InvoicePaid(str(tenant.public_id), now, str(invoice.id), price_of(order))]


async def _flag_amount(platform: Platform, order: TopUpOrder, paid: Paid) -> None:
    await insert_new(
        Discrepancy(
            tenant_id=order.tenant_id,
            kind="TOP_UP_AMOUNT",
            subject=str(order.id),
            ours_minor=order.amount_minor,
            theirs_minor=paid.amount.minor,
            currency=order.currency,
            evidence={
                "stripe_id": order.stripe_id,
                "paid": str(paid.amount),
                "explanation": "Stripe has collected another amount than was ordered; nothing was granted",
            },
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        ),
        ["tenant_id", "kind", "subject"],
    )
    await end(platform, order, OrderState.FAILED, f"{paid.amount} was paid, not {price_of(order)}")


async def end(platform: Platform, order: TopUpOrder, state: OrderState, failure: str | None = None) -> Sequence[Event]:
    """The order will not be paid; in the caller's transaction. Answers what to tell the plugins."""
    still_open = TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id, state=OrderState.OPEN)
    if not await still_open.update(state=state, failure=failure) or state is not OrderState.FAILED:
        return []
    tenant = await Tenant.get(id=order.tenant_id)
    now, why = platform.clock.now(), failure or "not paid"
    return [TopUpFailed(str(tenant.public_id), now, str(order.id), order.meter, order.units, price_of(order), why)]


async def grant_order(platform: Platform, job: Job) -> None:
    """The job: grant what was paid."""
    order = await TopUpOrder.get(tenant_id=job.tenant_id, id=job.dedup)
    grant, is_new = await ensure_granted(platform, order)
    async with jobs.completing(job):
        pass
    if is_new:
        tenant = await Tenant.get(id=order.tenant_id)
        await platform.plugins.publish(
            CreditsToppedUp(str(tenant.public_id), platform.clock.now(), order.meter, grant.units, price_of(order))
        )


async def ensure_granted(platform: Platform, order: TopUpOrder) -> tuple[CreditGrant, bool]:
    """The credits of an order that is paid, and whether they were granted just now."""
    await meters.find_meters(platform, order.meter)
    command = GrantCredits(
        tenant_id=order.tenant_id,
        idempotency_key=grant_key(order),
        meter=order.meter,
        units=order.units,
        source=CreditSource.TOP_UP,
        now=platform.clock.now(),
    )
    stored: StoredGrant
    stored, is_new = await operations.submit(platform, command)
    return await CreditGrant.get(tenant_id=stored.tenant_id, id=stored.id), is_new


async def find_order(tenant_id: int | None, order_id: UUID) -> TopUpOrder:
    """The order, of that tenant unless None. Raises NotFound, also for another tenant's."""
    order = await TopUpOrder.get_or_none(id=order_id)
    if order is None or tenant_id not in (None, order.tenant_id):
        raise NotFound("no such order", path=("id",))
    return order


async def list_orders(tenant_id: int, after: UUID | None, limit: int) -> Sequence[TopUpOrder]:
    """The tenant's orders in the order in which they were placed, after the given one."""
    query = TopUpOrder.filter(tenant_id=tenant_id)
    if after is not None:
        query = query.filter(id__gt=after)
    return await query.order_by("id").limit(limit)


async def grants_of(orders: Sequence[TopUpOrder]) -> dict[UUID, CreditGrant]:
    """The credits of the orders of one tenant that were granted, by the order's id."""
    keys = {grant_key(order): order.id for order in orders if order.paid_at is not None}
    if not keys:
        return {}
    found = await CreditGrant.filter(tenant_id=orders[0].tenant_id, idempotency_key__in=list(keys))
    return {keys[grant.idempotency_key]: grant for grant in found}
