"""Document groups: several documents that are sent under one invite. Making, reading and deleting them.

A document belongs to one group at a time and is sent with it alone. It is taken for the group before SignNow is called
and let go when it is certain that there is no group, so that nobody sends it elsewhere meanwhile.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tortoise.expressions import F

from inkmeter.errors import Conflict, NotFound, Refused, SignNowRefused, UpstreamError, UpstreamTimeout
from integrations.protocols import NOT_FOUND
from services import documents, identities, made_documents, operations
from services.commands import Intent, Uploaded
from services.operations import OPEN, StoredOperation
from services.platform import Platform
from services.problems import Problems
from storage.counters import lock_periods
from storage.database import transaction
from storage.documents import Document, DocumentState, claim_members, members_of, release_members
from storage.ids import new_id
from storage.operations import CHANGES, Operation, OperationKind
from storage.tenants import Tenant

UNITS: Final = {"api_calls": 1}
MAX_MEMBERS: Final = 20


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """Documents that are not out, under a name that signers will read."""

    tenant: Tenant
    name: str
    document_ids: Sequence[UUID]
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group's own row, and its documents."""

    row: Document
    members: Sequence[Document]


async def create_group(platform: Platform, command: CreateGroup) -> tuple[Group, StoredOperation]:
    """Group documents in SignNow. The same key again answers the same group, made once.

    Raises InvalidInput, NotFound, Conflict for a document that is out, done or in another group, and what
    `operations.reserve` and SignNow refuse.
    """
    problems = Problems()
    problems.check_text(command.name, "name")
    problems.check_key(command.idempotency_key, "idempotencyKey")
    ids = command.document_ids
    problems.check(1 <= len(ids) <= MAX_MEMBERS, f"needs 1 to {MAX_MEMBERS} documents", "documentIds")
    problems.check(len(set(ids)) == len(ids), "has a document twice", "documentIds")
    problems.refuse()
    tenant = command.tenant
    members = [await documents.find_document(tenant.id, each, path="documentIds") for each in ids]
    request = {"name": command.name, "document_ids": [str(each) for each in ids]}
    intent = Intent(OperationKind.GROUP, command.idempotency_key, request, UNITS, new_id())
    operation, is_new = await operations.reserve(platform, tenant, intent)
    if is_new:
        async with operations.calling_signnow(platform, operation), _holding(platform, operation, ids):
            signnow_id = await identities.signnow_for(platform, tenant).create_group(
                command.name, [member.signnow_document_id for member in members]
            )
        await finish_group(platform, operation, signnow_id)
    return await find_group(tenant.id, made_documents.document_id_of(operation)), operation


@asynccontextmanager
async def _holding(platform: Platform, operation: StoredOperation, ids: Sequence[UUID]) -> AsyncIterator[None]:
    """Around the call: the documents are the group's, and are let go if it is certain that there is none."""
    if not await _claim(operation, ids):
        await operations.undo(platform, operation)
        raise Conflict("a document is out, done, in another group or being changed", path=("documentIds",))
    try:
        yield
    except UpstreamTimeout:
        raise
    except (Refused, UpstreamError):
        await let_go(operation)
        raise


async def _claim(operation: StoredOperation, ids: Sequence[UUID]) -> bool:
    group_id = made_documents.document_id_of(operation)
    try:
        async with transaction():
            await lock_periods(operation.tenant_id)  # no operation on one of them begins meanwhile
            changing = Operation.filter(tenant_id=operation.tenant_id, document_id__in=ids, kind__in=CHANGES)
            if await changing.filter(state__in=OPEN).exists():
                return False
            if not await claim_members(operation.tenant_id, group_id, ids):
                raise _Taken
    except _Taken:
        return False
    return True


class _Taken(Exception):
    """Rolls back the documents that could be claimed."""


async def let_go(operation: StoredOperation) -> None:
    """There is no such group: its documents may be sent by themselves. Safe to repeat."""
    async with transaction():
        await release_members(operation.tenant_id, made_documents.document_id_of(operation))


async def finish_group(platform: Platform, operation: StoredOperation, signnow_id: str) -> None:
    """Commit a group that SignNow has made."""
    # Where it was taken for not made, its documents were let go.
    await _claim(operation, [UUID(each) for each in _document_ids(operation)])
    made = Uploaded(str(operation.request["name"]), signnow_id, is_group=True)
    await operations.succeed(platform, operation, UNITS, uploaded=made)


async def settle_group(platform: Platform, operation: StoredOperation) -> None:
    """End an operation that has no answer: the group is found by its name and documents."""
    ids = _document_ids(operation)
    members = await Document.filter(tenant_id=operation.tenant_id, id__in=ids)
    signnow = await identities.signnow_of(platform, operation.tenant_id)
    found = await signnow.find_group(str(operation.request["name"]), [member.signnow_document_id for member in members])
    if found is None:
        await let_go(operation)
        await operations.give_up(platform, operation)
    else:
        await finish_group(platform, operation, found.id)


def _document_ids(operation: StoredOperation) -> list[str]:
    ids = operation.request["document_ids"]
    assert isinstance(ids, list)  # noqa: S101 - it was stored so
    return [str(each) for each in ids]


async def find_group(tenant_id: int | None, group_id: UUID) -> Group:
    """The group, of that tenant unless None. Raises NotFound, also for another tenant's."""
    of_tenant = {} if tenant_id is None else {"tenant_id": tenant_id}
    row = await Document.filter(id=group_id, **of_tenant).first()
    if row is None or not row.is_group:
        raise NotFound("no such document group", path=("groupId",))
    return Group(row, await members_of(row.tenant_id, row.id))


async def list_groups(tenant_id: int, after: UUID | None, limit: int) -> Sequence[Group]:
    """The tenant's groups in the order in which they were made, after the given one."""
    query = Document.filter(tenant_id=tenant_id, group_id=F("id"))
    if after is not None:
        query = query.filter(id__gt=after)
    return [Group(row, await members_of(tenant_id, row.id)) for row in await query.order_by("id").limit(limit)]


async def delete_group(
    platform: Platform, tenant: Tenant, group_id: UUID, idempotency_key: str
) -> tuple[Group, StoredOperation]:
    """Delete a group that is not out. Its documents stay, and may be sent by themselves.

    Raises InvalidInput, NotFound, Conflict for one that is out or deleted, and what `operations.reserve` and SignNow
    refuse.
    """
    group, operation, is_new = await reserve_change(
        platform, tenant, group_id, OperationKind.GROUP_DELETE, idempotency_key, {}, UNITS, Problems()
    )
    if is_new:
        async with operations.calling_signnow(platform, operation):
            try:
                await identities.signnow_for(platform, tenant).delete_group(group.row.signnow_document_id)
            except SignNowRefused as refusal:
                if refusal.upstream_code != NOT_FOUND:
                    raise
        await finish_deleting(platform, operation)
    return await find_group(tenant.id, group_id), operation


async def reserve_change(
    platform: Platform,
    tenant: Tenant,
    group_id: UUID,
    kind: OperationKind,
    key: str,
    request: Mapping[str, object],
    units: Mapping[str, int],
    problems: Problems,
) -> tuple[Group, StoredOperation, bool]:
    """T1 of what changes a group: the group, the operation, and whether it is new."""
    problems.check_key(key, "idempotencyKey")
    problems.refuse()
    group = await find_group(tenant.id, group_id)
    intent = Intent(kind, key, {"group_id": str(group_id), **request}, units, group_id)
    operation, is_new = await operations.reserve(platform, tenant, intent)
    return group, operation, is_new


async def finish_deleting(platform: Platform, operation: StoredOperation) -> None:
    """Commit that a group is gone."""
    await let_go(operation)
    await operations.succeed(platform, operation, UNITS, becomes=DocumentState.DELETED)
