"""What processes do that race for the units of one tenant, or for the days of a pool."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from datetime import date
from uuid import UUID

from inkmeter.errors import Conflict, OutcomeUnknown, QuotaExceeded
from services import credits, operations, upstream_pools
from services.commands import Intent
from services.operations import OperationKind, StoredOperation
from services.platform import Platform
from services.tenants import Tenant
from storage.ids import new_id
from tests.crash.places import Place


async def reserve(platform: Platform, tenant: Tenant, key: str, units: int) -> StoredOperation:
    intent = Intent(OperationKind.UPLOAD, key, {}, {"documents_created": units, "api_calls": 1}, new_id())
    operation, _ = await operations.reserve(platform, tenant, intent)
    return operation


def verdict(refusal: QuotaExceeded | OutcomeUnknown) -> str:
    """Whether a refusal was right."""
    match refusal:
        case OutcomeUnknown():
            return "known"
        case QuotaExceeded(used=used, requested=requested, limit=limit) if used + requested > limit:
            return "refused"
    return f"refused while units were free: {refusal}"


async def reserve_here(platform: Platform, tenant: Tenant, wanted: Sequence[tuple[str, int]]) -> list[str]:
    """Reserve units under each key, all at once. Answers "granted", "known" or "refused" for each."""

    async def answer(key: str, units: int) -> str:
        try:
            await reserve(platform, tenant, key, units)
        except (QuotaExceeded, OutcomeUnknown) as refusal:
            return verdict(refusal)
        return "granted"

    return await asyncio.gather(*(answer(key, units) for key, units in wanted))


async def reserve_all(place: Place, tenant_id: int, wanted: Sequence[tuple[str, int]]) -> list[str]:
    """`reserve_here`, in another process."""
    async with place.platform() as platform:
        return await reserve_here(platform, await Tenant.get(id=tenant_id), wanted)


async def take_and_give_back(place: Place, tenant_id: int, tasks: int, times: int) -> list[str]:
    """Tasks that reserve one unit and release it again, many times; what became of each."""
    async with place.platform() as platform:
        tenant = await Tenant.get(id=tenant_id)

        async def take_turns(task: int) -> str:
            for turn in range(times):
                try:
                    operation = await reserve(platform, tenant, f"{os.getpid()}-{task}-{turn}", 1)
                except QuotaExceeded as refusal:
                    return verdict(refusal)
                give_back = operations.undo if turn % 2 else operations.give_up
                await give_back(platform, operation)
            return "granted"

        return await asyncio.gather(*(take_turns(task) for task in range(tasks)))


async def use_all(place: Place, tenant_id: int, keys: Sequence[str]) -> list[str]:
    """Upload under each key, all at once: the reason of each decision, or "refused"."""
    async with place.platform() as platform:
        tenant = await Tenant.get(id=tenant_id)

        async def use(key: str) -> str:
            try:
                operation = await reserve(platform, tenant, key, 1)
            except QuotaExceeded as refusal:
                return verdict(refusal)
            await operations.succeed(platform, operation, {"documents_created": 1, "api_calls": 1})
            return str(operation.decision["reason"])

        return await asyncio.gather(*(use(key) for key in keys))


async def buy_all(place: Place, tenant_id: int, keys: Sequence[str]) -> list[str]:
    """Buy a pack of ten under each key, all at once; the ids of the grants."""
    async with place.platform() as platform:
        tenant = await Tenant.get(id=tenant_id)
        bought = await asyncio.gather(*(credits.top_up(platform, tenant, "documents_created", 10, key) for key in keys))
        return [str(grant.id) for grant in bought]


async def refund_all(place: Place, tenant_id: int, grant_id: UUID, keys: Sequence[str]) -> list[int]:
    """Refund one unit of a grant under each key, one after the other; the minor units that each gave back."""
    async with place.platform() as platform:
        taken = [await credits.refund_credits(platform, tenant_id, grant_id, 1, key) for key in keys]
        return [one.refund.minor if one.refund is not None else 0 for one in taken]


async def set_pools(place: Place, month: int, years: Sequence[int]) -> list[int]:
    """Say for each of the years that SignNow's plan has a pool from this month on; answers the years that took it."""
    taken = []
    async with place.platform() as platform:
        for year in years:
            with contextlib.suppress(Conflict):
                await upstream_pools.set_pool(platform, 10, date(year, month, 1), date(year + 1, 1, 1))
                taken.append(year)
    return taken
