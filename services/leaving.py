"""A tenant that was deprovisioned leaves SignNow: its callbacks end and its user's consent is given back.

Documents and folder stay where they are, with the user whose they are. In the shared account nothing is to be done: its
callbacks serve the others, and who comes back finds the folder.
"""

import contextlib
from datetime import timedelta
from typing import Final

from inkmeter.errors import SignNowNotConnected
from services import identities, jobs, operations
from services.identities import Isolation
from services.platform import Platform
from storage.jobs import Job
from storage.operations import Operation
from storage.tenants import Tenant, TenantState

LEAVE: Final = "signnow.leave"
LEAVE_AFTER: Final = timedelta(days=1)
"""So that what was signed before the end is still heard of, and looked at."""


async def plan_leaving(platform: Platform, tenant: Tenant, subject: str) -> None:
    """Add the job, once for each `subject`; in the transaction that deprovisions."""
    if tenant.isolation is not Isolation.SHARED_ACCOUNT:
        await jobs.add_job(platform, tenant_id=tenant.id, topic=LEAVE, dedup=subject, run_in=LEAVE_AFTER)


async def leave_signnow(platform: Platform, job: Job) -> None:
    """The job. A tenant that has come back meanwhile stays; an operation without an answer is settled first, for which
    the consent is needed.
    """
    tenant = await Tenant.get(id=job.tenant_id)
    if tenant.state is TenantState.DEPROVISIONED and await identities.is_connected(tenant):
        if await Operation.exists(tenant_id=tenant.id, state__in=operations.OPEN):
            raise jobs.NotYet("operations without an answer are settled first", timedelta(minutes=5))
        if platform.callbacks is not None:
            with contextlib.suppress(SignNowNotConnected):  # consent was withdrawn already: nobody can ask for more
                await identities.signnow_for(platform, tenant).remove_callbacks(platform.callbacks.url)
        await platform.signnow.disconnect(str(tenant.id))
    async with jobs.completing(job):
        pass
