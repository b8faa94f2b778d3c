"""Credits inside a batch: granted, pledged to what is reserved, consumed by what is used, returned and taken away.

A counter's units beyond what is included need credits. Those of used units are `credited`, each linked to its grant and
event; those of reserved units are `pledged`: nobody else gets them until the operation has ended.
"""

from typing import Final
from uuid import UUID

import orjson

from inkmeter.errors import Conflict, NotFound
from inkmeter.events import CreditsToppedUp
from inkmeter.money import Money
from services import ordering
from services.alerting import credits_drawn
from services.batch import Batch
from services.commands import GrantCredits, RestoreCredits, TakeCredits
from services.decisions import Purchase, Standing, check_not_paused, top_up
from services.included import included_units, needed_credits
from services.measures import quantity_of
from storage.charges import ChargeKind
from storage.credits import CreditEntryKind, CreditSource
from storage.fields import from_micros, to_micros
from storage.ids import new_id
from storage.ledger import CREDITED, PLEDGED, RESERVED, USED, Account, Gate, Spent, StoredGrant
from storage.ledger_tables import in_order

EXPIRE: Final = "credits.expire"
"""The topic of the job that ends a grant."""


def standing(batch: Batch, account: Account, gate: Gate, meter: str, moment: int) -> Standing:
    """How a meter stands, with the credits that are free at a moment."""
    tenant_id = account.tenant_id
    used, reserved, credited, pledged = batch.sums(tenant_id, gate.starts_at, meter)
    grants = batch.grants(tenant_id, meter)
    free = max(_usable(grants, moment) - batch.pledged(tenant_id, meter), 0) if grants else 0
    bought = batch.known.bought.get((tenant_id, gate.starts_at, meter))
    spent = (bought.amount_minor if bought else 0) + ordering.ordered(batch, tenant_id, gate, meter)
    return Standing(used, reserved, credited, pledged, free, spent)


def _usable(grants: list[StoredGrant], moment: int) -> int:
    return sum(grant.remaining for grant in grants if not _is_expired(grant, moment))


def _is_expired(grant: StoredGrant, moment: int) -> bool:
    return grant.expires_at is not None and grant.expires_at <= moment


def follow(
    batch: Batch,
    account: Account,
    gate: Gate,
    meter: str,
    before: tuple[int, ...],
    moment: int,
    event_id: str | None,
    promised: int,
) -> None:
    """Let credits follow a counter that has changed from `before`: consumed or returned for what is used, pledged for
    what is reserved. Grants count that had not expired at `moment`; `promised` credits were pledged to the operation
    that has ended.
    """
    tenant_id = account.tenant_id
    grants = batch.grants(tenant_id, meter)
    if not grants and not before[CREDITED] and not before[PLEDGED]:
        return
    terms = batch.terms_of(account, gate)
    if terms is None:
        return
    included = included_units(terms, meter, batch.seats(account, gate))
    used, reserved, credited, pledged = batch.sums(tenant_id, gate.starts_at, meter)
    others = batch.pledged(tenant_id, meter) - pledged
    target = needed_credits(included, used, used + reserved)
    if used > before[USED]:
        needed = needed_credits(included, before[USED], used)
        # What was promised to operations that have not ended is left alone, as far as they still need it.
        kept = min(max(pledged - promised, 0), target) if reserved < before[RESERVED] else pledged
        units = min(needed, _usable(grants, moment) - others - kept)
        _consume(batch, account, gate, meter, units, moment, str(event_id))
    elif used < before[USED]:
        spare = credited - needed_credits(included, 0, used)
        _give_back(batch, tenant_id, gate, meter, min(before[USED] - used, spare), event_id)
    # What was pledged stays pledged though its grant has expired meanwhile.
    free = max(pledged, _usable(grants, moment) - others)
    pledge = max(min(target, free, sum(grant.remaining for grant in grants) - others), 0)
    batch.add(tenant_id, gate.starts_at, meter, pledged=pledge - pledged)


def _consume(batch: Batch, account: Account, gate: Gate, meter: str, units: int, moment: int, event_id: str) -> None:
    tenant_id = account.tenant_id
    left = units
    grants = batch.grants(tenant_id, meter)
    for grant in grants:
        if left > 0 and grant.remaining and not _is_expired(grant, moment):
            taken = min(left, grant.remaining)
            left -= taken
            _move(batch, grant, CreditEntryKind.CONSUMED, -taken, gate.starts_at, event_id)
            batch.known.consumed.setdefault((tenant_id, gate.starts_at, meter), []).insert(0, (grant.id, taken))
    if units > 0:
        batch.add(tenant_id, gate.starts_at, meter, credited=units - left)
        credits_drawn(batch, account, gate, meter, grants, units - left)


def _give_back(batch: Batch, tenant_id: int, gate: Gate, meter: str, units: int, event_id: str | None) -> None:
    """Return credits to the grants that paid last."""
    consumed = batch.known.consumed.get((tenant_id, gate.starts_at, meter), [])
    known = {grant.id: grant for grant in batch.known.grants}
    while units > 0 and consumed:
        grant_id, taken = consumed.pop(0)
        back = min(units, taken)
        units -= back
        if taken > back:
            consumed.insert(0, (grant_id, taken - back))
        if grant_id in known:
            _move(batch, known[grant_id], CreditEntryKind.RETURNED, back, gate.starts_at, event_id)
            if _is_expired(known[grant_id], batch.now):
                _end_again(batch, tenant_id, grant_id)
        else:
            _end_again(batch, tenant_id, grant_id)  # if it has expired, which is not known here
            batch.writes.drawn[tenant_id, grant_id] = batch.writes.drawn.get((tenant_id, grant_id), 0) + back
            _enter(batch, tenant_id, grant_id, meter, CreditEntryKind.RETURNED, back, gate.starts_at, event_id)
        batch.add(tenant_id, gate.starts_at, meter, credited=-back)


def _end_again(batch: Batch, tenant_id: int, grant_id: UUID) -> None:
    """Have what came back to a grant after its end expire, too."""
    payload = orjson.dumps({"grant": str(grant_id)}).decode()
    batch.writes.jobs.append(
        (tenant_id, str(new_id()), EXPIRE, f"returned:{new_id()}", payload, "WAITING", batch.now, batch.now)
    )


def _move(
    batch: Batch,
    grant: StoredGrant,
    kind: CreditEntryKind,
    units: int,
    starts_at: int | None = None,
    event_id: str | None = None,
    note: str | None = None,
) -> None:
    grant.remaining += units
    if grant not in batch.writes.grants:  # a grant of this batch is written as it is at its end
        key = (grant.tenant_id, grant.id)
        batch.writes.drawn[key] = batch.writes.drawn.get(key, 0) + units
    _enter(batch, grant.tenant_id, grant.id, grant.meter, kind, units, starts_at, event_id, note)


def _enter(
    batch: Batch,
    tenant_id: int,
    grant_id: UUID,
    meter: str,
    kind: CreditEntryKind,
    units: int,
    starts_at: int | None = None,
    event_id: str | None = None,
    note: str | None = None,
) -> None:
    row = (tenant_id, str(new_id()), str(grant_id), meter, kind, units, starts_at, event_id, note, batch.now)
    batch.writes.credit_entries.append(row)


def grant_credits(batch: Batch, command: GrantCredits) -> tuple[StoredGrant, bool]:
    """Give credits, once per key."""
    tenant_id = command.tenant_id
    expires_at = to_micros(command.expires_at) if command.expires_at is not None else None
    asked = (command.meter, command.source, command.units, command.priority, expires_at, command.note)
    for grant in batch.known.grants:
        if (grant.tenant_id, grant.idempotency_key) == (tenant_id, command.idempotency_key):
            if (grant.meter, grant.source, grant.units, grant.priority, grant.expires_at, grant.note) != asked:
                raise Conflict("this idempotency key was used for another grant", path=("idempotencyKey",))
            return grant, False
    gate = None
    if command.price is not None:
        account, now = batch.known.accounts[tenant_id], to_micros(command.now)
        gate = batch.gate(account, now)
        check_not_paused(batch.phase(account, now).is_paused)
    grant = _grant(batch, command, expires_at)
    if gate is not None and command.price is not None:
        _charge(batch, grant, gate, ChargeKind.TOP_UP, command.price)
    return grant, True


def _grant(batch: Batch, command: GrantCredits, expires_at: int | None) -> StoredGrant:
    open_units = _usable(batch.grants(command.tenant_id, command.meter), batch.now)
    grant = StoredGrant(
        tenant_id=command.tenant_id,
        id=new_id(),
        idempotency_key=command.idempotency_key,
        meter=command.meter,
        source=command.source,
        units=command.units,
        remaining=command.units,
        priority=command.priority,
        expires_at=expires_at,
        note=command.note,
        created_at=batch.now,
        balance=open_units + command.units,
    )
    batch.writes.grants.append(grant)
    batch.known.grants = sorted([*batch.known.grants, grant], key=in_order)
    _enter(batch, grant.tenant_id, grant.id, grant.meter, CreditEntryKind.GRANTED, grant.units, note=grant.note)
    return grant


def _charge(batch: Batch, grant: StoredGrant, gate: Gate, kind: ChargeKind, price: Money) -> None:
    meter = batch.meters[grant.meter]
    label = f"Top-up: {quantity_of(meter, grant.units):,f} {meter.unit}s"
    batch.writes.charges.append(
        (
            grant.tenant_id,
            str(new_id()),
            f"grant:{grant.idempotency_key}",
            kind,
            grant.meter,
            gate.starts_at,
            label,
            price.minor,
            price.currency,
            batch.now,
        )
    )


def take_credits(batch: Batch, command: TakeCredits) -> int:
    """Take units of a grant away that nobody has consumed or is promised."""
    grant = next((g for g in batch.known.grants if (g.tenant_id, g.id) == (command.tenant_id, command.grant_id)), None)
    if grant is None:
        raise NotFound("no such grant", path=("grantId",))
    if (command.tenant_id, command.note) in batch.known.taken:
        raise Conflict("this was taken back already", path=("idempotencyKey",))
    remaining = sum(other.remaining for other in batch.grants(grant.tenant_id, grant.meter))
    free = max(min(grant.remaining, remaining - batch.pledged(grant.tenant_id, grant.meter)), 0)
    units = free if command.units is None else command.units
    if command.is_at_most:
        units = min(units, free)
    if units > free:
        raise Conflict(f"{free} units of the grant are free, not {units}", path=("units",))
    if units:
        _move(batch, grant, command.kind, -units, note=command.note)
        if command.note is not None:
            batch.known.taken.add((command.tenant_id, command.note))
    return units


def restore_credits(batch: Batch, command: RestoreCredits) -> bool:
    """Give units back to a grant that were taken from it."""
    if (command.tenant_id, command.note) in batch.known.taken:
        return False
    grant = next(g for g in batch.known.grants if (g.tenant_id, g.id) == (command.tenant_id, command.grant_id))
    _move(batch, grant, command.kind, min(command.units, grant.units - grant.remaining), note=command.note)
    if _is_expired(grant, batch.now):
        _end_again(batch, grant.tenant_id, grant.id)
    batch.known.taken.add((command.tenant_id, command.note))
    return True


def buy(batch: Batch, account: Account, gate: Gate, meter: str, purchase: Purchase) -> None:
    """Buy packs by the plan's own rule: a grant now, a charge on the next invoice."""
    spent = batch.known.bought.setdefault((account.tenant_id, gate.starts_at, meter), Spent())
    spent.times += 1
    price = Money(purchase.pack.price.minor * purchase.times, purchase.pack.price.currency)
    spent.amount_minor += price.minor
    units = purchase.pack.units * purchase.times
    command = GrantCredits(
        tenant_id=account.tenant_id,
        idempotency_key=f"auto:{meter}:{gate.starts_at}:{spent.times}",
        meter=meter,
        units=units,
        source=CreditSource.TOP_UP,
        now=from_micros(batch.now),
    )
    _charge(batch, _grant(batch, command, None), gate, ChargeKind.AUTO_TOP_UP, price)
    batch.news.append(CreditsToppedUp(account.public_id, from_micros(batch.now), meter, units, price))


def buy_for_facts(batch: Batch, account: Account, gate: Gate, meter: str, units: int) -> None:
    """Before facts are counted: buy what the plan's rule asks for, in the period that runs."""
    terms = batch.terms_of(account, gate)
    quota = terms.quotas.get(meter) if terms is not None else None
    if terms is None or quota is None or quota.auto_top_up is None or not gate.starts_at <= batch.now < gate.ends_at:
        return
    stands = standing(batch, account, gate, meter, batch.now)
    if quota.is_paid_first:
        ordering.place_orders(batch, account, gate, terms, {meter: stands}, {meter: units})
        return
    included = included_units(terms, meter, batch.seats(account, gate))
    needed = needed_credits(included, stands.taken, stands.taken + units)
    purchase = top_up(terms, quota, stands, needed, included, stands.taken + units)
    if purchase is not None:
        buy(batch, account, gate, meter, purchase)
