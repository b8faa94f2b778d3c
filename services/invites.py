"""Invites: asking people to sign."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from inkmeter.errors import InvalidInput, Problem
from integrations.protocols import EmbeddedSigner as EmbeddedSigner
from integrations.protocols import Reminder as Reminder
from integrations.protocols import SignatureField as SignatureField
from integrations.protocols import Signer as Signer
from services import documents, identities, jobs, operations, signers, signing
from services.commands import Intent
from services.operations import StoredOperation, UnitKind
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document, DocumentState
from storage.operations import OperationKind
from storage.tenants import Tenant

MAX_SIGNERS: Final = 20
MAX_CC: Final = 20


class InviteKind(StrEnum):
    """FIELD: each signer signs the fields of a role. FREE_FORM: one signer, who signs wherever they like. EMBEDDED:
    like FIELD, in the operator's own page (`services.embedded_invites`).

    SignNow charges a field invite once, however many signers it has, and a free-form invite per signer.
    """

    FIELD = "FIELD"
    FREE_FORM = "FREE_FORM"
    EMBEDDED = "EMBEDDED"


@dataclass(frozen=True, slots=True)
class SendInvite:
    """Who is to sign, and who gets a copy. Without `fields`, a document that has none gets a signature field per role
    on its first page.
    """

    tenant: Tenant
    document_id: UUID
    signers: Sequence[Signer]
    idempotency_key: str
    kind: InviteKind = InviteKind.FIELD
    fields: Sequence[SignatureField] = ()
    subject: str | None = None
    message: str | None = None
    cc: Sequence[str] = ()


async def send_invite(platform: Platform, command: SendInvite) -> tuple[Document, StoredOperation]:
    """Invite the signers of a document, once. The same key again answers the first outcome.

    Raises InvalidInput, NotFound, Conflict for a document that is out or done, and what `operations.reserve` and
    SignNow refuse.
    """
    _check(command)
    document = await documents.find_document(command.tenant.id, command.document_id)
    request = {
        "document_id": str(command.document_id),
        "kind": command.kind,
        "signers": [asdict(signer) for signer in command.signers],
        "fields": [asdict(place) for place in command.fields],
        "subject": command.subject,
        "message": command.message,
        "cc": list(command.cc),
    }
    units = {"invites_sent": 1, "api_calls": 4 if command.kind is InviteKind.FIELD else 1}
    operation, is_new = await operations.reserve(
        platform,
        command.tenant,
        Intent(OperationKind.INVITE, command.idempotency_key, request, units, document.id),
    )
    if is_new:
        send = _send_by_role if command.kind is InviteKind.FIELD else _send_free_form
        calls = await send(platform, command, document, operation)
        await finish_invite(platform, operation, calls)
    return await documents.find_document(command.tenant.id, document.id), operation


def _check(command: SendInvite) -> None:
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    most = MAX_SIGNERS if command.kind is InviteKind.FIELD else 1
    problems.check(1 <= len(command.signers) <= most, f"needs 1 to {most} signers", "signers")
    signers.check_signers(problems, command.signers)
    signers.check_fields(problems, command.fields, command.signers)
    signers.check_mail(problems, command.subject, command.message)
    problems.check(len(command.cc) <= MAX_CC, f"has more than {MAX_CC} addresses", "cc")
    for index, address in enumerate(command.cc):
        problems.check_email(address, "cc", str(index))
    problems.refuse()


async def _send_by_role(platform: Platform, command: SendInvite, document: Document, operation: StoredOperation) -> int:
    signnow = identities.signnow_for(platform, command.tenant)
    async with operations.calling_signnow(platform, operation):
        roles, calls = await prepare_roles(platform, document, operation, command.signers, command.fields)
        await signnow.send_field_invite(
            document.signnow_document_id,
            signers=command.signers,
            roles=roles,
            subject=command.subject,
            message=command.message,
            cc=command.cc,
        )
    return calls + 1


async def prepare_roles(
    platform: Platform,
    document: Document,
    operation: StoredOperation,
    asked: Sequence[Signer | EmbeddedSigner],
    fields: Sequence[SignatureField],
) -> tuple[Mapping[str, str], int]:
    """The ids of the document's roles, and the calls it took; fields are placed first if they are named or missing.

    Raises InvalidInput for a signer without fields, before anything was placed; the operation is undone then.
    """
    signnow_id = document.signnow_document_id
    signnow = await identities.signnow_of(platform, document.tenant_id)
    async with operations.preparing(platform, operation):
        theirs = await signnow.document(signnow_id)
        if theirs.roles and not fields:
            if missing := [signer.role for signer in asked if signer.role not in theirs.roles]:
                await operations.undo(platform, operation)
                raise InvalidInput([Problem(("signers",), f"the document has no fields for {', '.join(missing)}")])
            return theirs.roles, 1
        await signnow.place_fields(signnow_id, fields or default_fields(asked))
        return (await signnow.document(signnow_id)).roles, 3


async def _send_free_form(
    platform: Platform, command: SendInvite, document: Document, operation: StoredOperation
) -> int:
    async with operations.calling_signnow(platform, operation):
        await identities.signnow_for(platform, command.tenant).send_free_form_invite(
            document.signnow_document_id,
            email=command.signers[0].email,
            subject=command.subject,
            message=command.message,
            cc=command.cc,
        )
    return 1


def default_fields(asked: Sequence[Signer | EmbeddedSigner]) -> list[SignatureField]:
    """One signature field per signer, in rows of two from the bottom of the first page up."""
    return [
        SignatureField(signer.role, page=0, x=60 + 260 * (i % 2), y=690 - 60 * (i // 2), width=200, height=40)
        for i, signer in enumerate(asked)
    ]


async def finish_invite(platform: Platform, operation: StoredOperation, calls: int) -> None:
    """Commit an invite that SignNow has sent: one unit sold, and one that SignNow charges, in live mode.

    A field invite is charged once however many signers it has, and so, we assume, is an embedded one; a free-form
    invite has one signer here.
    """
    kind = UnitKind.FREE_FORM_SIGNER if operation.request["kind"] == InviteKind.FREE_FORM else UnitKind.FIELD_INVITE
    is_live = platform.terms.is_signnow_live
    # Before the commit: killed in between, the operation is settled and comes here again; after it, nobody would.
    await jobs.add_job(
        platform,
        tenant_id=operation.tenant_id,
        topic=signing.FOLLOW,
        dedup=str(operation.document_id),
        run_in=signing.FOLLOW_EVERY,
    )
    await operations.succeed(
        platform,
        operation,
        {"invites_sent": 1, "api_calls": calls},
        upstream_units={"invites_sent": 1 if is_live else 0},
        upstream_kind=kind if is_live else UnitKind.DEVELOPMENT,
        becomes=DocumentState.SENT,
    )
