"""Credits: given, bought, taken back and refunded; what is left of them, and what became of each unit.

Every movement is decided by the ledger (services/crediting.py). Quantities come in whole units.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from inkmeter.errors import Conflict, NotFound, PaymentRefused, TopUpPack
from inkmeter.money import Money
from inkmeter.usage import Meter
from services import jobs, meters, operations, overdue, paid_refunds, phases, refunds, subscriptions
from services.commands import GrantCredits, TakeCredits
from services.crediting import EXPIRE as EXPIRE
from services.decisions import packs_of
from services.limits import most_credits
from services.measures import LEVELS
from services.platform import Platform
from services.problems import Problems
from services.rating import SEATS
from services.terms import PlanTerms
from storage.credits import (
    CreditEntryKind,
    taken_by,
)
from storage.credits import CreditGrant as CreditGrant
from storage.credits import CreditSource as CreditSource
from storage.jobs import Job
from storage.ledger import StoredGrant
from storage.tenants import Tenant

MAX_PRIORITY: Final = 100
MAX_NOTE: Final = 500
PLEDGED_PAUSE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class GivenCredits:
    """Credits to give. A lower `priority` is consumed first."""

    meter: str
    units: int
    source: CreditSource
    idempotency_key: str
    priority: int = 0
    expires_at: datetime | None = None
    note: str | None = None


async def grant_credits(platform: Platform, tenant: Tenant, given: GivenCredits) -> CreditGrant:
    """Give credits, once per key. Raises InvalidInput, and Conflict for the same key with other content."""
    now = platform.clock.now()
    meter = await _check_given(platform, given)
    key = f"given:{given.idempotency_key}"
    if not await CreditGrant.exists(tenant_id=tenant.id, idempotency_key=key):
        problems = Problems()
        is_future = given.expires_at is None or given.expires_at > now
        problems.check(is_future, "lies in the past", "expiresAt")
        problems.refuse()
    if given.expires_at is not None:
        # Before the grant, so that no crash leaves one that never expires.
        await jobs.add_job(
            platform,
            tenant_id=tenant.id,
            topic=EXPIRE,
            dedup=f"{key}:{given.expires_at.isoformat()}",
            run_in=given.expires_at - now,
            payload={"key": key},
        )
    command = GrantCredits(
        tenant_id=tenant.id,
        idempotency_key=key,
        meter=given.meter,
        units=given.units * 10**meter.decimals,
        source=given.source,
        now=now,
        priority=given.priority,
        expires_at=given.expires_at,
        note=given.note,
    )
    return await _submit(platform, command)


async def _check_given(platform: Platform, given: GivenCredits) -> Meter:
    problems = Problems()
    meter = await check_meter(platform, problems, given.meter)
    most = most_credits(meter.decimals if meter else 0)
    problems.check(1 <= given.units <= most, f"is a number of units, one to {most}", "units")
    problems.check(given.source is not CreditSource.TOP_UP, "credits of this source are bought: call topUp", "source")
    problems.check(0 <= given.priority <= MAX_PRIORITY, f"is 0 to {MAX_PRIORITY}", "priority")
    if given.note is not None:
        problems.check_text(given.note, "note", longest=MAX_NOTE)
    problems.check_key(given.idempotency_key, "idempotencyKey")
    problems.refuse()
    assert meter is not None  # noqa: S101 - checked above
    return meter


async def check_meter(platform: Platform, problems: Problems, code: str) -> Meter | None:
    """A meter that takes credits; None with a problem if it does not."""
    book = await meters.find_meters(platform, code)
    if not problems.check(code in book, f"no such meter; there are {', '.join(sorted(book.meters))}", "meter"):
        return None
    is_counted = book[code].aggregation not in LEVELS and code != SEATS
    problems.check(is_counted, "is a level, which nothing uses up: it takes no credits", "meter")
    return book[code]


async def _submit(platform: Platform, command: GrantCredits) -> CreditGrant:
    stored: StoredGrant
    stored, _ = await operations.submit(platform, command)
    return await CreditGrant.get(tenant_id=stored.tenant_id, id=stored.id)


async def top_up(platform: Platform, tenant: Tenant, meter: str, units: int, idempotency_key: str) -> CreditGrant:
    """Buy the pack of so many units that the tenant's plan offers, once per key; the next invoice bills it.

    Raises InvalidInput if there is no such pack, Conflict for the same key with another pack, TenantRestricted, and
    SubscriptionInactive.
    """
    problems = Problems()
    await check_meter(platform, problems, meter)
    problems.check_key(idempotency_key, "idempotencyKey")
    problems.refuse()
    key = f"bought:{idempotency_key}"
    decimals = platform.metering.meters[meter].decimals
    first = await CreditGrant.get_or_none(tenant_id=tenant.id, idempotency_key=key)
    if first is not None:  # a repeat buys nothing, whatever the plan offers by now
        if (first.meter, first.units) != (meter, units * 10**decimals):
            raise Conflict("this idempotency key was used for another top-up", path=("idempotencyKey",))
        return first
    now = platform.clock.now()
    subscription = await subscriptions.require_subscription(tenant.id)
    await overdue.require_may_sign(tenant, now)
    await phases.require_running(subscription, now)
    terms, _ = await phases.in_force(platform, subscription, now)
    pack = find_pack(terms, meter, units)
    command = GrantCredits(
        tenant_id=tenant.id,
        idempotency_key=key,
        meter=meter,
        units=units * 10**decimals,
        source=CreditSource.TOP_UP,
        now=now,
        price=pack.price,
    )
    return await _submit(platform, command)


def find_pack(terms: PlanTerms, meter: str, units: int) -> TopUpPack:
    """The pack of so many units that a plan offers. Raises InvalidInput."""
    quota = terms.quotas.get(meter)
    packs = packs_of(terms, quota) if quota is not None else ()
    pack = next((pack for pack in packs if pack.units == units), None)
    offered = ", ".join(str(pack.units) for pack in packs) or "none"
    problems = Problems()
    problems.check(
        pack is not None, f"the plan {terms.plan.code} has no such pack of {meter}; on offer: {offered}", "units"
    )
    problems.refuse()
    assert pack is not None  # noqa: S101 - checked above
    return pack


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken from a grant: `units` in 10^-decimals units, and the money that was given back for them."""

    grant: CreditGrant
    units: int
    refund: Money | None = None


async def revoke_credits(
    platform: Platform, tenant_id: int, grant_id: UUID, units: int | None, idempotency_key: str
) -> Taken:
    """Take units back that were not used, all that are free if None; once per key. Nothing is paid for them.

    Raises InvalidInput, NotFound, and Conflict if fewer are free.
    """
    return await _take(platform, tenant_id, grant_id, units, idempotency_key, CreditEntryKind.REVOKED)


async def refund_credits(
    platform: Platform, tenant_id: int, grant_id: UUID, units: int | None, idempotency_key: str
) -> Taken:
    """Take units of a bought grant back that were not used, and give back their part of its price; once per key.

    Raises InvalidInput, NotFound, SubscriptionInactive, PaymentRefused, and Conflict if fewer are free or the grant
    was not bought.
    """
    grant = await find_grant(tenant_id, grant_id)
    if await refunds.price_of(grant) is None:
        raise Conflict("the grant was not bought: revoke it instead", path=("grantId",))
    is_new = await _taken_before(grant, f"{CreditEntryKind.REFUNDED}:{idempotency_key}", None) is None
    if is_new and await paid_refunds.find_payment(platform, grant) is None:
        await refunds.require_period(platform, tenant_id)  # before anything is taken: an invoice must give it back
    await refunds.ensure_paid_back(platform, grant)
    taken = await _take(platform, tenant_id, grant_id, units, idempotency_key, CreditEntryKind.REFUNDED)
    amounts = await refunds.pay_back(platform, grant)
    amount = amounts.get(f"{CreditEntryKind.REFUNDED}:{idempotency_key}")
    if taken.units and amount is None:
        raise PaymentRefused("Stripe has refused the refund: the credits are back")
    return Taken(taken.grant, taken.units, amount)


async def _take(
    platform: Platform,
    tenant_id: int,
    grant_id: UUID,
    units: int | None,
    idempotency_key: str,
    kind: CreditEntryKind,
) -> Taken:
    grant = await find_grant(tenant_id, grant_id)
    decimals = (await meters.find_meters(platform, grant.meter))[grant.meter].decimals
    problems = Problems()
    problems.check_key(idempotency_key, "idempotencyKey")
    problems.check(units is None or 1 <= units < 2**62, "is a number of units, one or more", "units")
    problems.refuse()
    wanted = None if units is None else units * 10**decimals
    note = f"{kind}:{idempotency_key}"
    done = await _taken_before(grant, note, wanted)
    if done is None:
        command = TakeCredits(tenant_id, grant_id, kind, platform.clock.now(), wanted, note)
        try:
            done = int(await operations.submit(platform, command))
        except Conflict:  # perhaps the same key at the same moment: the other call has taken them
            done = await _taken_before(grant, note, wanted)
            if done is None:
                raise
    if not done:  # all that was free, and another call with this key may have taken just that
        done = await _taken_before(grant, note, wanted) or 0
    return Taken(await find_grant(tenant_id, grant_id), done)


async def _taken_before(grant: CreditGrant, note: str, units: int | None) -> int | None:
    """What the call with this key has taken; None if there was none."""
    found = await taken_by(grant.tenant_id, note)
    if found is None:
        return None
    grant_id, taken = found
    if grant_id != grant.id or units not in (None, taken):
        raise Conflict("this idempotency key was used for other credits", path=("idempotencyKey",))
    return taken


async def expire_credits(platform: Platform, job: Job) -> None:
    """The job: what nobody has used of a grant ends. What is pledged to operations without an answer waits for them."""
    which = {"idempotency_key": job.payload["key"]} if "key" in job.payload else {"id": job.payload["grant"]}
    grant = await CreditGrant.get_or_none(tenant_id=job.tenant_id, **which)
    now = platform.clock.now()
    if grant is not None and grant.expires_at is not None:
        if grant.expires_at > now:
            raise jobs.NotYet("the grant has not expired yet", grant.expires_at - now)
        await operations.submit(platform, TakeCredits(grant.tenant_id, grant.id, CreditEntryKind.EXPIRED, now))
        left = await CreditGrant.get(tenant_id=grant.tenant_id, id=grant.id)
        if left.remaining:
            raise jobs.NotYet("credits are pledged to operations without an answer", PLEDGED_PAUSE)
    async with jobs.completing(job):
        pass


async def find_grant(tenant_id: int | None, grant_id: UUID) -> CreditGrant:
    """The grant, of that tenant unless None. Raises NotFound, also for another tenant's."""
    grant = await CreditGrant.get_or_none(id=grant_id)
    if grant is None or tenant_id not in (None, grant.tenant_id):
        raise NotFound("no such grant", path=("grantId",))
    return grant
