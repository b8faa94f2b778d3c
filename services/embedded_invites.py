"""Embedded invites: people sign in the operator's own page. SignNow sends no mail; each signer opens a link."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from inkmeter.errors import InvalidInput, Problem
from integrations.protocols import SignNowInvite
from services import documents, identities, invites, operations, signers
from services.commands import Intent
from services.invites import EmbeddedSigner as EmbeddedSigner
from services.invites import InviteKind, SignatureField
from services.operations import StoredOperation
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document
from storage.operations import OperationKind
from storage.tenants import Tenant

LINK_UNITS: Final = {"api_calls": 2}
"""The look at the document, and the link."""


@dataclass(frozen=True, slots=True)
class CreateEmbeddedInvite:
    """Who is to sign. SignNow wants a signer for every role of the document, and no address twice."""

    tenant: Tenant
    document_id: UUID
    signers: Sequence[EmbeddedSigner]
    idempotency_key: str
    fields: Sequence[SignatureField] = ()


@dataclass(frozen=True, slots=True)
class CreateEmbeddedLink:
    """A link for the signer of a role, which opens the document for whoever has it, for 15 to 45 minutes."""

    tenant: Tenant
    document_id: UUID
    role: str
    idempotency_key: str
    minutes: int = 15


async def create_embedded_invite(platform: Platform, command: CreateEmbeddedInvite) -> tuple[Document, StoredOperation]:
    """Invite the signers of a document, once, without a mail. Metered like a field invite.

    Raises InvalidInput, NotFound, Conflict for a document that is out or done, and what `operations.reserve` and
    SignNow refuse.
    """
    _check(command)
    document = await documents.find_document(command.tenant.id, command.document_id)
    request = {
        "document_id": str(document.id),
        "kind": InviteKind.EMBEDDED,
        "signers": [asdict(signer) for signer in command.signers],
        "fields": [asdict(place) for place in command.fields],
    }
    units = {"invites_sent": 1, "api_calls": 4}
    intent = Intent(OperationKind.INVITE, command.idempotency_key, request, units, document.id)
    operation, is_new = await operations.reserve(platform, command.tenant, intent)
    if is_new:
        async with operations.calling_signnow(platform, operation):
            roles, calls = await invites.prepare_roles(platform, document, operation, command.signers, command.fields)
            if missing := set(roles) - {signer.role for signer in command.signers}:
                await operations.undo(platform, operation)
                told = f"every role needs a signer; nobody has {', '.join(sorted(missing))}"
                raise InvalidInput([Problem(("signers",), told)])
            await identities.signnow_for(platform, command.tenant).create_embedded_invites(
                document.signnow_document_id, signers=command.signers, roles=roles
            )
        await invites.finish_invite(platform, operation, calls + 1)
    return await documents.find_document(command.tenant.id, document.id), operation


def _check(command: CreateEmbeddedInvite) -> None:
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    most = invites.MAX_SIGNERS
    problems.check(1 <= len(command.signers) <= most, f"needs 1 to {most} signers", "signers")
    signers.check_signers(problems, command.signers)
    signers.check_fields(problems, command.fields, command.signers)
    addresses = [signer.email.lower() for signer in command.signers]
    problems.check(len(set(addresses)) == len(addresses), "each signer needs an address of their own", "signers")
    for index, signer in enumerate(command.signers):
        for name, text in (("firstName", signer.first_name), ("lastName", signer.last_name)):
            if text is not None:
                problems.check_text(text, "signers", str(index), name)
    problems.refuse()


async def create_embedded_link(platform: Platform, command: CreateEmbeddedLink) -> tuple[str, StoredOperation]:
    """A new link each time; counted once per key. It is a credential, and is not stored.

    Raises InvalidInput, NotFound, and what `operations.reserve` and SignNow refuse: a signer whose turn it is not.
    """
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    problems.check(15 <= command.minutes <= 45, "is a number from 15 to 45", "minutes")
    problems.refuse()
    document = await documents.find_document(command.tenant.id, command.document_id)
    request = {"document_id": str(document.id), "role": command.role, "minutes": command.minutes}
    intent = Intent(OperationKind.LINK, command.idempotency_key, request, LINK_UNITS, document.id)
    operation, is_new = await operations.reserve(platform, command.tenant, intent)
    # An operation that has ended before stays as it is, whatever comes of another link.
    async with operations.calling_signnow(platform, operation):
        async with operations.preparing(platform, operation):
            theirs = await identities.signnow_for(platform, command.tenant).document(document.signnow_document_id)
        invite = _find_embedded(theirs.field_invites, command.role)
        if invite is None:
            await operations.undo(platform, operation)
            raise InvalidInput([Problem(("role",), "nobody with this role signs embedded")])
        link = await identities.signnow_for(platform, command.tenant).create_embedded_link(
            document.signnow_document_id, invite.id, minutes=command.minutes
        )
    if is_new:
        await operations.succeed(platform, operation, LINK_UNITS)
    return link, operation


def _find_embedded(invites: Sequence[SignNowInvite], role: str) -> SignNowInvite | None:
    return next((invite for invite in invites if invite.role == role and invite.is_embedded), None)
