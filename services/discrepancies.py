"""Discrepancies: opened once for what they are about, explained by a person, resolved when the books are equal."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from inkmeter.errors import Conflict, NotFound
from inkmeter.events import DiscrepancyFound
from services.comparing import Difference
from services.platform import Platform
from services.problems import Problems
from storage import discrepancies as stored
from storage.database import insert_new
from storage.discrepancies import Discrepancy as Discrepancy
from storage.discrepancies import DiscrepancyState as DiscrepancyState
from storage.tenants import Tenant

MAX_NOTE = 1000

Known = Mapping[tuple[str, str], Discrepancy]
"""Discrepancies of a tenant by kind and subject, as they were before anything was compared."""


async def known_of(tenant_id: int, scope: str) -> Known:
    """A tenant's about one thing, settled ones included: what comes back is opened again."""
    found = await Discrepancy.filter(tenant_id=tenant_id, subject__startswith=scope)
    return {(row.kind, row.subject): row for row in found if scope_of(row.subject) == scope}


def scope_of(subject: str) -> str:
    """What a subject is about: its first word, such as an invoice's id."""
    return subject.partition(" ")[0]


async def note_differences(
    platform: Platform,
    tenant: Tenant,
    known: Known,
    scope: str,
    kinds: Collection[str],
    differences: Sequence[Difference],
) -> list[tuple[Difference, Discrepancy]]:
    """Take over what a comparison of `scope` (the first word of its subjects) has found: new ones are opened, the
    others resolved. Answers each difference with its row.

    A row that somebody has changed since it was `known` is left to them: what was compared is older than that.
    """
    noted = []
    found_keys = set()
    for difference in differences:
        found_keys.add((difference.kind.value, difference.subject))
        row = await _note(platform, tenant, known, difference)
        if row is not None:
            noted.append((difference, row))
    for key, row in known.items():
        is_in_scope = key[0] in kinds and scope_of(row.subject) == scope
        if is_in_scope and key not in found_keys and row.state is not DiscrepancyState.RESOLVED:
            await stored.settle(row, DiscrepancyState.RESOLVED, platform.clock.now())
    return noted


async def _note(platform: Platform, tenant: Tenant, known: Known, difference: Difference) -> Discrepancy | None:
    """The row of a difference as it stands now; None if somebody else has changed it meanwhile."""
    found = _row_of(platform, tenant, difference)
    row = known.get((found.kind, found.subject))
    if row is not None and _stands(row, found):
        return row
    return await _open(platform, row, found)


async def open_discrepancy(platform: Platform, found: Discrepancy) -> None:
    """Open what a use case has come across, once while it is open; outside of a transaction, for plugins are told."""
    row = await Discrepancy.get_or_none(tenant_id=found.tenant_id, kind=found.kind, subject=found.subject)
    if row is None or not _stands(row, found):
        await _open(platform, row, found)


async def open_in_transaction(found: Discrepancy) -> bool:
    """Open what an effect has come across, in its transaction; plugins are not told. Answers whether this call did.

    What somebody has explained stays so: an effect says the same as often as its webhook comes.
    """
    if await insert_new(found, ["tenant_id", "kind", "subject"]):
        return True
    known = await Discrepancy.get(tenant_id=found.tenant_id, kind=found.kind, subject=found.subject)
    return known.state is DiscrepancyState.RESOLVED and await stored.open_again(known, found)


async def _open(platform: Platform, known: Discrepancy | None, found: Discrepancy) -> Discrepancy | None:
    if known is None:
        is_opened = await insert_new(found, ["tenant_id", "kind", "subject"])
    else:
        is_opened = await stored.open_again(known, found)
    if not is_opened:
        return None
    row = await Discrepancy.get(tenant_id=found.tenant_id, kind=found.kind, subject=found.subject)
    tenant = await Tenant.get(id=found.tenant_id)
    await platform.plugins.publish(
        DiscrepancyFound(str(tenant.public_id), found.created_at, str(row.id), row.kind, row.explanation or row.kind)
    )
    return row


def _row_of(platform: Platform, tenant: Tenant, difference: Difference) -> Discrepancy:
    return Discrepancy(
        tenant_id=tenant.id,
        kind=difference.kind.value,
        subject=difference.subject,
        ours_minor=difference.ours.minor,
        theirs_minor=difference.theirs.minor,
        currency=difference.theirs.currency,
        evidence=dict(difference.evidence),
        explanation=difference.explanation,
        state=DiscrepancyState.OPEN,
        created_at=platform.clock.now(),
    )


def _stands(row: Discrepancy, found: Discrepancy) -> bool:
    """Whether a row that was opened before speaks of what is found now."""
    if row.state is DiscrepancyState.OPEN and row.repair and row.repaired_at is None:
        return True  # what its repair does goes by what it says
    is_same = (row.ours_minor, row.theirs_minor, row.explanation) == (
        found.ours_minor,
        found.theirs_minor,
        found.explanation,
    )
    return is_same and row.state is not DiscrepancyState.RESOLVED


async def resolve(platform: Platform, tenant_id: int, kinds: Iterable[str], subject: str) -> None:
    """What was wrong with a subject is right again; in the caller's transaction."""
    unsettled = Discrepancy.filter(tenant_id=tenant_id, kind__in=list(kinds), subject=subject)
    for row in await unsettled.exclude(state=DiscrepancyState.RESOLVED):
        await stored.settle(row, DiscrepancyState.RESOLVED, platform.clock.now())


async def explain_discrepancy(platform: Platform, discrepancy_id: UUID, note: str) -> Discrepancy:
    """A person says why it is right as it is. Raises InvalidInput, NotFound, and Conflict if it is resolved."""
    problems = Problems()
    problems.check_text(note, "note", longest=MAX_NOTE)
    problems.refuse()
    row = await find_discrepancy(discrepancy_id)
    if not await stored.settle(row, DiscrepancyState.EXPLAINED, platform.clock.now(), note):
        raise Conflict("it has changed meanwhile; look at it again", path=("id",))
    return await find_discrepancy(discrepancy_id)


async def find_discrepancy(discrepancy_id: UUID) -> Discrepancy:
    """One of any tenant's. Raises NotFound."""
    found = await Discrepancy.get_or_none(id=discrepancy_id)
    if found is None:
        raise NotFound("no such discrepancy", path=("id",))
    return found


async def list_discrepancies(
    *, tenant_id: int | None, kind: str | None, state: DiscrepancyState | None, after: UUID | None, limit: int
) -> Sequence[Discrepancy]:
    """Discrepancies in the order in which they were first found, after the given one."""
    return await stored.list_discrepancies(tenant_id=tenant_id, kind=kind, state=state, after=after, limit=limit)
