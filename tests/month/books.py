"""The end of the random month: every book is opened, and each must tell what the others tell."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from inkmeter.usage import Aggregation, Meter
from services import counters, dues
from services.measures import LEVELS, SEATS, MeterBook, scaled
from services.meters import refresh
from services.tenants import Tenant, TenantState
from storage.charges import Charge
from storage.credits import CreditEntry, CreditEntryKind, CreditGrant
from storage.database import rows
from storage.discounts import Discount
from storage.discrepancies import Discrepancy
from storage.documents import Document
from storage.fields import to_micros
from storage.invoices import Invoice, InvoiceState, LineItem, LineKind
from storage.operations import Operation, OperationKind, OperationState
from storage.subscriptions import Period, Subscription, covered_spans
from storage.usage import UsageEvent, read_counters
from tests.month.agenda import Agenda
from tests.month.cast import BUYING_CAPS, HARD_LIMITS, ROLES, SPEND_CAPS
from tests.month.month import Month

FACTS = {
    "uploads": "documents_created",
    "invites_charged": "invites_sent",
    "signatures": "signatures",
    "completions": "documents_completed",
}
"""What SignNow's books call our meters."""


async def assert_books_agree(month: Month) -> None:
    """Fails with the first book that tells something else."""
    await assert_nothing_is_open()
    report = await counters.rebuild_counters(month.platform, None, check=True)
    assert not report.differences, [str(difference) for difference in report.differences]
    book = await refresh(month.platform)
    for role in ROLES:
        tenant = await Tenant.get(external_reference=role.reference)
        assert tenant.state is TenantState.ACTIVE
        events = await UsageEvent.filter(tenant_id=tenant.id)
        await assert_counters_follow_from_events(tenant, book, events)
        assert_what_was_heard_is_there(month.agenda, tenant, events)
        await assert_operations_are_counted(tenant, events)
        await assert_credits_add_up(month, tenant)
        await assert_limits_held(tenant)
        await assert_signnow_agrees(month, tenant, events)
        await assert_invoices_follow_from_facts(month, tenant)
        await assert_charges_are_billed_once(tenant)
        await assert_discounts_are_counted(tenant)
    await assert_stripe_agrees(month)


async def assert_nothing_is_open() -> None:
    assert not await Operation.filter(state__in=["RESERVED", "UNKNOWN"])
    held = await rows("SELECT * FROM usage_counter WHERE reserved <> 0 OR pledged <> 0")
    assert not held, list(map(dict, held))
    failed = await rows("SELECT tenant_id, topic, dedup, last_error FROM job WHERE state = 'FAILED'")
    assert not failed, list(map(dict, failed))
    found = await Discrepancy.all()
    assert not found, [each.evidence for each in found]


def in_periods(periods: Sequence[Period], events: Iterable[UsageEvent]) -> dict[Period, list[UsageEvent]]:
    """The events of each period; fails if one lies in none, or in two."""
    found: dict[Period, list[UsageEvent]] = {period: [] for period in periods}
    for event in events:
        [period] = [p for p in periods if p.starts_at <= event.occurred_at < p.ends_at]
        found[period].append(event)
    return found


async def assert_counters_follow_from_events(tenant: Tenant, book: MeterBook, events: Sequence[UsageEvent]) -> None:
    """Counted here in the simplest way that there is: in memory, one event after the other."""
    taken_back = Counter(event.reverses for event in events if event.reverses)
    assert set(taken_back.values()) <= {1}, "an event was taken back twice"
    periods = await Period.filter(tenant_id=tenant.id).order_by("starts_at")
    for period, inside in in_periods(periods, events).items():
        standing = [event for event in inside if event.reverses is None and event.id not in taken_back]
        says = {code: c.used for code, c in (await read_counters(tenant.id, period.starts_at)).items() if c.used}
        must = {code: _count(meter, standing) for code, meter in book.meters.items() if _has_counter(meter)}
        # A meter that was made after the close counts only what came later.
        late = {code for code in must if code in says or must[code]} if period.closed_at else set()
        young = {code for code in late if code in await _younger(period)}
        assert {c: n for c, n in says.items() if c not in young} == {
            c: n for c, n in must.items() if n and c not in young
        }, f"{tenant.external_reference} {period.span}"


async def _younger(period: Period) -> set[str]:
    found = await rows("SELECT code, created_at FROM meter")
    assert period.closed_at is not None
    return {entry["code"] for entry in found if entry["created_at"] >= to_micros(period.closed_at)}


def _has_counter(meter: Meter) -> bool:
    return meter.aggregation not in LEVELS and SEATS not in (meter.code, meter.source)


def _count(meter: Meter, standing: Sequence[UsageEvent]) -> int:
    counted = [
        event
        for event in standing
        if event.meter == (meter.source or meter.code)
        and all((event.properties or {}).get(name) in values for name, values in meter.filters.items())
    ]
    match meter.aggregation:
        case Aggregation.COUNT:
            return len(counted)
        case Aggregation.UNIQUE:
            return len({event.properties[str(meter.property)] for event in counted if event.properties})
        case Aggregation.MAX:
            return max([event.quantity for event in counted], default=0)
        case _:
            return sum(event.quantity for event in counted)


def assert_what_was_heard_is_there(agenda: Agenda, tenant: Tenant, events: Sequence[UsageEvent]) -> None:
    """Whatever was confirmed is stored once, as it was sent; nothing is stored that nobody has sent."""
    decimals = {"pages": 2, "storage": 3}
    stored = {event.idempotency_key: event for event in events}
    assert len(stored) == len(events)
    sent = {key: fact for key, fact in agenda.facts.items() if fact.tenant == tenant.external_reference}
    assert {key for key in sent if key in agenda.counted} <= stored.keys(), "confirmed, and not there"
    assert {key for key, event in stored.items() if event.source == "api"} <= sent.keys()
    for key, fact in sent.items():
        if (event := stored.get(key)) is not None:
            units = scaled(fact.quantity, decimals.get(fact.meter, 0))
            as_stored = (event.meter, event.quantity, event.occurred_at, event.properties or {})
            assert as_stored == (fact.meter, units, fact.occurred_at, fact.properties)
    fixes = {key: fix for key, fix in agenda.corrections.items() if key.startswith(f"{tenant.external_reference}-")}
    for key, (was, quantity) in fixes.items():
        reversal, replacement = stored.get(f"correction:{key}"), stored.get(f"replacement:{key}")
        if key in agenda.done:
            assert reversal is not None
        if reversal is not None:
            assert reversal.reverses == stored[was].id
            assert reversal.quantity == -stored[was].quantity
            assert (replacement is not None) == (quantity is not None)
        else:
            assert replacement is None
    own = {key for key, event in stored.items() if event.source == "correction"}
    assert own <= {f"{kind}:{key}" for kind in ("correction", "replacement") for key in fixes}


async def assert_operations_are_counted(tenant: Tenant, events: Sequence[UsageEvent]) -> None:
    """Each success has its events, once; nothing else has any."""
    must = set()
    units = {"UPLOAD": "documents_created", "INVITE": "invites_sent", "DOWNLOAD": "downloads"}
    for operation in await Operation.filter(tenant_id=tenant.id, state=OperationState.SUCCEEDED):
        must |= {f"op:{operation.id}:{meter}" for meter in (units[operation.kind], "api_calls")}
    assert {event.idempotency_key for event in events if event.source == "operation"} == must
    uploads = await Operation.filter(tenant_id=tenant.id, kind=OperationKind.UPLOAD, state=OperationState.SUCCEEDED)
    documents = await Document.filter(tenant_id=tenant.id)
    assert {operation.document_id for operation in uploads} == {document.id for document in documents}
    invited = await Operation.filter(tenant_id=tenant.id, kind=OperationKind.INVITE, state=OperationState.SUCCEEDED)
    assert {o.document_id for o in invited} == {document.id for document in documents if document.sent_at}


async def assert_credits_add_up(month: Month, tenant: Tenant) -> None:
    agenda, now = month.agenda, month.clock.now()
    entries = await CreditEntry.filter(tenant_id=tenant.id)
    grants = await CreditGrant.filter(tenant_id=tenant.id)
    used: defaultdict[tuple[Any, str], int] = defaultdict(int)
    for entry in entries:
        if entry.kind in (CreditEntryKind.CONSUMED, CreditEntryKind.RETURNED):
            used[entry.period_starts_at, entry.meter] -= entry.units
    for grant in grants:
        assert 0 <= grant.remaining <= grant.units
        assert grant.remaining == sum(entry.units for entry in entries if entry.grant_id == grant.id)
        assert [e.units for e in entries if (e.grant_id, e.kind) == (grant.id, CreditEntryKind.GRANTED)] == [
            grant.units
        ]
    for period in await Period.filter(tenant_id=tenant.id):
        for meter, counter in (await read_counters(tenant.id, period.starts_at)).items():
            assert counter.credited == used.pop((period.starts_at, meter), 0)
            assert 0 <= counter.credited <= counter.used
    assert not any(used.values())
    mine = [
        deed for deed in agenda.deeds.values() if deed.tenant == tenant.external_reference and deed.key in agenda.done
    ]
    heard = {agenda.done[d.key]["grant"] for d in mine if d.kind in ("give", "buy")} - {None}
    by_hand = {str(grant.id) for grant in grants if not grant.idempotency_key.startswith("auto:")}
    asked = {
        d.key for d in agenda.deeds.values() if d.tenant == tenant.external_reference and d.kind in ("give", "buy")
    }
    assert heard <= by_hand
    assert {g.idempotency_key.partition(":")[2] for g in grants if str(g.id) in by_hand} <= asked
    for deed in mine:
        if deed.kind in ("revoke", "refund"):
            taken = [-e.units for e in entries if e.note and e.note.endswith(f":{deed.key}")]
            assert sum(taken) == agenda.done[deed.key]["units"]
            assert len(taken) <= 1
    expired = [grant for grant in grants if grant.expires_at is not None and grant.expires_at <= now]
    assert not any(grant.remaining for grant in expired), "expired, and still there"


async def assert_limits_held(tenant: Tenant) -> None:
    """Of those whose plan never changes: no operation has passed a limit, neither in units nor in money."""
    for meter, limit in HARD_LIMITS.get(tenant.external_reference, {}).items():
        for period in await Period.filter(tenant_id=tenant.id):
            if (counter := (await read_counters(tenant.id, period.starts_at)).get(meter)) is not None:
                assert counter.used - counter.credited <= limit
    for meter, cap in SPEND_CAPS.get(tenant.external_reference, {}).items():
        spent: Counter[Any] = Counter()
        for line in await LineItem.filter(tenant_id=tenant.id, meter=meter):
            if LineKind.USAGE in (line.kind, line.adjusts):
                spent[line.service_period_id] += line.amount_minor
        assert max(spent.values(), default=0) <= cap
    for meter, cap in BUYING_CAPS.get(tenant.external_reference, {}).items():
        bought: Counter[Any] = Counter()
        for charge in await Charge.filter(tenant_id=tenant.id, meter=meter, kind="AUTO_TOP_UP"):
            bought[charge.period_starts_at] += charge.amount_minor
        assert max(bought.values(), default=0) <= cap


async def assert_signnow_agrees(month: Month, tenant: Tenant, events: Sequence[UsageEvent]) -> None:
    books = (await month.signnow.get("/_sandbox/books")).json()
    theirs = books["folders"].get(tenant.signnow_folder_id, dict.fromkeys([*FACTS, "downloads"], 0))
    ours = {
        fact: sum(e.quantity for e in events if e.meter == meter and e.source in ("operation", "signnow"))
        for fact, meter in FACTS.items()
    }
    has_left = any(span.end for span in (await covered_spans(tenant.id))[:-1])
    for fact in FACTS:
        if has_left and fact in ("signatures", "completions"):  # what is signed while nobody pays is not counted
            assert ours[fact] <= theirs[fact], fact
        else:
            assert ours[fact] == theirs[fact], (tenant.external_reference, fact, ours, theirs)
    assert sum(event.upstream_units for event in events) == theirs["invites_charged"]
    assert sum(i.upstream_units for i in await Invoice.filter(tenant_id=tenant.id)) == theirs["invites_charged"]
    assert sum(e.quantity for e in events if e.meter == "downloads") <= theirs["downloads"]
    mine = [paper.signnow for paper in month.agenda.papers.values() if paper.tenant == tenant.external_reference]
    assert len(set(mine)) == len(mine)
    counts = [books["documents"][signnow_id] for signnow_id in mine]
    assert all(count["uploads"] == 1 and count["invites_charged"] <= 1 for count in counts)


async def assert_invoices_follow_from_facts(month: Month, tenant: Tenant) -> None:
    """Each period that is over is billed once, and rating it again finds nothing to bill."""
    billed = Counter(i.period_id for i in await Invoice.filter(tenant_id=tenant.id, kind="PERIOD"))
    periods = await Period.filter(tenant_id=tenant.id).order_by("starts_at")
    assert billed == Counter(period.id for period in periods)
    for before, after in pairwise(periods):
        assert before.ends_at <= after.starts_at
        assert before.ends_at == after.starts_at or before.subscription_id != after.subscription_id
    for period in periods:
        subscription = await Subscription.get(tenant_id=tenant.id, id=period.subscription_id)
        again = await dues.outstanding(month.platform, subscription, period, is_first=False)
        found = [(line.kind, line.line.label, line.line.total.minor, line.explanation) for line in again]
        assert not found, f"{tenant.external_reference} {period.span}: {found}"
    for invoice in await Invoice.filter(tenant_id=tenant.id):
        items = await LineItem.filter(tenant_id=tenant.id, invoice_id=invoice.id)
        assert invoice.total_minor == sum(item.amount_minor for item in items)
        assert invoice.state is InvoiceState.PAID


async def assert_charges_are_billed_once(tenant: Tenant) -> None:
    charges = await Charge.filter(tenant_id=tenant.id)
    lines = await LineItem.filter(tenant_id=tenant.id, kind=LineKind.CHARGE)
    assert Counter((c.invoice_id, c.label, c.amount_minor) for c in charges) == Counter(
        (line.invoice_id, line.label, line.amount_minor) for line in lines
    )
    bought = {f"grant:{g.idempotency_key}" for g in await CreditGrant.filter(tenant_id=tenant.id, source="TOP_UP")}
    assert Counter(c.idempotency_key for c in charges if c.kind != "REFUND") == Counter(bought)
    refunded = await CreditEntry.filter(tenant_id=tenant.id, kind=CreditEntryKind.REFUNDED)
    assert Counter(c.idempotency_key for c in charges if c.kind == "REFUND") == Counter(
        f"refund:{e.id}" for e in refunded
    )


async def assert_discounts_are_counted(tenant: Tenant) -> None:
    """No period has something off for which no discount was meant."""
    discounts = await Discount.filter(tenant_id=tenant.id)
    periods = await Period.filter(tenant_id=tenant.id).order_by("starts_at")
    meant = set()
    for discount in discounts:
        mine = [p for p in periods if p.subscription_id == discount.subscription_id]
        counted = [p for p in mine if p.starts_at >= discount.starts_at][: discount.periods]
        meant |= {p.id for p in counted if discount.ended_at is None or discount.ended_at >= p.ends_at}
    off: Counter[Any] = Counter()
    for line in await LineItem.filter(tenant_id=tenant.id):
        if LineKind.DISCOUNT in (line.kind, line.adjusts):
            off[line.service_period_id] += line.amount_minor
    assert all(amount <= 0 for amount in off.values())
    assert {period for period, amount in off.items() if amount} <= meant


async def assert_stripe_agrees(month: Month) -> None:
    """Invoice by invoice and line by line; what is at Stripe besides ours comes to nothing."""
    books = (await month.stripe.get("/_sandbox/books")).json()
    theirs = {invoice["id"]: invoice for invoice in books["invoice"]}
    items = {item["id"]: item for item in books["invoiceitem"]}
    for invoice in await Invoice.all():
        assert invoice.stripe_invoice_id is not None
        at_stripe = theirs.pop(invoice.stripe_invoice_id)
        assert (at_stripe["status"], at_stripe["total"]) == ("paid", invoice.total_minor)
        for line in await LineItem.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id):
            if line.amount_minor:
                assert line.stripe_item_id is not None
                item = items.pop(line.stripe_item_id)
                assert (item["amount"], item["invoice"]) == (line.amount_minor, at_stripe["id"])
    assert not items, f"lines that are not ours: {items}"
    assert not [i for i in theirs.values() if i["total"] or i["amount_paid"]], "invoices that are not ours"
    assert Counter(c["metadata"]["external_reference"] for c in books["customer"]) == Counter(
        r.reference for r in ROLES
    )
    running = [s for s in books["subscription"] if s["status"] != "canceled"]
    assert not running, running
