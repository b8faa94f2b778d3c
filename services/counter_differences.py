"""What differs about a counter, and the discrepancies that tell of it: opened by a check, resolved by a check or a
rebuild that finds it right.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from services import discrepancies
from services.platform import Platform
from storage.counters import PeriodKey
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.fields import from_micros

log = logging.getLogger("inkmeter.counters")

KIND: Final = "COUNTER"


class Sum(StrEnum):
    """What of a counter differs: its units used, reserved or paid with credits; the events that show a value; or what
    remains of a grant of credits.
    """

    USED = "USED"
    RESERVED = "RESERVED"
    CREDITED = "CREDITED"
    VALUE = "VALUE"
    REMAINING = "REMAINING"


@dataclass(frozen=True, slots=True)
class Difference:
    """`stored` is what stands there, `expected` what the events, operations or credits say, in 10^-decimals units.

    `of` is the value or the grant's id, where there is one; a grant has no period.
    """

    tenant_id: int
    period_starts_at: datetime | None
    meter: str
    what: Sum
    stored: int
    expected: int
    of: str | None = None

    @property
    def subject(self) -> str:
        """What its discrepancy is about: a period's begins with the period, a grant's with the meter."""
        period = self.period_starts_at.isoformat() if self.period_starts_at else ""
        return " ".join(filter(None, (period, self.meter, self.what, self.of)))

    def __str__(self) -> str:
        where = f"period {self.period_starts_at.isoformat()}" if self.period_starts_at else f"grant {self.of}"
        return f"{where}, {self.meter} {self.what.lower()}: {self.stored} stored, {self.expected} expected"


async def keep(platform: Platform, differences: Sequence[Difference]) -> None:
    """Open a discrepancy for each, once while it is open."""
    for difference in differences:
        log.error("tenant %s: %s; run inkmeter rebuild-counters", difference.tenant_id, difference)
        await discrepancies.open_discrepancy(
            platform,
            Discrepancy(
                tenant_id=difference.tenant_id,
                kind=KIND,
                subject=difference.subject,
                ours_minor=difference.stored,
                theirs_minor=difference.expected,
                currency="",
                evidence={"meter": difference.meter, "sum": difference.what, "of": difference.of},
                explanation=f"{difference}; run inkmeter rebuild-counters",
                state=DiscrepancyState.OPEN,
                created_at=platform.clock.now(),
            ),
        )


async def resolve_period(platform: Platform, period: PeriodKey, wrong: Sequence[Difference]) -> None:
    """What was told of a period's counters and is not wrong any more is resolved."""
    start = from_micros(period.starts_at).isoformat()
    told = await discrepancies.known_of(period.tenant_id, start)
    await _resolve_all_but(platform, [row for row in told.values() if row.kind == KIND], wrong)


async def resolve_grants(platform: Platform, tenant_id: int, wrong: Sequence[Difference]) -> None:
    """The same of what remains of a tenant's grants."""
    told = Discrepancy.filter(tenant_id=tenant_id, kind=KIND, subject__contains=f" {Sum.REMAINING} ")
    await _resolve_all_but(platform, await told, wrong)


async def _resolve_all_but(platform: Platform, told: Sequence[Discrepancy], wrong: Sequence[Difference]) -> None:
    still = {difference.subject for difference in wrong}
    for row in told:
        if row.subject not in still:
            await discrepancies.resolve(platform, row.tenant_id, [KIND], row.subject)
