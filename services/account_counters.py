"""SignNow's own counters of an account (`GET /user`), taken once a day: a coarse check of how many documents it has.

SignNow counts documents there, not invites, and does not document what exactly it counts or in which zone a month
begins. So a counter stands beside our number in `reconcileSignNow`, and explains or accuses nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tortoise.expressions import F, Q

from inkmeter.errors import InkmeterError
from integrations.protocols import SignNow
from services import identities, jobs, upstream_books
from services.platform import Platform
from services.upstream_books import UpstreamFigure
from services.upstream_costs import month_of, month_start, next_month
from storage.documents import Document
from storage.jobs import SYSTEM, Job
from storage.tenants import Isolation, Tenant
from storage.upstream import current_figures

log = logging.getLogger("inkmeter.account_counters")

TAKE: Final = "signnow.counters"
TAKE_EVERY: Final = timedelta(days=1)
SOURCE: Final = "signnow-account"
KIND: Final = "DOCUMENTS"
"""The kind of such a figure: it has documents, and is never read as invites."""
_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DocumentCount:
    """The documents of an account's month: those of ours until SignNow's number last changed, and SignNow's."""

    ours: int
    theirs: int
    taken_at: datetime


async def schedule_taking(platform: Platform) -> None:
    """Add the daily look; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=TAKE, dedup="daily", run_in=TAKE_EVERY)


async def take_daily(platform: Platform, job: Job) -> None:
    """The job: take the counters of every account."""
    await take_counters(platform)
    raise jobs.NotYet("taken; the next look is tomorrow", TAKE_EVERY)


async def take_counters(platform: Platform) -> int:
    """Store what each account's counter of this month says, where it is another than before; answers how many accounts
    were asked. One that cannot be asked now is logged and left to the next look.
    """
    accounts: list[tuple[str, SignNow]] = [("the shared account", platform.signnow)]
    accounts += [
        (f"tenant {tenant.public_id}", identities.signnow_for(platform, tenant))
        for tenant in await identities.connected_tenants()
    ]
    taken = 0
    for name, signnow in accounts:
        try:
            user_id = (await signnow.account()).user_id
            documents = (await signnow.counters()).documents_this_month
        except InkmeterError as error:
            log.warning("the counters of %s were not taken: %s", name, error)
            continue
        if documents is not None:
            await _keep(platform, user_id, documents)
            taken += 1
    return taken


async def _keep(platform: Platform, user_id: str, documents: int) -> None:
    now = platform.clock.now()
    month = month_of(now)
    figure = UpstreamFigure(
        source=SOURCE,
        starts_on=f"{month}-01",
        ends_on=f"{next_month(month)}-01",
        kind=KIND,
        folder="",
        account=user_id,
        units=documents,
        recorded_at=now,
    )
    await upstream_books.store_figure(figure)


async def documents_of(platform: Platform, month: str, tenant: Tenant | None) -> DocumentCount | None:
    """SignNow's number and ours: of a tenant with a user of its own, or of the shared account where there is no tenant.
    None for a tenant of the shared account, and where no counter was taken.
    """
    if tenant is None:
        owners: Sequence[Tenant] = await Tenant.filter(isolation=Isolation.SHARED_ACCOUNT)
        own_users = {owner.signnow_user_id for owner in await Tenant.exclude(isolation=Isolation.SHARED_ACCOUNT)}
    elif tenant.isolation is not Isolation.SHARED_ACCOUNT:
        owners, own_users = [tenant], set()
    else:
        return None
    start, end = month_start(month), month_start(next_month(month))
    figures = await current_figures(start.date().isoformat(), end.date().isoformat())
    mine = [
        figure
        for figure in figures
        if (figure.source, figure.kind) == (SOURCE, KIND)
        and (figure.account not in own_users if tenant is None else figure.account == tenant.signnow_user_id)
    ]
    if not mine:
        return None
    newest = max(mine, key=lambda figure: figure.recorded_at)
    of_month = Document.filter(created_at__gte=start, created_at__lt=min(end, newest.recorded_at + _INSTANT))
    documents = of_month.filter(Q(group_id__isnull=True) | ~Q(group_id=F("id")))
    ours = await documents.filter(tenant_id__in=[owner.id for owner in owners]).count() if owners else 0
    return DocumentCount(ours, newest.units, newest.recorded_at)
