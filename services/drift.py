"""Drift: what provisioning has made, held against what Stripe and SignNow still have; mended where that is safe.

Callbacks are subscribed again by themselves. A folder is made again when somebody asks for it: it may have been moved
by a person, who can move it back. A customer who was deleted at Stripe took the subscription along, and a user who has
withdrawn consent must give it again: that is for people. What is for people stays as a discrepancy.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from inkmeter.errors import InkmeterError, SignNowNotConnected
from services import discrepancies, identities, jobs, operations, provisioning
from services.discrepancies import Discrepancy, DiscrepancyState
from services.platform import Platform
from services.provisioning import Step, StepState, StepTaken
from storage import provisioning as stored
from storage.database import transaction
from storage.jobs import SYSTEM, Job, advance_job
from storage.operations import Operation, OperationKind
from storage.tenants import Tenant, TenantState

log = logging.getLogger("inkmeter.drift")

CHECK: Final = "tenants.check"
CHECK_EVERY: Final = timedelta(days=1)


class DriftKind(StrEnum):
    """What is not there any more; NOT_CHECKED if nobody can say now."""

    CUSTOMER_GONE = "CUSTOMER_GONE"
    NOT_CONNECTED = "NOT_CONNECTED"
    FOLDER_GONE = "FOLDER_GONE"
    CALLBACKS_WRONG = "CALLBACKS_WRONG"
    NOT_CHECKED = "NOT_CHECKED"


MENDABLE: Final = frozenset({DriftKind.FOLDER_GONE, DriftKind.CALLBACKS_WRONG})


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that a tenant has lost; `is_repaired` if it is there again."""

    tenant: Tenant
    kind: DriftKind
    message: str
    is_repaired: bool = False


async def check_tenant(platform: Platform, tenant: Tenant) -> Sequence[Drift]:
    """What a tenant has lost at Stripe and SignNow; nothing is changed there. What cannot be repaired is kept as a
    discrepancy, until a later check finds it well. Who is not provisioned yet, or has left, has nothing to lose.

    Raises UpstreamError, SignNowRefused and PaymentRefused.
    """
    if tenant.state in (TenantState.PROVISIONING, TenantState.DEPROVISIONED):
        return []
    found = []
    customer_id = tenant.stripe_customer_id
    if customer_id and not await platform.stripe.customer_exists(customer_id):
        text = f"Stripe's customer {customer_id} was deleted, and its subscription with it: nothing can be collected"
        found.append(Drift(tenant, DriftKind.CUSTOMER_GONE, text))
    try:
        found += await _check_signnow(platform, tenant)
    except SignNowNotConnected as refusal:
        found.append(Drift(tenant, DriftKind.NOT_CONNECTED, refusal.message))
    await _note(platform, tenant, found)
    return found


async def _check_signnow(platform: Platform, tenant: Tenant) -> list[Drift]:
    signnow, found = identities.signnow_for(platform, tenant), []
    if not await signnow.has_folder(tenant.signnow_folder_id or ""):
        text = f"the tenant's folder {tenant.signnow_folder_id} is not in the SignNow account any more"
        found.append(Drift(tenant, DriftKind.FOLDER_GONE, text))
    if platform.callbacks is not None:
        wrong = await signnow.wrong_callbacks(platform.callbacks.url, platform.callbacks.secret)
        if wrong:
            text = f"SignNow does not call for {', '.join(wrong)}"
            found.append(Drift(tenant, DriftKind.CALLBACKS_WRONG, text))
    return found


async def _note(platform: Platform, tenant: Tenant, found: Sequence[Drift]) -> None:
    """Open and resolve what is for people. A customer's is left to the reconciliation, which looks at more of it."""
    lost = {drift.kind: drift.message for drift in found}
    for kind in (DriftKind.NOT_CONNECTED, DriftKind.FOLDER_GONE):
        if kind not in lost:
            async with transaction():
                await discrepancies.resolve(platform, tenant.id, [kind.value], "signnow")
            continue
        row = Discrepancy(
            tenant_id=tenant.id,
            kind=kind.value,
            subject="signnow",
            ours_minor=0,
            theirs_minor=0,
            currency="",
            evidence={"signnow_user_id": tenant.signnow_user_id, "signnow_folder_id": tenant.signnow_folder_id},
            explanation=lost[kind],
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        )
        await discrepancies.open_discrepancy(platform, row)


async def repair_tenant(platform: Platform, tenant: Tenant) -> Sequence[Drift]:
    """Check a tenant and mend what can be mended; one that is not provisioned yet is helped on. Safe to repeat.

    Raises what `check_tenant` raises.
    """
    if tenant.state is TenantState.PROVISIONING:
        await provisioning.go_on(platform, tenant)
        return []
    return [await _mend(platform, drift) for drift in await check_tenant(platform, tenant)]


async def _mend(platform: Platform, drift: Drift) -> Drift:
    tenant, now = drift.tenant, platform.clock.now()
    if drift.kind not in MENDABLE:
        return drift
    signnow = identities.signnow_for(platform, tenant)
    if drift.kind is DriftKind.FOLDER_GONE:
        uploads = Operation.filter(tenant_id=tenant.id, kind=OperationKind.UPLOAD, state__in=operations.OPEN)
        if await uploads.exists():
            return replace(
                drift, message=f"{drift.message}; an upload has no answer yet, repeat this when it is settled"
            )
        folder_id = await signnow.ensure_folder(provisioning.label_of(tenant))
        async with transaction():
            # Where somebody else was faster they found the same folder: it is looked up by its name.
            await Tenant.filter(id=tenant.id, signnow_folder_id=tenant.signnow_folder_id).update(
                signnow_folder_id=folder_id
            )
            await stored.note_step(tenant.id, StepTaken(Step.SIGNNOW_FOLDER, StepState.DONE), now)
            await discrepancies.resolve(platform, tenant.id, [DriftKind.FOLDER_GONE.value], "signnow")
    elif platform.callbacks is not None:
        await signnow.ensure_callbacks(platform.callbacks.url, platform.callbacks.secret)
        await stored.note_step(tenant.id, StepTaken(Step.SIGNNOW_CALLBACKS, StepState.DONE), now)
    return replace(drift, is_repaired=True)


async def check_tenants(platform: Platform, *, is_repairing: bool = False) -> Sequence[Drift]:
    """Check every tenant, and repair them if asked to. One that cannot be looked at now is told as NOT_CHECKED."""
    look = repair_tenant if is_repairing else check_tenant
    found: list[Drift] = []
    for tenant in await Tenant.all().order_by("id"):
        try:
            found += await look(platform, tenant)
        except InkmeterError as error:
            found.append(Drift(tenant, DriftKind.NOT_CHECKED, error.message))
    return found


async def schedule_check(platform: Platform) -> None:
    """Add the daily check; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=CHECK, dedup="daily", run_in=CHECK_EVERY)


async def check_daily(platform: Platform, job: Job) -> None:
    """The job. It mends callbacks by itself; how far it has come is kept."""
    done = job.payload.get("done", 0)
    for tenant in await Tenant.filter(id__gt=done).order_by("id"):
        try:
            for drift in await check_tenant(platform, tenant):
                log.warning("tenant %s: %s", tenant.public_id, drift.message)
                if drift.kind is DriftKind.CALLBACKS_WRONG:
                    await _mend(platform, drift)
        except InkmeterError as error:
            log.warning("tenant %s could not be checked: %s", tenant.public_id, error)
        await advance_job(job, {"done": tenant.id}, platform.clock.now())
    await advance_job(job, {}, platform.clock.now())
    raise jobs.NotYet("checked; the next look is tomorrow", CHECK_EVERY)
