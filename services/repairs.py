"""Repairing what a comparison has found, where that is safe: a draft's items, a credit note, a charge, our state.

What a repair is to do is stored before it is tried, and whatever it makes carries the discrepancy's key: so it may be
tried again, by anybody, at any time. Lines of ours never change, and what another system made is never touched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from inkmeter.errors import SubscriptionInactive
from inkmeter.money import Money
from integrations.protocols import StripeInvoice
from services import invoice_items, invoice_states, invoices, jobs, pushing, refunds
from services.comparing import MONEY, STATES, Difference, DifferenceKind
from services.invoice_items import ItemToBe
from services.platform import Platform
from storage import discrepancies as stored
from storage.charges import Charge, ChargeKind
from storage.database import insert_new, transaction
from storage.discrepancies import Discrepancy
from storage.invoices import Invoice, InvoiceState
from storage.jobs import revive_job
from storage.subscriptions import PeriodState, enter_period


class RepairKind(StrEnum):
    """On a draft items are added, removed or replaced; of a finalized invoice too much is credited, too little is
    charged on our next invoice; a state is taken over; an invoice whose draft was deleted is pushed again.
    """

    ADD_ITEM = "ADD_ITEM"
    REMOVE_ITEM = "REMOVE_ITEM"
    REPLACE_ITEM = "REPLACE_ITEM"
    CREDIT_NOTE = "CREDIT_NOTE"
    CHARGE = "CHARGE"
    TAKE_STATE = "TAKE_STATE"
    PUSH_AGAIN = pushing.PUSH_AGAIN


ON_DRAFT: Final[Mapping[DifferenceKind, RepairKind]] = {
    DifferenceKind.MISSING: RepairKind.ADD_ITEM,
    DifferenceKind.EXTRA: RepairKind.REMOVE_ITEM,
    DifferenceKind.DUPLICATE: RepairKind.REMOVE_ITEM,
    DifferenceKind.AMOUNT: RepairKind.REPLACE_ITEM,
    DifferenceKind.PERIOD: RepairKind.REPLACE_ITEM,
}
FINAL: Final = ("open", "paid", "uncollectible")


def plan_repair(difference: Difference, theirs: StripeInvoice) -> RepairKind | None:
    """The repair that is safe, if there is one."""
    if difference.kind is DifferenceKind.STATE:
        is_ours_to_take = STATES.get(theirs.status, frozenset()) & set(InvoiceState)
        return RepairKind.TAKE_STATE if is_ours_to_take and theirs.status != "draft" else None
    if theirs.status == "draft":
        # One item with two lines goes with both of them.
        return None if difference.evidence.get("is_same_item") else ON_DRAFT.get(difference.kind)
    # With tax or discounts on top, what has to be given back is not the line's amount alone.
    if difference.kind not in MONEY or theirs.status not in FINAL or theirs.total != theirs.subtotal:
        return None
    if difference.too_much < 0:
        return RepairKind.CHARGE
    return RepairKind.CREDIT_NOTE if difference.too_much <= theirs.total.minor else None


@dataclass(frozen=True, slots=True)
class Mender:
    """Repairs what differs on one invoice. `items` are those that Stripe must have, by the id of their first line."""

    platform: Platform
    invoice: Invoice
    theirs: StripeInvoice
    items: Mapping[str, ItemToBe]

    async def run(self, row: Discrepancy, repair: RepairKind) -> bool:
        """Repair; answers whether it was done. False if somebody else has settled it meanwhile.

        Raises what Stripe says, and SubscriptionInactive if there is no next invoice; the discrepancy stays open.
        """
        is_retry = row.repair is not None
        if not await stored.begin_repair(row, repair.value):
            return False
        match repair:
            case RepairKind.TAKE_STATE:
                await _take_state(self.platform, self.theirs.id)
            case RepairKind.CREDIT_NOTE:
                await self._credit(row, is_retry=is_retry)
            case RepairKind.CHARGE:
                await self._charge(row)
            case _:
                await self._mend_draft(row, repair, is_retry=is_retry)
        await stored.finish_repair(row, self.platform.clock.now())
        return True

    async def _mend_draft(self, row: Discrepancy, repair: RepairKind, *, is_retry: bool) -> None:
        tenant_id, dedup = self.invoice.tenant_id, str(self.invoice.id)
        # First, so that the push goes on whoever dies here; it finalizes nothing while totals differ.
        await revive_job(tenant_id, pushing.PUSH, dedup, self.platform.clock.now())
        if repair is not RepairKind.ADD_ITEM:
            await self.platform.stripe.remove_item(str(row.evidence["stripe_item_id"]))
        if repair is not RepairKind.REMOVE_ITEM:
            item = self.items[str(row.evidence["line_item_id"])]
            await invoice_items.add_item(self.platform, self.invoice, self.theirs, item, key=row.key, is_retry=is_retry)
        await jobs.wake(self.platform, tenant_id, pushing.PUSH, dedup)

    async def _credit(self, row: Discrepancy, *, is_retry: bool) -> None:
        await self.platform.stripe.ensure_credit_note(
            key=row.key,
            is_retry=is_retry,
            invoice=self.theirs,
            amount=Money(row.theirs_minor - row.ours_minor, row.currency),
            memo=f"Correction: {row.explanation}",
            metadata={"discrepancy_id": str(row.id), "invoice_id": str(self.invoice.id)},
        )

    async def _charge(self, row: Discrepancy) -> None:
        tenant_id, now = self.invoice.tenant_id, self.platform.clock.now()
        async with transaction():
            period = await refunds.require_period(self.platform, tenant_id)
            if period.ends_at <= now:
                # Held, so that the last close of a subscription that has ended knows of it.
                entered = await enter_period(tenant_id, period.starts_at)
                if entered is None or entered.state is PeriodState.CLOSED:
                    raise SubscriptionInactive("the last period was closed meanwhile: there is no next invoice")
            await insert_new(
                Charge(
                    tenant_id=tenant_id,
                    idempotency_key=row.key,
                    kind=ChargeKind.CORRECTION,
                    meter="",
                    period_starts_at=period.starts_at,
                    label=f"Correction of invoice {self.theirs.number or self.theirs.id}: {_line_of(row)}",
                    amount_minor=row.ours_minor - row.theirs_minor,
                    currency=row.currency,
                    created_at=now,
                ),
                ["tenant_id", "idempotency_key"],
            )


async def _take_state(platform: Platform, stripe_invoice_id: str) -> None:
    theirs = await platform.stripe.invoice(stripe_invoice_id)
    async with transaction():
        events = await invoices.note_payment(platform, theirs)
        await invoice_states.mirror_invoice(platform, theirs)
    for event in events or []:
        await platform.plugins.publish(event)


@dataclass(frozen=True, slots=True)
class Resender:
    """Has an invoice pushed again whose draft was deleted at Stripe: it gets one of its own, with all of its lines."""

    platform: Platform
    invoice: Invoice

    async def run(self, row: Discrepancy, repair: RepairKind) -> bool:
        """Push it now; that resolves the discrepancy. Answers whether Stripe has it again; a worker goes on if not."""
        tenant_id, dedup, now = self.invoice.tenant_id, str(self.invoice.id), self.platform.clock.now()
        if not await stored.begin_repair(row, repair.value):
            return False
        await revive_job(tenant_id, pushing.PUSH, dedup, now)
        await jobs.run_now(self.platform, tenant_id, pushing.PUSH, dedup, pushing.push_invoice)
        pushed = await Invoice.get(tenant_id=tenant_id, id=self.invoice.id)
        if pushed.stripe_invoice_id == self.invoice.stripe_invoice_id:
            return False
        if pushed.state is not InvoiceState.FINALIZED:
            await _take_state(self.platform, str(pushed.stripe_invoice_id))  # its webhooks may be under way
        await stored.finish_repair(row, self.platform.clock.now())
        return True


def _line_of(row: Discrepancy) -> str:
    return str(row.evidence.get("label") or row.evidence.get("stripe_description") or "a line")


async def taken_off(
    platform: Platform, theirs: StripeInvoice, known: Mapping[tuple[str, str], Discrepancy]
) -> dict[tuple[str, str], int]:
    """What earlier repairs took off Stripe's invoice, in minor units by kind and subject; what they charged later is
    negative. Asked of Stripe and of our charges, not of what was meant to be done.
    """
    touched = {str(row.id): key for key, row in known.items() if row.repair or row.times > 1}
    if not touched or theirs.status == "draft":
        return {}
    sums = dict.fromkeys(touched.values(), 0)
    for note in await platform.stripe.credit_notes(theirs.id):
        key = touched.get(note.metadata.get("discrepancy_id", ""))
        if key is not None and not note.is_void:
            sums[key] += note.amount.minor
    for row_id, key in touched.items():
        for charge in await Charge.filter(
            tenant_id=known[key].tenant_id, idempotency_key__startswith=f"discrepancy:{row_id}:"
        ):
            sums[key] -= charge.amount_minor
    return sums
