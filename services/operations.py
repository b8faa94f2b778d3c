"""Operations: reserve, call SignNow, then commit or release. Each ends once, whoever ends it.

    T1  the units are reserved and the operation is stored (unique by the caller's idempotency key)
    --  SignNow is called; no transaction is open
    T2  yes: usage events, reserved becomes used     no: the reservation is released     no answer: it stays reserved

Killed between T1 and T2, or without an answer, an operation is settled later by asking SignNow what became of it.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from inkmeter.errors import (
    Conflict,
    OutcomeUnknown,
    QuotaExceeded,
    SignNowRefused,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from inkmeter.events import OperationRefused, UsageRecorded
from services import plans, quota, subscriptions
from services.platform import Platform
from storage.database import insert_new, transaction
from storage.operations import Operation as Operation
from storage.operations import OperationKind as OperationKind
from storage.operations import OperationState as OperationState
from storage.subscriptions import PeriodState, enter_period
from storage.tenants import Tenant
from storage.usage import UsageEvent, add_to_counter, lock_counter

OPEN = (OperationState.RESERVED, OperationState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a caller wants SignNow to do, and the most units of each meter that it can take."""

    kind: OperationKind
    idempotency_key: str
    request: Mapping[str, Any]
    units: Mapping[str, int]
    document_id: UUID


@dataclass(frozen=True, slots=True)
class Outcome:
    """What SignNow did: the units that were really used, and what SignNow charges for it, in invites."""

    used: Mapping[str, int]
    upstream_units: Mapping[str, int] = field(default_factory=dict)


async def reserve(platform: Platform, tenant: Tenant, intent: Intent) -> tuple[Operation, bool]:
    """T1. Answers the operation, and whether it is new: then the caller goes on to call SignNow.

    The same key again answers the first operation if it succeeded, and raises its refusal if it failed. Raises
    Conflict for the same key with another request, OutcomeUnknown while the first is not settled, QuotaExceeded,
    TenantRestricted, SubscriptionInactive.
    """
    now = platform.clock.now()
    request_hash = hashlib.sha256(orjson.dumps([intent.kind, intent.request], option=orjson.OPT_SORT_KEYS)).hexdigest()
    try:
        async with transaction():
            existing = await Operation.get_or_none(tenant_id=tenant.id, idempotency_key=intent.idempotency_key)
            if existing is None:
                operation = await _reserve_new(platform, tenant, intent, request_hash, now)
                if operation is not None:
                    return operation, True
    except QuotaExceeded as refusal:
        await platform.plugins.publish(
            OperationRefused(str(tenant.public_id), now, refusal.meter, refusal.used, refusal.limit)
        )
        raise
    existing = await Operation.get_or_none(tenant_id=tenant.id, idempotency_key=intent.idempotency_key)
    if existing is None:
        raise Conflict("the document is being sent already, or was sent", path=("documentId",))
    return _replay(existing, request_hash), False


async def _reserve_new(
    platform: Platform, tenant: Tenant, intent: Intent, request_hash: str, now: datetime
) -> Operation | None:
    quota.check_tenant_may_sign(tenant, now)
    subscription = await subscriptions.require_subscription(tenant.id)
    terms = await plans.load_terms(platform, subscription.plan_id)
    period = await subscriptions.enter_period(platform, subscription, terms.plan, now)
    metered = sorted({*intent.units, *(entry.meter for entry, _ in terms.prices)})
    counters = {meter: await lock_counter(tenant.id, period.starts_at, meter) for meter in metered}
    decision = quota.decide(terms, subscription, period, counters, intent.units)
    operation = Operation(
        tenant_id=tenant.id,
        idempotency_key=intent.idempotency_key,
        kind=intent.kind,
        request=dict(intent.request),
        request_hash=request_hash,
        state=OperationState.RESERVED,
        period_starts_at=period.starts_at,
        reserved=dict(intent.units),
        decision={
            "reason": decision.reason,
            "price_minor": decision.price.minor,
            "currency": decision.price.currency,
        },
        document_id=intent.document_id,
        created_at=now,
    )
    if not await insert_new(operation):
        return None
    for meter in sorted(intent.units):
        await add_to_counter(tenant.id, period.starts_at, meter, reserved=intent.units[meter])
    return operation


def _replay(operation: Operation, request_hash: str) -> Operation:
    if operation.request_hash != request_hash:
        raise Conflict("this idempotency key was used for another request", path=("idempotencyKey",))
    if operation.state in OPEN:
        raise OutcomeUnknown(
            "the first call with this key has no answer yet; its units stay reserved. Repeat it in some minutes."
        )
    if operation.state is OperationState.FAILED:
        refusal = operation.refusal or {}
        code = refusal.get("upstream_code")
        raise SignNowRefused(str(refusal.get("message")), upstream_code=str(code) if code is not None else None)
    return operation


@asynccontextmanager
async def calling_signnow(platform: Platform, operation: Operation) -> AsyncIterator[None]:
    """Around the call that takes effect: whatever goes wrong in it ends the operation as it must.

    Refused: failed, released. Certainly not done: undone, as if never asked. No answer: it stays reserved and
    OutcomeUnknown is raised. Anything else (a crash, a cancelled request) leaves it to be settled.
    """
    try:
        yield
    except SignNowRefused as refusal:
        await fail(platform, operation, refusal)
        raise
    except UpstreamTimeout as timeout:
        await Operation.filter(tenant_id=operation.tenant_id, id=operation.id, state=OperationState.RESERVED).update(
            state=OperationState.UNKNOWN
        )
        raise OutcomeUnknown(
            "SignNow did not answer; the units stay reserved until it is known what happened. "
            "Repeat the call with the same idempotency key."
        ) from timeout
    except UpstreamError as error:
        await undo(operation)
        raise UpstreamUnavailable(f"SignNow cannot be used now ({error.message}); nothing happened") from error


@asynccontextmanager
async def preparing(operation: Operation) -> AsyncIterator[None]:
    """Around calls that come before the one that counts, and may be repeated: if they fail, nothing happened."""
    try:
        yield
    except UpstreamError as error:
        await undo(operation)
        raise UpstreamUnavailable(f"SignNow cannot be used now ({error.message}); nothing happened") from error


@asynccontextmanager
async def succeeding(platform: Platform, operation: Operation, outcome: Outcome) -> AsyncIterator[bool]:
    """T2, yes: usage events, counters and whatever the caller adds, in one transaction.

    Yields False if the operation was settled as succeeded meanwhile: then there is nothing left to do.
    """
    now = platform.clock.now()
    tenant = await Tenant.get(id=operation.tenant_id)
    async with transaction():
        period = await enter_period(operation.tenant_id, operation.created_at)
        is_mine = await _end(operation, OperationState.SUCCEEDED, now)
        yield is_mine
        if not is_mine:
            return
        is_late = period is None or period.state is PeriodState.CLOSED
        events = [_event(operation, outcome, meter, now, is_late) for meter in sorted(outcome.used)]
        for meter in sorted({*operation.reserved, *outcome.used}):
            reserved = operation.reserved.get(meter, 0) if operation.state in OPEN else 0
            used = outcome.used.get(meter, 0)
            await add_to_counter(operation.tenant_id, operation.period_starts_at, meter, used=used, reserved=-reserved)
        for event in events:
            await insert_new(event)
    for event in events:
        await platform.plugins.publish(
            UsageRecorded(str(tenant.public_id), now, event.meter, event.quantity, event.idempotency_key)
        )


def _event(operation: Operation, outcome: Outcome, meter: str, now: datetime, is_late: bool) -> UsageEvent:
    return UsageEvent(
        tenant_id=operation.tenant_id,
        idempotency_key=f"op:{operation.id}:{meter}",
        meter=meter,
        quantity=outcome.used[meter],
        # When it was reserved: the period that it was decided in is the period that it is billed in.
        occurred_at=operation.created_at,
        recorded_at=now,
        is_late=is_late,
        source="operation",
        document_id=operation.document_id,
        upstream_units=outcome.upstream_units.get(meter, 0),
    )


async def fail(platform: Platform, operation: Operation, refusal: SignNowRefused) -> None:
    """T2, no: the reservation is released and the refusal kept for whoever repeats the key."""
    async with transaction():
        if await _end(operation, OperationState.FAILED, platform.clock.now()):
            await _release(operation)
            await Operation.filter(tenant_id=operation.tenant_id, id=operation.id).update(
                refusal={"message": refusal.message, "upstream_code": refusal.upstream_code}
            )


async def give_up(platform: Platform, operation: Operation) -> None:
    """SignNow does not know the operation: it is failed and released. Should its caller still see it succeed, the
    "yes" wins and is counted.
    """
    await fail(platform, operation, SignNowRefused("SignNow never received the call; use a new idempotency key"))


async def undo(operation: Operation) -> None:
    """Nothing happened: the reservation is released and the key is free again."""
    async with transaction():
        deleted = await Operation.filter(tenant_id=operation.tenant_id, id=operation.id, state__in=OPEN).delete()
        if deleted:
            await _release(operation)


async def _release(operation: Operation) -> None:
    for meter in sorted(operation.reserved):
        await add_to_counter(
            operation.tenant_id, operation.period_starts_at, meter, reserved=-operation.reserved[meter]
        )


async def _end(operation: Operation, state: OperationState, now: datetime) -> bool:
    """Whether this caller ends the operation. A settled "no" yields to the caller who saw the "yes"."""
    from_states = (*OPEN, OperationState.FAILED) if state is OperationState.SUCCEEDED else OPEN
    stored = await Operation.filter(tenant_id=operation.tenant_id, id=operation.id).select_for_update().first()
    if stored is None or stored.state not in from_states:
        return False
    operation.state = stored.state
    await Operation.filter(tenant_id=operation.tenant_id, id=operation.id).update(state=state, ended_at=now)
    return True
