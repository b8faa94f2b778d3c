"""What may be written to the ledger: commands, their answers, and what must be known to decide them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple, assert_never
from uuid import UUID

from inkmeter.errors import SignNowRefused
from inkmeter.money import Money
from inkmeter.usage import Aggregation
from services.measures import MeterBook, value_of
from storage.credits import CreditEntryKind, CreditSource
from storage.documents import DocumentState
from storage.fields import to_micros
from storage.ledger import Wanted
from storage.operations import CHANGES, OperationKind


@dataclass(frozen=True, slots=True)
class Intent:
    """What a caller wants SignNow to do, and the most units of each meter that it can take."""

    kind: OperationKind
    idempotency_key: str
    request: Mapping[str, Any]
    units: Mapping[str, int]
    document_id: UUID


@dataclass(frozen=True, slots=True)
class Reserve:
    """T1 of an operation. Answered with (the operation, whether it is new)."""

    tenant_id: int
    intent: Intent
    request_hash: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The document, template or group that an operation has made."""

    name: str
    signnow_document_id: str
    state: DocumentState = DocumentState.UPLOADED
    is_group: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """T2, yes. Answered with the tenant's public id, None if there is nothing left to commit.

    `used` and `upstream_units` are by meter, `upstream_kind` is what SignNow charges these for; `uploaded` is the
    document that was made, and `becomes` the state of one that was there.
    """

    tenant_id: int
    operation_id: UUID
    idempotency_key: str
    created_at: datetime
    now: datetime
    used: Mapping[str, int]
    upstream_units: Mapping[str, int] = field(default_factory=dict)
    upstream_kind: str | None = None
    uploaded: Uploaded | None = None
    becomes: DocumentState | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """T2, no. With a refusal the operation is FAILED and keeps it; without one it is undone, as if never asked."""

    tenant_id: int
    operation_id: UUID
    idempotency_key: str
    created_at: datetime
    now: datetime
    refusal: SignNowRefused | None


NO_PROPERTIES: Final[Mapping[str, str]] = MappingProxyType({})


class Fact(NamedTuple):
    """A fact to be counted, checked before. `quantity` is in 10^-decimals units of the meter of that code.

    A tuple, because there are thousands a second.
    """

    meter: str
    quantity: int
    idempotency_key: str
    occurred_at: datetime
    is_moment_given: bool = True
    """False if the sender left the moment to us: then it does not tell two facts apart."""
    properties: Mapping[str, str] = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Record:
    """Count facts. Answered with one result for each: True for new, False for known, or why not."""

    tenant_id: int
    facts: Sequence[Fact]
    now: datetime
    source: str = "api"
    document_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """An event takes back the `original`, whole, which was read before; another replaces it if there is a `quantity`.

    Both lie at the moment of the original. `properties` None leaves them as they were.
    """

    original: Fact
    idempotency_key: str
    quantity: int | None
    properties: Mapping[str, str] | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Correct:
    """Take events back. Answered with one result for each: True for new, False for known, or why not.

    The events are stored under the keys `correction:<key>` and `replacement:<key>`.
    """

    tenant_id: int
    corrections: Sequence[Correction]
    now: datetime


@dataclass(frozen=True, slots=True)
class GrantCredits:
    """Give units of a meter; with a `price` they are bought, and billed on the next invoice.

    Answered with (the grant, whether it is new). Raises Conflict for the same key with other content.
    """

    tenant_id: int
    idempotency_key: str
    meter: str
    units: int
    source: CreditSource
    now: datetime
    priority: int = 0
    expires_at: datetime | None = None
    note: str | None = None
    price: Money | None = None


@dataclass(frozen=True, slots=True)
class TakeCredits:
    """Take units of a grant away that are not consumed; None takes all that are free.

    Answered with the units that were taken. Raises NotFound, and Conflict if fewer are free: those pledged to
    operations without an answer are not.
    """

    tenant_id: int
    grant_id: UUID
    kind: CreditEntryKind
    now: datetime
    units: int | None = None
    note: str | None = None
    is_at_most: bool = False
    """Whether fewer will do."""


@dataclass(frozen=True, slots=True)
class RestoreCredits:
    """Give units back that were taken from a grant, once per note. Answered with whether it is new."""

    tenant_id: int
    grant_id: UUID
    units: int
    kind: CreditEntryKind
    now: datetime
    note: str


Command = Reserve | Commit | Release | Record | Correct | GrantCredits | TakeCredits | RestoreCredits


@dataclass(frozen=True, slots=True)
class NeedsTerms:
    """The answer to a command that cannot be planned before this plan is loaded."""

    plan_id: UUID


@dataclass(frozen=True, slots=True)
class NeedsPeriod:
    """The answer to a command that cannot be planned before the tenant has a billing period at that moment."""

    tenant_id: int
    moment: datetime


@dataclass(frozen=True, slots=True)
class NeedsMeters:
    """The answer to a command that cannot be planned before the meters are read again: there are so many now."""

    count: int


class Missing(Exception):
    """Something must be fetched first."""

    def __init__(self, need: NeedsTerms | NeedsPeriod | NeedsMeters) -> None:
        super().__init__(need)
        self.need = need


def wanted(commands: Sequence[Command], meters: MeterBook, *, with_events: bool = True) -> Wanted:
    """What `plan` must know for these commands.

    Without the events' keys every fact is taken for new, which nearly all are; the unique key tells if one was not.
    """
    want = Wanted()
    for command in commands:
        match command:
            case Reserve(tenant_id, intent, _, now):
                want.at(tenant_id, to_micros(now))
                want.operations.append((tenant_id, intent.idempotency_key))
                if intent.kind in CHANGES:
                    want.documents.append((tenant_id, intent.document_id))
            case Commit() | Release():
                # The period of its reservation, so that a "yes" and a "no" of two processes wait for each other.
                want.at(command.tenant_id, to_micros(command.created_at))
                want.operations.append((command.tenant_id, command.idempotency_key))
            case Record():
                moments = [fact.occurred_at for fact in command.facts]
                want.at(command.tenant_id, to_micros(min(moments)))
                want.at(command.tenant_id, to_micros(max(moments)))
                if with_events:
                    want.events += ((command.tenant_id, fact.idempotency_key) for fact in command.facts)
                for fact in command.facts:
                    if fact.meter not in meters.plain:
                        _want_values(want, meters, command.tenant_id, fact.meter, fact.quantity, fact.properties)
            case Correct():
                _want_corrections(want, meters, command)
            case GrantCredits():
                want.at(command.tenant_id, to_micros(command.now))
                want.grants.append((command.tenant_id, command.idempotency_key))
            case TakeCredits() | RestoreCredits():
                want.at(command.tenant_id, to_micros(command.now))
                want.taken_grants.append((command.tenant_id, command.grant_id))
                want.taken.append((command.tenant_id, command.note or ""))  # an expiry has none
            case unreachable:
                assert_never(unreachable)
    return want


def _want_corrections(want: Wanted, meters: MeterBook, command: Correct) -> None:
    want.is_reversing = True
    tenant_id = command.tenant_id
    for correction in command.corrections:
        was = correction.original
        want.at(tenant_id, to_micros(was.occurred_at))
        want.events += ((tenant_id, key) for key in (was.idempotency_key, *keys_of(correction)))
        properties = was.properties if correction.properties is None else correction.properties
        _want_values(want, meters, tenant_id, was.meter, was.quantity, was.properties)
        _want_values(want, meters, tenant_id, was.meter, correction.quantity or 0, properties)
        # A largest value that is taken back leaves the next one, whichever that is.
        codes = [m.code for m in meters.fed_by(was.meter) if m.aggregation is Aggregation.MAX]
        want.all_values += ((tenant_id, code) for code in codes)


def _want_values(
    want: Wanted, meters: MeterBook, tenant_id: int, code: str, quantity: int, properties: Mapping[str, str]
) -> None:
    for meter in meters.fed_by(code):
        if (value := value_of(meter, quantity, properties)) is not None:
            want.values.append((tenant_id, meter.code, value))


def keys_of(correction: Correction) -> tuple[str, str]:
    """The keys of the event that takes back, and of the one that replaces."""
    return f"correction:{correction.idempotency_key}", f"replacement:{correction.idempotency_key}"
