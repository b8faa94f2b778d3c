"""Document groups: where one stands in SignNow, and its documents as a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from integrations.protocols import DownloadForm, GroupAction
from services import groups, identities, looks, operations, signing
from services.commands import Intent
from services.groups import Group
from services.operations import StoredOperation
from services.platform import Platform
from services.problems import Problems
from storage.operations import OperationKind
from storage.tenants import Tenant


@dataclass(frozen=True, slots=True)
class GroupLook:
    """What SignNow shows now: its word for the invite, None without one, and who is asked for what."""

    group: Group
    status: str | None
    actions: Sequence[GroupAction]


async def look_at_group(platform: Platform, tenant_id: int | None, group_id: UUID) -> GroupLook:
    """Where a group stands. Counted as a call. Raises NotFound, SignNowRefused, UpstreamUnavailable."""
    group = await groups.find_group(tenant_id, group_id)
    async with looks.counting(platform, group.row):
        signnow = await identities.signnow_of(platform, group.row.tenant_id)
        theirs = await signnow.group(group.row.signnow_document_id)
        if theirs.invite_id is None:
            return GroupLook(group, None, ())
        invite = await signnow.group_invite(theirs.id, theirs.invite_id)
    if invite.is_completed:
        await signing.complete_group(group.row, platform.clock.now())
        group = await groups.find_group(tenant_id, group_id)
    return GroupLook(group, invite.status, invite.actions)


async def download_group(
    platform: Platform, tenant: Tenant, group_id: UUID, form: DownloadForm, idempotency_key: str, *, with_history: bool
) -> tuple[Group, bytes, StoredOperation]:
    """All documents as one PDF, or as a zip; counted once per key as a download of each.

    Raises InvalidInput, NotFound, what `operations.reserve` and SignNow refuse, and UpstreamError where the transfer
    breaks off.
    """
    problems = Problems()
    problems.check_key(idempotency_key, "idempotencyKey")
    problems.refuse()
    group = await groups.find_group(tenant.id, group_id)
    units = {"downloads": len(group.members), "api_calls": 1}
    request = {"group_id": str(group_id), "form": form, "with_history": with_history}
    intent = Intent(OperationKind.DOWNLOAD, idempotency_key, request, units, group_id)
    operation, is_new = await operations.reserve(platform, tenant, intent)
    async with operations.calling_signnow(platform, operation), operations.preparing(platform, operation):
        opening = identities.signnow_for(platform, tenant).open_group_download(
            group.row.signnow_document_id, is_merged=form is DownloadForm.COLLAPSED, with_history=with_history
        )
        async with opening as file:
            content = b"".join([chunk async for chunk in file.chunks])
    if is_new:
        await operations.succeed(platform, operation, units)
    return group, content, operation
