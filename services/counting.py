"""Counting inside a batch: what an event adds to every meter that it feeds, and takes away when it is reversed."""

from collections.abc import Iterator, Mapping

from inkmeter.usage import Aggregation, Meter
from services import alerting, crediting
from services.batch import Batch
from services.commands import NO_PROPERTIES
from services.measures import ADDED_UP, added, value_of
from storage.ledger import USED, Account, Gate


def count(
    batch: Batch,
    account: Account,
    gate: Gate,
    code: str,
    quantity: int,
    properties: Mapping[str, str],
    event_id: str | None,
    *,
    sign: int = 1,
) -> None:
    """Count a fact (`sign` 1), or take one back (-1), in all meters that it feeds."""
    for meter, delta in deltas(batch, account.tenant_id, gate, code, quantity, properties, sign):
        if delta > 0:
            crediting.buy_for_facts(batch, account, gate, meter, delta)
        change(batch, account, gate, meter, event_id, batch.now, used=delta)


def deltas(
    batch: Batch,
    tenant_id: int,
    gate: Gate,
    code: str,
    quantity: int,
    properties: Mapping[str, str] = NO_PROPERTIES,
    sign: int = 1,
) -> list[tuple[str, int]]:
    """By how much an event changes each meter's counter. Values that are told apart are noted as seen."""
    return [
        (meter.code, delta)
        for meter in batch.meters.fed_by(code)
        if (delta := _delta(batch, tenant_id, gate, meter, quantity, properties, sign))
    ]


def change(
    batch: Batch,
    account: Account,
    gate: Gate,
    meter: str,
    event_id: str | None,
    moment: int,
    *,
    used: int = 0,
    reserved: int = 0,
    promised: int = 0,
) -> None:
    """Change a counter, and what follows from it: credits, alerts. Credits count that had not expired at `moment`, and
    of those so many were promised to what is used now.
    """
    before = tuple(batch.sums(account.tenant_id, gate.starts_at, meter))
    batch.add(account.tenant_id, gate.starts_at, meter, used=used, reserved=reserved)
    crediting.follow(batch, account, gate, meter, before, moment, event_id, promised)
    if used > 0:
        alerting.quota_used(batch, account, gate, batch.terms_of(account, gate), meter, before[0])


def fed(batch: Batch, units: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """What an operation's units come to in all meters that they feed."""
    for code, quantity in units.items():
        for meter in batch.meters.fed_by(code):
            if meter.aggregation in ADDED_UP and (amount := added(meter, quantity, NO_PROPERTIES)):
                yield meter.code, amount


def _delta(
    batch: Batch, tenant_id: int, gate: Gate, meter: Meter, quantity: int, properties: Mapping[str, str], sign: int
) -> int:
    if meter.aggregation in ADDED_UP:
        amount = added(meter, quantity, properties) or 0
        return amount if sign > 0 else -min(amount, _counted(batch, tenant_id, gate, meter, amount))
    value = value_of(meter, quantity, properties)
    if value is None:
        return 0
    values = batch.known.values
    key = (tenant_id, gate.starts_at, meter.code, value)
    before = values.get(key, 0)
    if sign < 0 and not before and _is_young(meter):
        return 0
    values[key] = after = before + sign
    batch.writes.values[key] = batch.writes.values.get(key, 0) + sign
    if meter.aggregation is Aggregation.UNIQUE:
        return (after > 0) - (before > 0)
    largest = batch.sums(tenant_id, gate.starts_at, meter.code)[0]
    if sign > 0:
        return max(int(value) - largest, 0)
    seen = (int(k[3]) for k, events in values.items() if k[:3] == key[:3] and events > 0)
    return max(seen, default=0) - largest


def _counted(batch: Batch, tenant_id: int, gate: Gate, meter: Meter, amount: int) -> int:
    """How much of an amount that is taken back may be in the counter: all of it, unless the meter may be younger."""
    return batch.sums(tenant_id, gate.starts_at, meter.code)[USED] if _is_young(meter) else amount


def _is_young(meter: Meter) -> bool:
    """Whether events of a period may be older than the meter. Its backfill counts those of open periods anew; a period
    that was closed before has never been billed by it.
    """
    return meter.source is not None
