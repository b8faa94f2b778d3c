"""The hot tables in bulk: what a batch of metering commands needs to know, and what it writes, in one transaction.

A batch locks the billing periods that it touches (one row per tenant and period, in order), reads everything else under
that lock, is planned by a pure function, and is written with one statement per table. Plain SQL through each database's
own driver: the ORM would cost more than all the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

TenantKey = tuple[int, str]
CounterKey = tuple[int, int, str]
"""Tenant, start of the period, meter."""
ValueKey = tuple[int, int, str, str]
"""Tenant, start of the period, meter, value."""
USED, RESERVED, CREDITED, PLEDGED = range(4)
"""The places of a counter's sums."""


@dataclass(slots=True)
class Account:
    """A tenant and its running subscription (None without one), as far as metering must know it. Times in µs."""

    tenant_id: int
    public_id: str
    state: str
    grace_until: int | None
    subscription_id: UUID | None
    ended_at: int | None
    budget_minor: int | None = None
    budget_alerts_at: tuple[int, ...] = ()


@dataclass(slots=True)
class StoredPhase:
    """The terms of a subscription from `starts_at` (µs) on."""

    id: UUID
    starts_at: int
    plan_id: UUID
    seats: int
    reason: str = "START"
    is_paused: bool = False


@dataclass(slots=True)
class Gate:
    """A billing period; the batch holds its lock."""

    id: UUID
    starts_at: int
    ends_at: int
    is_closed: bool
    subscription_id: UUID | None = None


@dataclass(slots=True)
class StoredOperation:
    """An operation as it is stored."""

    tenant_id: int
    id: UUID
    idempotency_key: str
    kind: str
    request: dict[str, Any]
    request_hash: str
    state: str
    period_starts_at: int
    reserved: dict[str, int]
    decision: dict[str, Any]
    document_id: UUID | None
    refusal: dict[str, Any] | None
    created_at: int
    ended_at: int | None = None


@dataclass(slots=True)
class StoredDocument:
    """A document as it is stored; `is_busy` while an operation that changes it has no answer."""

    state: str
    is_busy: bool = False


@dataclass(slots=True)
class StoredEvent:
    """What of a usage event tells whether another one is the same, and what it takes to reverse it."""

    meter: str
    quantity: int
    occurred_at: int
    properties: dict[str, str] | None = None
    id: UUID | None = None
    reverses: UUID | None = None
    is_reversed: bool = False


@dataclass(slots=True)
class StoredGrant:
    """A credit grant as it is stored."""

    tenant_id: int
    id: UUID
    idempotency_key: str
    meter: str
    source: str
    units: int
    remaining: int
    priority: int
    expires_at: int | None
    note: str | None
    created_at: int
    balance: int
    """Credits of the meter right after this grant."""


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order of the plan's own rule that keeps others from being placed."""

    tenant_id: int
    id: UUID
    meter: str
    state: str
    period_starts_at: int
    units: int
    amount_minor: int
    currency: str


@dataclass(slots=True)
class Spent:
    """What a plan's rule has bought by itself of a meter in a period."""

    times: int = 0
    amount_minor: int = 0


@dataclass(slots=True)
class Wanted:
    """What to read: moments (µs) by tenant, and keys."""

    moments: dict[int, tuple[int, int]] = field(default_factory=dict)
    """First and last moment of each tenant."""
    operations: list[TenantKey] = field(default_factory=list)
    events: list[TenantKey] = field(default_factory=list)
    documents: list[tuple[int, UUID]] = field(default_factory=list)
    values: list[tuple[int, str, str]] = field(default_factory=list)
    """Tenant, meter and value, of meters that tell values apart."""
    all_values: list[TenantKey] = field(default_factory=list)
    """Tenant and meter, where every value must be known."""
    grants: list[TenantKey] = field(default_factory=list)
    """Tenant and key, besides those that have units left."""
    taken_grants: list[tuple[int, UUID]] = field(default_factory=list)
    taken: list[TenantKey] = field(default_factory=list)
    """Tenant and note, of credits to take back."""
    is_reversing: bool = False
    """Whether credits may have to be returned."""

    def at(self, tenant_id: int, moment: int) -> None:
        first, last = self.moments.get(tenant_id, (moment, moment))
        self.moments[tenant_id] = (min(first, moment), max(last, moment))


@dataclass(slots=True)
class Known:
    """What was read, under the lock."""

    accounts: dict[int, Account] = field(default_factory=dict)
    phases: dict[int, list[StoredPhase]] = field(default_factory=dict)
    """Of each tenant's running subscription, in order."""
    gates: dict[int, list[Gate]] = field(default_factory=dict)
    counters: dict[CounterKey, list[int]] = field(default_factory=dict)
    """[used, reserved, credited, pledged]; a missing key is zero. Of other periods those with pledged credits."""
    operations: dict[TenantKey, StoredOperation] = field(default_factory=dict)
    events: dict[TenantKey, StoredEvent] = field(default_factory=dict)
    documents: dict[tuple[int, UUID], StoredDocument] = field(default_factory=dict)
    values: dict[ValueKey, int] = field(default_factory=dict)
    """How many events have a value."""
    grants: list[StoredGrant] = field(default_factory=list)
    """With units left, the last one of each meter, and those that were asked for; in the order of consumption."""
    taken: set[TenantKey] = field(default_factory=set)
    """Notes under which credits were taken back."""
    consumed: dict[CounterKey, list[tuple[UUID, int]]] = field(default_factory=dict)
    """Grants that paid for usage of a period with how many units, the last first."""
    bought: dict[CounterKey, Spent] = field(default_factory=dict)
    orders: list[StoredOrder] = field(default_factory=list)
    meter_count: int = 0
    """How many meters the operator has made."""


@dataclass(slots=True)
class Writes:
    """What to write, rows in the order of the tables' columns below."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    counters: dict[CounterKey, list[int]] = field(default_factory=dict)
    new_operations: list[StoredOperation] = field(default_factory=list)
    ended_operations: list[tuple[StoredOperation, int]] = field(default_factory=list)
    """With the moment at which each ended."""
    deleted_operations: list[tuple[int, UUID]] = field(default_factory=list)
    documents: list[tuple[Any, ...]] = field(default_factory=list)
    changed_documents: list[tuple[str, int | None, int, UUID]] = field(default_factory=list)
    """(state, sent_at where it was sent, tenant, id)"""
    values: dict[ValueKey, int] = field(default_factory=dict)
    grants: list[StoredGrant] = field(default_factory=list)
    drawn: dict[tuple[int, UUID], int] = field(default_factory=dict)
    """How the units that remain of a grant change, by tenant and id."""
    credit_entries: list[tuple[Any, ...]] = field(default_factory=list)
    charges: list[tuple[Any, ...]] = field(default_factory=list)
    phases: list[tuple[Any, ...]] = field(default_factory=list)
    orders: list[tuple[Any, ...]] = field(default_factory=list)
    """Written also for a command that is refused: the next one may then be paid for."""
    jobs: list[tuple[Any, ...]] = field(default_factory=list)
    """Those of the orders."""
    alerts: list[tuple[Any, ...]] = field(default_factory=list)
    fired: set[str] = field(default_factory=set)
    """Filled in by the store: ids of the alerts that were new."""


Plan = Callable[[Known], Writes]


class Conflicted(Exception):
    """One of the batch's keys is taken, or another process was in the way. Nothing was written; plan again."""


class LedgerStore(Protocol):
    """Runs a batch in one transaction."""

    async def transact(self, wanted: Wanted, plan: Plan) -> Writes:
        """Read what is wanted, plan, write, and answer what was written. Durable when it returns.

        Raises Conflicted, and the driver's errors.
        """

    async def close(self) -> None:
        """Give up its connection."""
