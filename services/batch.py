"""A batch of metering commands while it is decided: what is known, with everything decided so far applied to it."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import fields
from uuid import UUID

import orjson

from inkmeter.errors import SubscriptionInactive
from inkmeter.events import Event
from inkmeter.periods import BillingPeriod
from services.commands import Fact, Missing, NeedsMeters, NeedsPeriod, NeedsTerms
from services.measures import MeterBook
from services.terms import PlanTerms
from storage.fields import from_micros
from storage.ids import new_id
from storage.ledger import CREDITED, PLEDGED, RESERVED, USED, Account, Gate, Known, StoredGrant, StoredPhase, Writes


class Batch:
    """`now` (µs) is when it is decided, under the lock: what is recorded now was not known a moment before."""

    def __init__(self, known: Known, terms: Mapping[UUID, PlanTerms], meters: MeterBook, now: int) -> None:
        self.known, self.terms, self.meters, self.now = known, terms, meters, now
        self.writes = Writes()
        # Orders are written for a command that is refused, too.
        counted = [field.name for field in fields(Writes) if field.name not in ("orders", "jobs")]
        self._parts = [getattr(self.writes, name) for name in counted]
        self._changes = 0
        self.news: list[Event] = []
        """What to tell the plugins after the commit."""
        self.alert_news: dict[str, Event] = {}
        """The same of alerts, by id: told only of those that were not there before."""
        self.seen: dict[tuple[int, str], Fact] = {}
        """Facts that were recorded in this batch."""
        self.counters_before: dict[tuple[int, int], dict[str, list[int]]] = {}
        """The counters of each period that was touched, as they were before the batch."""
        self._terms: dict[tuple[int, int], PlanTerms] = {}
        self._seats: dict[tuple[int, int], int] = {}

    def size(self) -> int:
        """Grows with everything that is to be written."""
        return sum(map(len, self._parts)) + self._changes

    def require_meters(self) -> None:
        """Raise Missing if there are meters that this process does not know of."""
        if self.known.meter_count != self.meters.own_count:
            raise Missing(NeedsMeters(self.known.meter_count))

    def phase(self, account: Account, moment: int) -> StoredPhase:
        """The terms in force at a moment. Raises SubscriptionInactive."""
        phases = self.known.phases.get(account.tenant_id, ())
        if not phases or (account.ended_at is not None and moment >= account.ended_at):
            raise SubscriptionInactive("the tenant has no running subscription; call subscribeTenant first")
        return _last_begun(phases, moment)

    def load(self, plan_id: UUID) -> PlanTerms:
        """A plan's terms. Raises Missing if they must be fetched first."""
        if plan_id not in self.terms:
            raise Missing(NeedsTerms(plan_id))
        return self.terms[plan_id]

    def gate(self, account: Account, moment: int) -> Gate:
        """The billing period of a moment. Raises Missing if it must be made first."""
        for gate in self.known.gates.get(account.tenant_id, ()):
            if gate.starts_at <= moment < gate.ends_at:
                return gate
        raise Missing(NeedsPeriod(account.tenant_id, from_micros(moment)))

    def terms_of(self, account: Account, gate: Gate) -> PlanTerms | None:
        """The terms that a period stands under now, or stood under at its end; None for a subscription that ended."""
        if gate.subscription_id != account.subscription_id:
            return None
        key = (account.tenant_id, gate.starts_at)
        if key not in self._terms and (phases := self.known.phases.get(account.tenant_id)):
            self._terms[key] = self.load(_last_begun(phases, min(self.now, gate.ends_at - 1)).plan_id)
        return self._terms.get(key)

    def seats(self, account: Account, gate: Gate) -> int:
        """The most seats in the period so far."""
        key = (account.tenant_id, gate.starts_at)
        if key not in self._seats:
            phases = self.known.phases.get(account.tenant_id, ())
            until = min(self.now, gate.ends_at - 1)
            inside = [phase.seats for phase in phases if gate.starts_at <= phase.starts_at <= until]
            self._seats[key] = max([_last_begun(phases, gate.starts_at).seats, *inside]) if phases else 0
        return self._seats[key]

    def begin_phase(self, tenant_id: int, phase: StoredPhase) -> None:
        """Other terms hold from here on."""
        phases = [*self.known.phases[tenant_id], phase]
        self.known.phases[tenant_id] = sorted(phases, key=lambda found: (found.starts_at, found.id))
        self._terms.clear()
        self._seats.clear()

    def sums(self, tenant_id: int, starts_at: int, meter: str) -> Sequence[int]:
        """[used, reserved, credited, pledged] of a meter in a period."""
        return self.known.counters.get((tenant_id, starts_at, meter), (0, 0, 0, 0))

    def add(
        self,
        tenant_id: int,
        starts_at: int,
        meter: str,
        *,
        used: int = 0,
        reserved: int = 0,
        credited: int = 0,
        pledged: int = 0,
    ) -> None:
        """Change a counter."""
        self._changes += 1
        key = (tenant_id, starts_at, meter)
        now = self.known.counters.setdefault(key, [0, 0, 0, 0])
        self.counters_before.setdefault(key[:2], {}).setdefault(meter, list(now))
        for sums in (now, self.writes.counters.setdefault(key, [0, 0, 0, 0])):
            sums[USED] += used
            sums[RESERVED] += reserved
            sums[CREDITED] += credited
            sums[PLEDGED] += pledged

    def event(
        self,
        tenant_id: int,
        key: str,
        meter: str,
        quantity: int,
        *,
        occurred_at: int,
        is_late: bool,
        source: str,
        event_id: str | None = None,
        document_id: UUID | None = None,
        upstream_units: int = 0,
        upstream_kind: str | None = None,
        properties: Mapping[str, str] | None = None,
        reverses: UUID | None = None,
        note: str | None = None,
    ) -> str:
        """Write a usage event, and answer its id. Counters are changed by `counting`."""
        event_id = event_id or str(new_id())
        self.writes.events.append(
            (
                tenant_id,
                event_id,
                key,
                meter,
                quantity,
                occurred_at,
                self.now,
                is_late,
                source,
                str(document_id) if document_id else None,
                upstream_units,
                self.text(properties) if properties else None,
                str(reverses) if reverses else None,
                note,
                upstream_kind,
            )
        )
        return event_id

    def grants(self, tenant_id: int, meter: str) -> list[StoredGrant]:
        """The tenant's grants of a meter, in the order in which they are consumed."""
        return [grant for grant in self.known.grants if grant.tenant_id == tenant_id and grant.meter == meter]

    @staticmethod
    def text(properties: Mapping[str, str]) -> str:
        """Properties as they are stored."""
        return orjson.dumps(dict(properties), option=orjson.OPT_SORT_KEYS).decode()

    def is_credited(self, account: Account, gate: Gate, meter: str) -> bool:
        """Whether credits may pay for units of this meter."""
        if self.grants(account.tenant_id, meter):
            return True
        terms = self.terms_of(account, gate)
        quota = terms.quotas.get(meter) if terms is not None else None
        return quota is not None and quota.auto_top_up is not None

    def pledged(self, tenant_id: int, meter: str) -> int:
        """Credits that are kept for reserved units, in all periods."""
        return sum(
            sums[PLEDGED]
            for (owner, _, code), sums in self.known.counters.items()
            if owner == tenant_id and code == meter
        )


@functools.lru_cache(10_000)
def _span(starts_at: int, ends_at: int) -> BillingPeriod:
    return BillingPeriod(from_micros(starts_at), from_micros(ends_at))


def span_of(gate: Gate) -> BillingPeriod:
    """A period as billing models see it."""
    return _span(gate.starts_at, gate.ends_at)


def _last_begun(phases: Sequence[StoredPhase], moment: int) -> StoredPhase:
    for phase in reversed(phases):
        if phase.starts_at <= moment:
            return phase
    return phases[0]
