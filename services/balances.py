"""What is left of a tenant's credits, and what became of each unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from inkmeter.money import Money
from inkmeter.usage import Meter
from services import credits, meters
from services.platform import Platform
from services.problems import Problems
from storage.charges import Charge
from storage.credits import (
    CreditEntryKind,
    CreditGrant,
    CreditSource,
    CreditSums,
    open_grants,
    sum_credits,
    traced_entries,
)
from storage.credits import TracedEntry as TracedEntry


@dataclass(frozen=True, slots=True)
class Balance:
    """The credits of a meter, in 10^-decimals units.

    balance = granted - consumed - expired - revoked - refunded; `consumed` less what came back. What is left of an
    expired grant counts as expired, though it is taken when no operation needs it any more.
    """

    meter: Meter
    balance: int
    pledged: int
    granted: int
    consumed: int
    expired: int
    revoked: int
    refunded: int
    grants: Sequence[CreditGrant]
    """Those with units left that have not expired, in the order in which they are consumed."""


async def read_balances(platform: Platform, tenant_id: int, meter: str | None = None) -> list[Balance]:
    """The balance of every meter that ever had credits, or of one meter. Raises InvalidInput."""
    sums = await sum_credits(tenant_id)
    if meter is not None:
        problems = Problems()
        await credits.check_meter(platform, problems, meter)
        problems.refuse()
    codes = sorted(sums) if meter is None else [meter]
    book = await meters.find_meters(platform, *codes)
    grants, now = await open_grants(tenant_id), platform.clock.now()
    return [_balance(book[code], sums.get(code) or CreditSums(), grants, now) for code in codes]


def _balance(meter: Meter, sums: CreditSums, grants: Sequence[CreditGrant], now: datetime) -> Balance:
    of_meter = [grant for grant in grants if grant.meter == meter.code]
    active = [grant for grant in of_meter if grant.expires_at is None or grant.expires_at > now]
    balance = sum(grant.remaining for grant in active)
    lapsed = sum(grant.remaining for grant in of_meter) - balance
    return Balance(
        meter=meter,
        balance=balance,
        pledged=sums.pledged,
        granted=sums.granted,
        consumed=sums.consumed,
        expired=lapsed + sums.ended.get(CreditEntryKind.EXPIRED, 0),
        revoked=sums.ended.get(CreditEntryKind.REVOKED, 0),
        refunded=sums.ended.get(CreditEntryKind.REFUNDED, 0),
        grants=active,
    )


async def prices_of(grants: Sequence[CreditGrant]) -> dict[UUID, Money]:
    """What the grants cost that were bought."""
    bought = {f"grant:{grant.idempotency_key}": grant.id for grant in grants if grant.source is CreditSource.TOP_UP}
    if not bought:
        return {}
    charges = await Charge.filter(tenant_id=grants[0].tenant_id, idempotency_key__in=list(bought))
    return {bought[c.idempotency_key]: Money(c.amount_minor, c.currency) for c in charges}


async def list_entries(
    tenant_id: int, meter: str | None, grant_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[TracedEntry]:
    """Every movement of a tenant's credits, oldest first, of one meter or one grant if one is named."""
    if grant_id is not None:
        await credits.find_grant(tenant_id, grant_id)
    return await traced_entries(tenant_id, meter=meter, grant_id=grant_id, after=after, limit=limit)
