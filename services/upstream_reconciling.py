"""Three books of a month: the upstream units of our events, what SignNow shows, and what it bills."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from inkmeter.errors import SignNowNotConnected
from inkmeter.money import Money
from integrations.protocols import SignNowDocument
from services import account_counters, identities, upstream_costs, upstream_sightings
from services.account_counters import DocumentCount
from services.margin import share_out
from services.platform import Platform
from services.problems import Problems
from services.upstream_books import read_days
from services.upstream_costs import month_start, next_month
from services.upstream_gaps import TOLD as TOLD
from services.upstream_gaps import Cause, Figure, GapReason, explain, figure_of
from storage.database import insert_new
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.documents import Document
from storage.tenants import Tenant
from storage.upstream import current_bills, current_figures
from storage.upstream_events import UpstreamEvent, count_operations, upstream_events

MAX_DOCUMENTS = 1_000
"""More than so many documents of a tenant in a month are not looked at one by one."""
KIND = "SIGNNOW_UNITS"


@dataclass(frozen=True, slots=True)
class ReconciledRow:
    """A tenant's month, or everyone's where there is no tenant. `theirs` is None where SignNow shows nothing to hold
    ours against, and `basis` says what it was: FIGURE or DOCUMENTS. `billed` is what the month's bills come to.
    """

    tenant: Tenant | None
    ours: int
    theirs: int | None
    basis: str | None
    causes: Sequence[Cause]
    unexplained: int
    declared: Sequence[Money]
    billed: Sequence[Money]
    documents: DocumentCount | None = None
    """What the account's own counter says, where there is one."""


@dataclass(slots=True)
class _Book:
    """What we have of a tenant's month."""

    events: list[UpstreamEvent] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)

    @property
    def units(self) -> int:
        return sum(event.units for event in self.events)


async def reconcile_signnow(
    platform: Platform,
    month: str,
    tenant: Tenant | None = None,
) -> list[ReconciledRow]:
    """Compare a calendar month in UTC, of one tenant, or of all with a row for the sum, which comes last.

    A gap of a tenant's that nothing explains is stored as a discrepancy, once. Raises InvalidInput and UpstreamError.
    """
    start, end = check_month(month)
    table = await upstream_costs.load_table(platform)
    books: dict[int, _Book] = {}
    async for event in upstream_events(start, end):
        book = books.setdefault(event.tenant_id, _Book())
        book.events.append(event)
        cost = table.unit_cost(event.kind, event.occurred_at)
        book.costs[cost.currency] = book.costs.get(cost.currency, 0) + cost.minor * event.units
    figures = await current_figures(*(at.date().isoformat() for at in (start, end)))
    bills = await _bills(start, end)
    weights = {owner: book.units for owner, book in books.items()}
    shares = {currency: share_out(amount, weights) for currency, amount in bills.items()}
    rows = []
    for owner in [tenant] if tenant is not None else await Tenant.all().order_by("id"):
        book = books.get(owner.id, _Book())
        sighting = await _look(platform, owner, book, start, end)
        figure = figure_of(figures, month, owner.signnow_folder_id) if owner.signnow_folder_id else None
        basis, theirs, causes = await _compare(owner, book, sighting, figure, start, end)
        told, unexplained = explain(theirs - book.units, causes) if theirs is not None else ([], 0)
        billed = [Money(parts[owner.id], currency) for currency, parts in shares.items() if owner.id in parts]
        documents = await account_counters.documents_of(platform, month, owner)
        row = ReconciledRow(owner, book.units, theirs, basis, told, unexplained, _money(book.costs), billed, documents)
        if row.unexplained:
            await _report(platform, month, row)
        rows.append(row)
    if tenant is not None:
        return rows
    total = _total(rows, figure_of(figures, month, ""), bills)
    return [*rows, replace(total, documents=await account_counters.documents_of(platform, month, None))]


def check_month(month: str) -> tuple[datetime, datetime]:
    """The instants [start, end) of "2026-03". Raises InvalidInput."""
    problems = Problems()
    try:
        is_month = len(month) == 7 and 1970 <= read_days(month)[0].year < 9000
    except ValueError:
        is_month = False
    problems.check(is_month, "is a month such as 2026-03, from 1970 to 8999", "month")
    problems.refuse()
    return month_start(month), month_start(next_month(month))


async def _bills(start: datetime, end: datetime) -> dict[str, int]:
    """The bills whose days lie in the month, by currency."""
    first, last = start.date().isoformat(), end.date().isoformat()
    found: dict[str, int] = {}
    for bill in await current_bills(first, last):
        if first <= bill.starts_on and bill.ends_on <= last:
            found[bill.currency] = found.get(bill.currency, 0) + bill.amount_minor
    return found


async def _look(
    platform: Platform,
    tenant: Tenant,
    book: _Book,
    start: datetime,
    end: datetime,
) -> upstream_sightings.Sighting | None:
    """Look at the documents that were invited in the month, at those made in it that we have not invited, and at what
    somebody else has put into the tenant's folder.
    """
    unsent = Document.filter(tenant_id=tenant.id, created_at__gte=start, created_at__lt=end, sent_at=None)
    # What is sent with a group is that group's: it is looked at as one.
    made = [document for document in await unsent if document.group_id is None or document.is_group]
    ids = sorted({event.document_id for event in book.events if event.document_id is not None}, key=str)
    if len(made) + len(ids) > MAX_DOCUMENTS:
        return None
    sent = [
        d
        for at in range(0, len(ids), 500)
        for d in await Document.filter(tenant_id=tenant.id, id__in=ids[at : at + 500])
    ]
    documents = [*sent, *(document for document in made if document.id not in set(ids))]
    try:
        foreign = await _foreign(platform, tenant, start, end)
        return await upstream_sightings.look(platform, tenant.id, documents, book.events, foreign)
    except SignNowNotConnected:
        return None  # nobody can look; its figure may still be there


async def _foreign(platform: Platform, tenant: Tenant, start: datetime, end: datetime) -> list[SignNowDocument]:
    """The documents of the month in the tenant's folder that we did not make."""
    if tenant.signnow_folder_id is None:
        return []
    signnow = identities.signnow_for(platform, tenant)
    listed = signnow.list_documents(tenant.signnow_folder_id, created_since=start)
    found = [document async for document in listed if start <= document.created_at < end]
    ids = [document.id for document in found]
    ours = {
        document.signnow_document_id
        for at in range(0, len(ids), 500)
        for document in await Document.filter(tenant_id=tenant.id, signnow_document_id__in=ids[at : at + 500])
    }
    return [document for document in found if document.id not in ours]


async def _compare(
    tenant: Tenant,
    book: _Book,
    sighting: upstream_sightings.Sighting | None,
    figure: Figure | None,
    start: datetime,
    end: datetime,
) -> tuple[str | None, int | None, list[Cause]]:
    """What SignNow says, and why it may differ: by its figure where it has one, else by the documents it shows."""
    if figure is None:
        return ("DOCUMENTS", sighting.units, list(sighting.causes)) if sighting is not None else (None, None, [])
    taken = max(row.recorded_at for row in figure.rows)
    late = sum(event.units for event in book.events if event.occurred_at > taken)
    # A figure has live invites alone, and whether it has one that was cancelled is not documented.
    seen = [c for c in sighting.causes if c.reason is not GapReason.DEVELOPMENT] if sighting is not None else []
    causes = [Cause(GapReason.LATE, -late), *(Cause(c.reason, c.units, is_certain=False) for c in seen)]
    operations = await count_operations(tenant.id, start, end)
    causes.append(Cause(GapReason.RESENT, operations.get(("RESEND", "SUCCEEDED"), 0), is_certain=False))
    return "FIGURE", figure.units, causes


def _total(rows: Sequence[ReconciledRow], figure: Figure | None, bills: Mapping[str, int]) -> ReconciledRow:
    """Everyone's month. Without a figure of the account it is the sum of what was found for the tenants."""
    ours = sum(row.ours for row in rows)
    declared: dict[str, int] = {}
    for money in (money for row in rows for money in row.declared):
        declared[money.currency] = declared.get(money.currency, 0) + money.minor
    found: dict[GapReason, int] = {}
    for cause in (cause for row in rows for cause in row.causes):
        found[cause.reason] = found.get(cause.reason, 0) + cause.units
    if figure is not None:
        development = GapReason.DEVELOPMENT
        causes = [Cause(reason, units, is_certain=False) for reason, units in found.items() if reason != development]
        told, unexplained = explain(figure.units - ours, causes)
        return ReconciledRow(None, ours, figure.units, "FIGURE", told, unexplained, _money(declared), _money(bills))
    if any(row.theirs is None for row in rows):
        return ReconciledRow(None, ours, None, None, [], 0, _money(declared), _money(bills))
    theirs = sum(row.theirs or 0 for row in rows)
    told, unexplained = explain(theirs - ours, [Cause(reason, units) for reason, units in found.items()])
    return ReconciledRow(None, ours, theirs, "DOCUMENTS", told, unexplained, _money(declared), _money(bills))


def _money(sums: Mapping[str, int]) -> list[Money]:
    return [Money(minor, currency) for currency, minor in sorted(sums.items())]


async def _report(platform: Platform, month: str, row: ReconciledRow) -> None:
    assert row.tenant is not None  # noqa: S101 - the sum has no discrepancies of its own
    assert row.theirs is not None  # noqa: S101 - it differs from ours
    await insert_new(
        Discrepancy(
            tenant_id=row.tenant.id,
            kind=KIND,
            subject=month,
            ours_minor=row.ours,
            theirs_minor=row.theirs,
            currency="",
            evidence={
                "basis": row.basis,
                "unexplained": row.unexplained,
                "causes": {cause.reason: cause.units for cause in row.causes},
            },
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        ),
        ["tenant_id", "kind", "subject"],
    )
