"""The end of the signing month: our books against the sandbox's, and a margin that is computed here once more."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from inkmeter.money import Money
from integrations.signnow.sandbox.books import Fact
from services import counters, margins, upstream_books, upstream_reconciling
from services.margin import Measure
from services.margins import MarginGroup
from services.tenants import Tenant
from services.upstream_books import NewBill, NewFigure, NewRecord
from storage.database import rows
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.documents import Document
from storage.invoices import Invoice, InvoiceState
from storage.operations import Operation
from storage.usage import UsageEvent
from tests.signing_month.cast import BILL, FIELD_COSTS, FREE_FORM_COST, LIVE_AT, MONTHLY_FEE, PRICES, ROLES
from tests.signing_month.month import SigningMonth
from tests.signing_month.stories import FREE_FORM

FACTS: Final = {
    "documents_created": Fact.UPLOADS,
    "invites_sent": Fact.INVITES_SENT,
    "signatures": Fact.SIGNATURES,
    "documents_completed": Fact.COMPLETIONS,
}
APRIL: Final = datetime(2026, 4, 1, tzinfo=UTC)


async def assert_books_agree(month: SigningMonth) -> None:
    """Fails with the first book that tells something else."""
    await assert_nothing_is_open()
    report = await counters.rebuild_counters(month.platform, None, check=True)
    assert not report.differences, [str(difference) for difference in report.differences]
    await assert_usage_is_theirs(month)
    await assert_margin_is_right(month)
    await assert_gaps_are_explained(month)


async def assert_nothing_is_open() -> None:
    assert not await Operation.filter(state__in=["RESERVED", "UNKNOWN"])
    held = await rows("SELECT * FROM usage_counter WHERE reserved <> 0 OR pledged <> 0")
    assert not held, list(map(dict, held))
    failed = await rows("SELECT tenant_id, topic, dedup, last_error FROM job WHERE state = 'FAILED'")
    assert not failed, list(map(dict, failed))
    found = await Discrepancy.filter(state__not=DiscrepancyState.RESOLVED)
    assert not found, [(each.kind, each.subject, each.evidence) for each in found]


async def _ours(tenant: Tenant) -> set[str]:
    """The ids in SignNow of a tenant's documents."""
    mine = await Document.filter(tenant_id=tenant.id)
    return {document.signnow_document_id for document in mine if not document.is_group}


async def assert_usage_is_theirs(month: SigningMonth) -> None:
    """Per tenant and unit; every document in SignNow is one tenant's or nobody's."""
    entries = month.world.books.entries
    known = set(month.foreign)
    for role in ROLES:
        tenant = await Tenant.get(external_reference=role.reference)
        mine = await _ours(tenant)
        assert not mine & known, "a document of two"
        known |= mine
        theirs = Counter(entry.fact for entry in entries if entry.document_id in mine)
        # What somebody has sent in the web app is charged to the operator, and sold to nobody.
        elsewhere = mine & month.sent_there
        theirs[Fact.INVITES_SENT] -= len(elsewhere)
        charged = {e.document_id for e in entries if e.fact is Fact.INVITES_CHARGED}
        theirs[Fact.INVITES_CHARGED] -= len(elsewhere & charged)
        events = await UsageEvent.filter(tenant_id=tenant.id)
        ours = Counter[str]()
        for event in events:
            ours[event.meter] += event.quantity
        told = {meter: (ours[meter], theirs[fact]) for meter, fact in FACTS.items()}
        assert all(here == there for here, there in told.values()), (role.reference, told)
        assert sum(event.upstream_units for event in events) == theirs[Fact.INVITES_CHARGED], role.reference
        assert ours["downloads"] <= theirs[Fact.DOWNLOADS]  # one without an answer has no effect, and is not sold
        developed = [e for e in events if e.meter == "invites_sent" and e.occurred_at < LIVE_AT]
        assert not sum(event.upstream_units for event in developed)
    assert {entry.document_id for entry in entries} <= known, "a document that nobody knows"


def cost_of(month: SigningMonth, documents: set[str]) -> int:
    """What SignNow charged for these documents' invites, in cents, by its own books and the story of each."""
    free_form = {
        signnow_id
        for story in month.stories
        if story.kind in FREE_FORM
        for name, signnow_id in story.documents.items()
        if name.endswith("@")
    }
    cost = 0
    for entry in month.world.books.entries:
        if entry.fact is Fact.INVITES_CHARGED and entry.document_id in documents - month.sent_there:
            in_force = [cents for starts_at, cents in FIELD_COSTS if starts_at <= entry.at]
            cost += FREE_FORM_COST if entry.document_id in free_form else in_force[-1]
    return cost


def divided(amount: int, weights: dict[int, int]) -> dict[int, int]:
    """An amount by largest remainders, of equal ones to the first tenant."""
    exact = {key: Decimal(amount * weight) / sum(weights.values()) for key, weight in weights.items() if weight}
    parts = {key: int(share) for key, share in exact.items()}
    for key in sorted(exact, key=lambda key: (parts[key] - exact[key], key))[: amount - sum(parts.values())]:
        parts[key] += 1
    return parts


async def assert_margin_is_right(month: SigningMonth) -> None:
    """To the cent: sold by the sandbox's books, bought by its dates, fee and bill divided by largest remainders."""
    bill = NewBill("2026-03", "SN-1", Decimal(BILL) / 100, "USD")
    await upstream_books.record(month.platform, [NewRecord(("bill",), bill)], "invoices")
    tenants = {role.reference: await Tenant.get(external_reference=role.reference) for role in ROLES}
    in_march = {
        tenant.id: sum(e.upstream_units for e in await UsageEvent.filter(tenant_id=tenant.id) if e.occurred_at < APRIL)
        for tenant in tenants.values()
    }
    fees, bills = divided(MONTHLY_FEE, in_march), divided(BILL, in_march)
    report = await margins.read_margin(month.platform, date(2026, 3, 1), date(2026, 6, 1), MarginGroup.TENANT, "USD")
    found = {row.key: row for row in report.rows}
    revenue = cost = 0
    for tenant in tenants.values():
        mine = await _ours(tenant)
        sold = Counter(entry.fact for entry in month.world.books.entries if entry.document_id in mine)
        sold[Fact.INVITES_SENT] -= len(mine & month.sent_there)
        rated = sum(cents * sold[FACTS[meter]] for meter, cents in PRICES.items())
        declared = cost_of(month, mine) + fees.get(tenant.id, 0)
        row = found.pop(tenant.id)
        says = [row.money(m).minor for m in (Measure.RATED, Measure.BILLED, Measure.COLLECTED, Measure.DECLARED)]
        assert says == [rated, rated, rated, declared], (tenant.external_reference, says, rated, declared)
        assert row.money(Measure.ACTUAL).minor == bills.get(tenant.id, 0)
        assert row.margin() == Money(rated - declared, "USD")
        assert row.units(Measure.SOLD) == sold[Fact.INVITES_SENT]
        invoiced = await Invoice.filter(tenant_id=tenant.id)
        assert {invoice.state for invoice in invoiced} == {InvoiceState.PAID}
        assert sum(invoice.total_minor for invoice in invoiced) == rated
        revenue, cost = revenue + rated, cost + declared
    assert not found, "somebody else has a margin"
    [total] = report.totals
    assert (total.money(Measure.RATED).minor, total.money(Measure.DECLARED).minor) == (revenue, cost)
    assert total.money(Measure.ACTUAL).minor == BILL
    for group in MarginGroup:
        again = await margins.read_margin(month.platform, date(2026, 3, 1), date(2026, 6, 1), group, "USD")
        assert again.totals[0].sums == total.sums, group


async def assert_gaps_are_explained(month: SigningMonth) -> None:
    """By the documents as they stand in SignNow, and again by the figures that SignNow's dashboard would show."""
    for name in ("2026-03", "2026-04"):
        for row in await upstream_reconciling.reconcile_signnow(month.platform, name):
            assert row.theirs is not None
            assert row.unexplained == 0, (name, row)
    charged = [e for e in month.world.books.entries if e.fact is Fact.INVITES_CHARGED and e.at < APRIL]
    figures = [NewFigure("2026-03", len(charged))]
    for role in ROLES:
        tenant = await Tenant.get(external_reference=role.reference)
        mine, folder = await _ours(tenant), str(tenant.signnow_folder_id)
        # A document that SignNow makes of a template or a URL may be sent before it is moved to the tenant's folder.
        count = sum(entry.folder_id == folder or entry.document_id in mine for entry in charged)
        figures.append(NewFigure("2026-03", count, folder=folder))
    records = [NewRecord(("figures", str(n)), figure) for n, figure in enumerate(figures)]
    await upstream_books.record(month.platform, records, "dashboard")
    for row in await upstream_reconciling.reconcile_signnow(month.platform, "2026-03"):
        assert row.basis == "FIGURE"
        assert row.unexplained == 0, row
    assert not await Discrepancy.exists(kind=upstream_reconciling.KIND)
