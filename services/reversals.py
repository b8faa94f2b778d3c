"""Money of a paid order that goes back: its part of the credits is taken back, as far as nobody has used it.

    --  the refund or dispute is fetched, and what its payment has paid for is looked up
    T   it is noted, once by its id, with the units that it paid for; or that it came to nothing after all
    T   the ledger takes what is free of them, or gives back what was taken
    T   what was used before is flagged: a discrepancy REFUND_OF_USED_CREDITS

The units of all that has gone back are rounded up: nobody keeps a unit for money that went back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from inkmeter.events import Event
from integrations.protocols import StripeCheckout, StripeInvoice, StripeReversal
from services import card_orders, checkouts, jobs, operations, orders, paid_refunds, reversal_flags
from services.commands import RestoreCredits, TakeCredits
from services.effects import Applied, Effect
from services.orders import TopUpOrder
from services.platform import Platform
from storage.credits import CreditEntryKind, CreditGrant, taken_by
from storage.database import insert_new, transaction
from storage.jobs import Job, waiting_jobs
from storage.orders import Reversal as Reversal
from storage.orders import ReversalKind as ReversalKind
from storage.transitions import pass_once

SETTLE: Final = "reversal.settle"
NOT_OURS: Final = "no payment of ours"
TAKE, GIVE = "take", "give"
PLEDGED_PAUSE: Final = timedelta(minutes=5)
STANDING: Final = {
    ReversalKind.REFUND: ("pending", "requires_action", "succeeded"),
    ReversalKind.DISPUTE: ("needs_response", "under_review", "lost"),
}
"""When money is gone, or on its way."""
INQUIRIES: Final = ("warning_needs_response", "warning_under_review")
"""A bank asks, and may go on to dispute: no money has moved (Stripe's docs on disputes)."""


@dataclass(frozen=True, slots=True)
class _Traced:
    """What a payment has paid for: an order, perhaps known by what Stripe says of it now, or another invoice."""

    order: TopUpOrder | None = None
    session: StripeCheckout | None = None
    theirs: StripeInvoice | None = None


async def take_refund(platform: Platform, refund_id: str) -> Effect:
    """The handler: a refund was made, or has failed."""
    return await _noting(platform, ReversalKind.REFUND, [await platform.stripe.refund(refund_id)])


async def take_charge(platform: Platform, charge_id: str) -> Effect:
    """The handler: a charge was refunded, maybe in several parts."""
    return await _noting(platform, ReversalKind.REFUND, await platform.stripe.refunds_of_charge(charge_id))


async def take_dispute(platform: Platform, dispute_id: str) -> Effect:
    """The handler: a dispute was opened, or decided."""
    return await _noting(platform, ReversalKind.DISPUTE, [await platform.stripe.dispute(dispute_id)])


async def look_at(platform: Platform, kind: ReversalKind, theirs: StripeReversal) -> Applied:
    """Take over what a list shows of a refund or dispute, once for each status that it is in."""
    effect = await _noting(platform, kind, [theirs])
    async with transaction():
        return await effect()


def sight_of(theirs: StripeReversal) -> tuple[str, str]:
    """The transition that is noted when it was looked at as it stands."""
    return theirs.id, f"looked_at:{theirs.status}"


async def _noting(platform: Platform, kind: ReversalKind, found: list[StripeReversal]) -> Effect:
    traced = [(theirs, await _trace(platform, theirs.payment_intent_id)) for theirs in found]

    async def effect() -> Applied:
        applied = [await _note(platform, kind, theirs, paid) for theirs, paid in traced]
        for theirs, _ in traced:
            await pass_once(*sight_of(theirs), platform.clock.now())
        events = [event for one in applied for event in one.events]
        reasons = [one.why_ignored for one in applied]
        return Applied(events, None if None in reasons else next(iter(reasons), NOT_OURS))

    return effect


async def _trace(platform: Platform, payment_intent_id: str | None) -> _Traced:
    """By what we know of the payment, else by Stripe: its session, or its invoice (Stripe's docs: `invoice_payments`,
    since API version 2025-03-31).
    """
    if payment_intent_id is None:
        return _Traced()
    if (order := await TopUpOrder.get_or_none(payment_intent_id=payment_intent_id)) is not None:
        return _Traced(order)
    if (session := await platform.stripe.find_checkout(payment_intent_id)) is not None:
        return _Traced(await checkouts.order_of(session), session)
    invoice_id = await platform.stripe.find_paid_invoice(payment_intent_id)
    if invoice_id is None:
        return _Traced()
    order = await TopUpOrder.get_or_none(stripe_id=invoice_id)
    return _Traced(order, theirs=await platform.stripe.invoice(invoice_id))


async def _note(platform: Platform, kind: ReversalKind, theirs: StripeReversal, paid: _Traced) -> Applied:
    events: list[Event] = []
    if theirs.status in INQUIRIES:
        return Applied(why_ignored="an inquiry, which moves no money")
    if paid.order is None:
        is_standing = theirs.status in STANDING[kind]
        about = None if paid.theirs is None else paid.theirs.id
        is_ours = await reversal_flags.flag_invoice(platform, kind, theirs, about, is_standing=is_standing)
        return Applied(why_ignored=None if is_ours else NOT_OURS)
    if paid.session is not None:  # the payment first: its own webhook may be late, or lost
        events += (await checkouts.note_checkout(platform, paid.session)).events
    if paid.theirs is not None:
        events += await card_orders.note_order(platform, paid.theirs) or ()
    order = await TopUpOrder.filter(tenant_id=paid.order.tenant_id, id=paid.order.id).select_for_update().get()
    if order.payment_intent_id is None:
        mine = TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id)
        await mine.update(payment_intent_id=theirs.payment_intent_id)
    is_standing = theirs.status in STANDING[kind]
    known = await Reversal.get_or_none(tenant_id=order.tenant_id, stripe_id=theirs.id)
    if known is None:
        await _add(platform, kind, theirs, order, is_standing=is_standing)
    elif known.is_standing and not is_standing:
        await Reversal.filter(tenant_id=order.tenant_id, id=known.id).update(is_standing=False)
        await _queue(platform, known, GIVE)
    return Applied(events)


async def _add(
    platform: Platform, kind: ReversalKind, theirs: StripeReversal, order: TopUpOrder, *, is_standing: bool
) -> None:
    """Also one that stands no more: whoever has looked at it earlier and comes later finds it over."""
    others = await Reversal.filter(tenant_id=order.tenant_id, order_id=order.id, is_standing=True)
    same_currency = theirs.amount.currency == order.currency
    entry_id = await paid_refunds.own_entry(order.tenant_id, theirs.metadata)
    if entry_id is not None:  # our own refund: the units were taken before it was made
        if is_standing:
            await paid_refunds.note_refund(platform, order, theirs, entry_id)
        return
    gone = sum(other.amount_minor for other in others) + theirs.amount.minor
    units = units_of(order, gone) if same_currency else order.units
    reversal = Reversal(
        tenant_id=order.tenant_id,
        stripe_id=theirs.id,
        order_id=order.id,
        kind=kind,
        amount_minor=theirs.amount.minor,
        currency=theirs.amount.currency,
        units=max(units - sum(other.units for other in others), 0),
        is_standing=is_standing,
        created_at=platform.clock.now(),
    )
    await insert_new(reversal, ["tenant_id", "stripe_id"])
    if is_standing:
        await _queue(platform, reversal, TAKE)


def units_of(order: TopUpOrder, gone_minor: int) -> int:
    """The units that so much of an order's price has paid for, rounded up."""
    units = -(-order.units * gone_minor // order.amount_minor)
    return int(min(units, order.units))


async def _queue(platform: Platform, reversal: Reversal, what: str, again: str = "") -> None:
    dedup = f"{reversal.id}:{what}{again}"
    payload = {"reversal": str(reversal.id), "what": what}
    await jobs.add_job(platform, tenant_id=reversal.tenant_id, topic=SETTLE, dedup=dedup, payload=payload)


async def settle_reversal(platform: Platform, job: Job) -> None:
    """The job: take the units back, or give back what was taken."""
    reversal = await Reversal.get(tenant_id=job.tenant_id, id=job.payload["reversal"])
    order = await TopUpOrder.get(tenant_id=job.tenant_id, id=reversal.order_id)
    if order.paid_at is None:  # another amount was paid than ordered: nothing was granted
        async with jobs.completing(job):
            pass
        return
    grant, _ = await orders.ensure_granted(platform, order)
    if job.payload["what"] == TAKE:
        await _take(platform, job, reversal, order, grant)
    else:
        await _give_back(platform, job, reversal, grant)


async def _take(platform: Platform, job: Job, reversal: Reversal, order: TopUpOrder, grant: CreditGrant) -> None:
    taken, steps = await _taken(reversal)
    if reversal.is_standing and taken < reversal.units:
        command = TakeCredits(
            tenant_id=reversal.tenant_id,
            grant_id=grant.id,
            kind=CreditEntryKind.REVOKED,
            now=platform.clock.now(),
            units=reversal.units - taken,
            note=_note_of(reversal, steps + 1),
            is_at_most=True,
        )
        taken += int(await operations.submit(platform, command))
        left = await CreditGrant.get(tenant_id=grant.tenant_id, id=grant.id)
        if taken < reversal.units and left.remaining:
            raise jobs.NotYet("credits are pledged to operations without an answer", PLEDGED_PAUSE)
    async with jobs.completing(job):
        await Reversal.filter(tenant_id=reversal.tenant_id, id=reversal.id).update(taken=taken)
        if reversal.is_standing and taken < reversal.units:
            await reversal_flags.flag_used(platform, reversal, order, taken)


def _note_of(reversal: Reversal, step: int) -> str:
    """What was pledged is taken later, so that there may be several steps."""
    return f"{reversal.kind}:{reversal.stripe_id}:{step}"


async def _taken(reversal: Reversal) -> tuple[int, int]:
    """What was taken so far, in how many steps."""
    units = steps = 0
    while (found := await taken_by(reversal.tenant_id, _note_of(reversal, steps + 1))) is not None:
        units, steps = units + found[1], steps + 1
    return units, steps


async def _give_back(platform: Platform, job: Job, reversal: Reversal, grant: CreditGrant) -> None:
    waiting = await waiting_jobs(reversal.tenant_id, SETTLE)
    if any(dedup.startswith(f"{reversal.id}:{TAKE}") for dedup in waiting):
        raise jobs.NotYet("it is still being taken", timedelta(seconds=5))
    taken = reversal.taken if reversal.entry_id is not None else (await _taken(reversal))[0]
    kind = CreditEntryKind.REVOKED if reversal.entry_id is None else CreditEntryKind.REFUNDED
    if taken:
        note = f"{reversal.kind}:{reversal.stripe_id}:back"
        command = RestoreCredits(reversal.tenant_id, grant.id, taken, kind, platform.clock.now(), note)
        await operations.submit(platform, command)
    async with jobs.completing(job):
        await reversal_flags.resolve_used(platform, reversal)
        await _share_anew(platform, reversal)


async def _share_anew(platform: Platform, gone: Reversal) -> None:
    """What else went back of the order may pay for more units now: each was reckoned beside those that stood then, a
    refund beside a dispute of all the money for none.
    """
    mine = TopUpOrder.filter(tenant_id=gone.tenant_id, id=gone.order_id)
    order = await mine.select_for_update().get()
    minor = units = 0
    for other in await Reversal.filter(tenant_id=order.tenant_id, order_id=order.id, is_standing=True).order_by("id"):
        minor += other.amount_minor
        share = units_of(order, minor) - units
        if other.entry_id is None and other.currency == order.currency and share > other.units:
            other.units = share
            await Reversal.filter(tenant_id=order.tenant_id, id=other.id).update(units=share)
            await _queue(platform, other, TAKE, f":{share}")
        units += other.units


async def reversals_of(found: Sequence[TopUpOrder]) -> dict[UUID, list[Reversal]]:
    """What went back of the orders of one tenant, by the order's id, oldest first."""
    if not found:
        return {}
    ids = [order.id for order in found]
    gone: dict[UUID, list[Reversal]] = {}
    for reversal in await Reversal.filter(tenant_id=found[0].tenant_id, order_id__in=ids).order_by("id"):
        gone.setdefault(reversal.order_id, []).append(reversal)
    return gone
