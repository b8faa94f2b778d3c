"""Operations: reserve, call SignNow, then commit or release. Each ends once, whoever ends it.

    T1  the units are reserved and the operation is stored (unique by the caller's idempotency key)
    --  SignNow is called; no transaction is open
    T2  yes: usage events, reserved becomes used     no: the reservation is released     no answer: it stays reserved

Killed between T1 and T2, or without an answer, an operation is settled later by asking SignNow what became of it.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import orjson

from inkmeter.errors import (
    Conflict,
    OutcomeUnknown,
    QuotaExceeded,
    Refused,
    SignNowNotConnected,
    SignNowRefused,
    SpendCapReached,
    TenantRestricted,
    TopUpRequired,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from inkmeter.events import OperationRefused, UsageRecorded
from services import meters, overdue, plans, subscriptions
from services.commands import Command, Commit, Intent, NeedsMeters, NeedsPeriod, NeedsTerms, Release, Reserve, Uploaded
from services.platform import Platform
from storage.documents import DocumentState
from storage.fields import from_micros
from storage.ledger import StoredOperation as StoredOperation
from storage.operations import Operation, OperationState
from storage.operations import OperationKind as OperationKind
from storage.tenants import Tenant
from storage.upstream import UnitKind as UnitKind

OPEN: Final = (OperationState.RESERVED, OperationState.UNKNOWN)


async def submit(platform: Platform, command: Command) -> Any:
    """Have a command decided and written, and fetch what it needs first. Raises what was decided to raise."""
    while True:
        match answer := await platform.metering.submit(command):
            case NeedsTerms(plan_id):
                platform.metering.terms[plan_id] = await plans.load_terms(platform, plan_id)
            case NeedsMeters():
                await meters.refresh(platform)
            case NeedsPeriod(tenant_id, moment):
                await subscriptions.ensure_period(platform, tenant_id, moment)
            case _:
                return answer


async def reserve(platform: Platform, tenant: Tenant, intent: Intent) -> tuple[StoredOperation, bool]:
    """T1. Answers the operation, and whether it is new: then the caller goes on to call SignNow.

    The same key again answers the first operation if it succeeded, and raises its refusal if it failed. Raises
    Conflict for the same key with another request, OutcomeUnknown while the first is not settled, QuotaExceeded,
    TenantRestricted, SubscriptionInactive.
    """
    now = platform.clock.now()
    request_hash = hashlib.sha256(orjson.dumps([intent.kind, intent.request], option=orjson.OPT_SORT_KEYS)).hexdigest()
    try:
        operation, is_new = await submit(platform, Reserve(tenant.id, intent, request_hash, now))
    except (QuotaExceeded, TopUpRequired, SpendCapReached) as refusal:
        await _tell(platform, tenant, now, refusal)
        raise
    except TenantRestricted as refusal:
        await _tell(platform, tenant, now, refusal)
        raise await overdue.restriction(tenant) from None
    return (operation, True) if is_new else (_replay(operation, request_hash), False)


async def _tell(platform: Platform, tenant: Tenant, now: datetime, refusal: Refused) -> None:
    """Plugins hear of a refusal; what it does not say of a meter is None."""
    meter, used, limit = (getattr(refusal, name, None) for name in ("meter", "used", "limit"))
    await platform.plugins.publish(OperationRefused(str(tenant.public_id), now, refusal.code, meter, used, limit))


def _replay(operation: StoredOperation, request_hash: str) -> StoredOperation:
    if operation.request_hash != request_hash:
        raise Conflict("this idempotency key was used for another request", path=("idempotencyKey",))
    if operation.state in OPEN:
        raise OutcomeUnknown(
            "the first call with this key has no answer yet; its units stay reserved. Repeat it in some minutes."
        )
    if operation.state == OperationState.FAILED:
        refusal = operation.refusal or {}
        code = refusal.get("upstream_code")
        raise SignNowRefused(str(refusal.get("message")), upstream_code=str(code) if code is not None else None)
    return operation


@asynccontextmanager
async def calling_signnow(platform: Platform, operation: StoredOperation) -> AsyncIterator[None]:
    """Around the call that takes effect: whatever goes wrong in it ends the operation as it must.

    Refused: failed, released. Its SignNow user has not consented, or certainly not done: undone, as if never asked. No
    answer: it stays reserved and OutcomeUnknown is raised. Anything else (a crash, a cancelled request) leaves it to be
    settled.
    """
    try:
        yield
    except SignNowRefused as refusal:
        await fail(platform, operation, refusal)
        raise
    except SignNowNotConnected:
        await undo(platform, operation)
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
        await undo(platform, operation)
        raise UpstreamUnavailable(f"SignNow cannot be used now ({error.message}); nothing happened") from error


@asynccontextmanager
async def preparing(platform: Platform, operation: StoredOperation) -> AsyncIterator[None]:
    """Around calls that come before the one that counts, and may be repeated: if they fail, nothing happened."""
    try:
        yield
    except UpstreamError as error:
        await undo(platform, operation)
        raise UpstreamUnavailable(f"SignNow cannot be used now ({error.message}); nothing happened") from error


async def succeed(
    platform: Platform,
    operation: StoredOperation,
    used: Mapping[str, int],
    *,
    upstream_units: Mapping[str, int] | None = None,
    upstream_kind: UnitKind | None = None,
    uploaded: Uploaded | None = None,
    becomes: DocumentState | None = None,
) -> None:
    """T2, yes: usage events, counters and what becomes of the document, in one transaction.

    Does nothing if the operation was settled as succeeded meanwhile.
    """
    now = platform.clock.now()
    command = Commit(
        tenant_id=operation.tenant_id,
        operation_id=operation.id,
        idempotency_key=operation.idempotency_key,
        created_at=from_micros(operation.created_at),
        now=now,
        used=used,
        upstream_units=upstream_units or {},
        upstream_kind=upstream_kind,
        uploaded=uploaded,
        becomes=becomes,
    )
    if public_id := await submit(platform, command):
        for meter, quantity in used.items():
            await platform.plugins.publish(UsageRecorded(public_id, now, meter, quantity, events=1))


async def fail(platform: Platform, operation: StoredOperation, refusal: SignNowRefused) -> None:
    """T2, no: the reservation is released and the refusal kept for whoever repeats the key."""
    await submit(platform, _release(platform, operation, refusal))


async def give_up(platform: Platform, operation: StoredOperation) -> None:
    """SignNow does not know the operation: it is failed and released. Should its caller still see it succeed, the
    "yes" wins and is counted.
    """
    await fail(platform, operation, SignNowRefused("SignNow never received the call; use a new idempotency key"))


async def undo(platform: Platform, operation: StoredOperation) -> None:
    """Nothing happened: the reservation is released and the key is free again."""
    await submit(platform, _release(platform, operation, None))


def _release(platform: Platform, operation: StoredOperation, refusal: SignNowRefused | None) -> Release:
    return Release(
        tenant_id=operation.tenant_id,
        operation_id=operation.id,
        idempotency_key=operation.idempotency_key,
        created_at=from_micros(operation.created_at),
        now=platform.clock.now(),
        refusal=refusal,
    )
