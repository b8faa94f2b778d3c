"""Invites of document groups: one for all documents, which we assume SignNow charges like a field invite, once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from inkmeter.errors import Conflict, InvalidInput, Problem, SignNowRefused
from integrations.protocols import NOT_FOUND, GroupSigner, Signer, SignNowGroup
from services import groups, identities, invites, jobs, operations, sent_invites, signers, signing
from services.groups import Group
from services.operations import StoredOperation, UnitKind
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document, DocumentState
from storage.operations import OperationKind
from storage.tenants import Tenant

MAX_SIGNERS: Final = 100
ACTIONS: Final = ("sign", "view", "approve")
CANCEL_UNITS: Final = {"api_calls": 3}
"""Two looks at the group, and the call."""
RESEND_UNITS: Final = {"api_calls": 2}


@dataclass(frozen=True, slots=True)
class MemberSigner:
    """Who does what with which document: equal `order` means at the same time, over all documents."""

    document_id: UUID
    email: str
    role: str
    order: int = 1
    action: str = "sign"
    expiration_days: int | None = None


@dataclass(frozen=True, slots=True)
class SendGroupInvite:
    """Who is to sign the documents of a group, in steps. A document without fields gets one per signer."""

    tenant: Tenant
    group_id: UUID
    signers: Sequence[MemberSigner]
    idempotency_key: str
    subject: str | None = None
    message: str | None = None


async def send_group_invite(platform: Platform, command: SendGroupInvite) -> tuple[Group, StoredOperation]:
    """Invite the signers of a group, once. Metered as one invite.

    Raises InvalidInput, NotFound, Conflict for a group that is out or done, and what `operations.reserve` and SignNow
    refuse.
    """
    problems = _check(command)
    group = await groups.find_group(command.tenant.id, command.group_id)
    members = {member.id: member for member in group.members}
    for index, signer in enumerate(command.signers):
        # A group that is being deleted has let them go; whether it can be sent is its state's to say, and what was done
        # with it before is told again.
        is_known = not members or signer.document_id in members
        problems.check(is_known, "is no document of the group", "signers", str(index), "documentId")
    request = {
        "signers": [{**asdict(signer), "document_id": str(signer.document_id)} for signer in command.signers],
        "subject": command.subject,
        "message": command.message,
    }
    units = {"invites_sent": 1, "api_calls": 1 + 2 * len(members)}
    key = command.idempotency_key
    group, operation, is_new = await groups.reserve_change(
        platform, command.tenant, command.group_id, OperationKind.GROUP_INVITE, key, request, units, problems
    )
    if is_new:
        async with operations.calling_signnow(platform, operation):
            calls = await _prepare(platform, command, members, operation)
            await identities.signnow_for(platform, command.tenant).send_group_invite(
                group.row.signnow_document_id,
                signers=[_theirs(signer, members[signer.document_id]) for signer in command.signers],
                subject=command.subject,
                message=command.message,
            )
        await _finish_invite(platform, operation, calls + 1)
    return await groups.find_group(command.tenant.id, command.group_id), operation


def _theirs(signer: MemberSigner, document: Document) -> GroupSigner:
    return GroupSigner(
        signer.email, document.signnow_document_id, signer.role, signer.order, signer.action, signer.expiration_days
    )


def _check(command: SendGroupInvite) -> Problems:
    problems = Problems()
    count = len(command.signers)
    problems.check(1 <= count <= MAX_SIGNERS, f"needs 1 to {MAX_SIGNERS} signers", "signers")
    for index, signer in enumerate(command.signers):
        at = ("signers", str(index))
        problems.check_email(signer.email, *at, "email")
        problems.check_text(signer.role, *at, "role")
        problems.check(1 <= signer.order <= 99, "is a number from 1 to 99", *at, "order")
        problems.check(signer.action in ACTIONS, f"is one of {', '.join(ACTIONS)}", *at, "action")
        days = signer.expiration_days
        problems.check(days is None or 3 <= days <= 180, "is a number from 3 to 180", *at, "expirationDays")
    signing_roles = [(s.document_id, s.role) for s in command.signers if s.action == "sign"]
    problems.check(bool(signing_roles), "needs somebody who signs", "signers")
    is_apart = len(set(signing_roles)) == len(signing_roles)
    problems.check(is_apart, "each signer of a document needs a role of their own", "signers")
    signers.check_mail(problems, command.subject, command.message)
    return problems


async def _prepare(
    platform: Platform, command: SendGroupInvite, members: Mapping[UUID, Document], operation: StoredOperation
) -> int:
    """Have a place to sign for everybody, and answer the calls it took. All documents are looked at before any is
    changed.
    """
    signnow = identities.signnow_for(platform, command.tenant)
    bare, calls, missing = [], 0, []
    async with operations.preparing(platform, operation):
        for member in members.values():
            asked = [s for s in command.signers if s.document_id == member.id and s.action == "sign"]
            if asked:
                theirs = await signnow.document(member.signnow_document_id)
                calls += 1
                missing += [signer.role for signer in asked if theirs.roles and signer.role not in theirs.roles]
                bare += [] if theirs.roles else [(member, [Signer(s.email, s.role, s.order) for s in asked])]
        if missing:
            await operations.undo(platform, operation)
            raise InvalidInput([Problem(("signers",), f"a document has no fields for {', '.join(missing)}")])
        for member, asked_there in bare:
            await signnow.place_fields(member.signnow_document_id, invites.default_fields(asked_there))
            calls += 1
    return calls


async def _finish_invite(platform: Platform, operation: StoredOperation, calls: int) -> None:
    """Commit an invite that SignNow has sent: one unit sold, and one that SignNow charges, in live mode."""
    asked = operation.request["signers"]
    assert isinstance(asked, list)  # noqa: S101 - it was stored so
    signed = sorted({str(signer["document_id"]) for signer in asked if signer["action"] == "sign"})
    # Before the commit, both safe to repeat: killed in between, the operation is settled and comes here again.
    for document_id in signed:
        await jobs.add_job(
            platform,
            tenant_id=operation.tenant_id,
            topic=signing.FOLLOW,
            dedup=document_id,
            run_in=signing.FOLLOW_EVERY,
        )
    await Document.filter(tenant_id=operation.tenant_id, id__in=signed).update(sent_at=platform.clock.now())
    is_live = platform.terms.is_signnow_live
    await operations.succeed(
        platform,
        operation,
        {"invites_sent": 1, "api_calls": calls},
        upstream_units={"invites_sent": 1 if is_live else 0},
        upstream_kind=UnitKind.FIELD_INVITE if is_live else UnitKind.DEVELOPMENT,
        becomes=DocumentState.SENT,
    )


async def cancel_group_invite(
    platform: Platform, tenant: Tenant, group_id: UUID, idempotency_key: str
) -> tuple[Group, StoredOperation]:
    """Cancel for all signers; the group may be sent again then. What was charged stays charged.

    Raises InvalidInput, NotFound, Conflict for a group that is not out or that everybody has signed, and what
    `operations.reserve` and SignNow refuse.
    """
    kind = OperationKind.GROUP_CANCEL
    group, operation, is_new = await groups.reserve_change(
        platform, tenant, group_id, kind, idempotency_key, {}, CANCEL_UNITS, Problems()
    )
    if is_new:
        signnow, signnow_id = identities.signnow_for(platform, tenant), group.row.signnow_document_id
        async with operations.calling_signnow(platform, operation):
            async with operations.preparing(platform, operation):
                theirs = await signnow.group(signnow_id)
                invite = await signnow.group_invite(signnow_id, theirs.invite_id) if theirs.invite_id else None
            if invite is not None and invite.is_completed:
                await operations.undo(platform, operation)
                raise Conflict("everybody has signed", path=("groupId",))
            if invite is not None:
                await signnow.cancel_group_invite(signnow_id, invite.id)
        await _finish_cancel(platform, operation)
    return await groups.find_group(tenant.id, group_id), operation


async def _finish_cancel(platform: Platform, operation: StoredOperation) -> None:
    await operations.succeed(platform, operation, CANCEL_UNITS, becomes=DocumentState.CANCELLED)


async def resend_group_invite(
    platform: Platform, tenant: Tenant, group_id: UUID, email: str, idempotency_key: str
) -> tuple[Group, StoredOperation]:
    """Mail the invite again to a signer who is waited for.

    Raises InvalidInput, NotFound, Conflict for a group that is not out, and what `operations.reserve` and SignNow
    refuse.
    """
    problems = Problems()
    problems.check_email(email, "email")
    kind, request = OperationKind.GROUP_RESEND, {"email": email}
    group, operation, is_new = await groups.reserve_change(
        platform, tenant, group_id, kind, idempotency_key, request, RESEND_UNITS, problems
    )
    if is_new:
        signnow, signnow_id = identities.signnow_for(platform, tenant), group.row.signnow_document_id
        async with operations.calling_signnow(platform, operation):
            async with operations.preparing(platform, operation):
                theirs = await signnow.group(signnow_id)
            if theirs.invite_id is None:
                await operations.undo(platform, operation)
                raise Conflict("the group is not out to be signed", path=("groupId",))
            await signnow.resend_group_invite(signnow_id, theirs.invite_id, email=email)
        is_charged = sent_invites.may_be_charged(platform, kind)
        await operations.succeed(
            platform,
            operation,
            RESEND_UNITS,
            upstream_units={"api_calls": 1} if is_charged else None,
            upstream_kind=UnitKind.FIELD_INVITE if is_charged else None,
        )
    return await groups.find_group(tenant.id, group_id), operation


async def settle(platform: Platform, operation: StoredOperation) -> None:
    """End an operation on a group that has no answer, by the group as it is now. Raises what the gateway raises."""
    theirs = await _see(platform, operation)
    is_out = theirs is not None and theirs.invite_id is not None
    match OperationKind(operation.kind):
        case OperationKind.GROUP_INVITE if is_out:
            await _finish_invite(platform, operation, operation.reserved["api_calls"])
        case OperationKind.GROUP_CANCEL if theirs is not None and not is_out:
            await _finish_cancel(platform, operation)
        case OperationKind.GROUP_DELETE if theirs is None:
            await groups.finish_deleting(platform, operation)
        case _:
            await operations.give_up(platform, operation)


async def is_gone(platform: Platform, operation: StoredOperation) -> bool:
    """Whether SignNow does not know the group (any more)."""
    return await _see(platform, operation) is None


async def _see(platform: Platform, operation: StoredOperation) -> SignNowGroup | None:
    row = await Document.get(tenant_id=operation.tenant_id, id=operation.document_id)
    signnow = await identities.signnow_of(platform, operation.tenant_id)
    try:
        return await signnow.group(row.signnow_document_id)
    except SignNowRefused as refusal:
        if refusal.upstream_code != NOT_FOUND:
            raise
        return None
