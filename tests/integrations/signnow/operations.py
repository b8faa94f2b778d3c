"""Every write that the client can make: what it needs, how it is sent, and how it is looked for afterwards."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from integrations.protocols import (
    EmbeddedSigner,
    GroupSigner,
    SignatureField,
    Signer,
    SignNow,
    SignNowDocument,
    TextTag,
)
from tests.integrations.signnow.conftest import one_page

LEASE = one_page()
START = datetime(2026, 10, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Operation:
    """`act` is one write with `method` to a path that begins with `path`; `happened` asks SignNow afterwards."""

    name: str
    method: str
    path: str
    prepare: Callable[[SignNow, httpx.AsyncClient], Awaitable[str]]
    act: Callable[[SignNow, str], Awaitable[object]]
    happened: Callable[[SignNow, str], Awaitable[bool]]

    def __str__(self) -> str:
        return self.name


async def folder(client: SignNow, _: httpx.AsyncClient) -> str:
    return await client.ensure_folder("acme")


async def document(client: SignNow, http: httpx.AsyncClient) -> str:
    folder_id = await folder(client, http)
    return await client.upload_document(folder_id=folder_id, name="Lease", file_name="op.pdf", content=LEASE)


async def prepared(client: SignNow, http: httpx.AsyncClient) -> str:
    """A document with a field for the role Tenant."""
    document_id = await document(client, http)
    await client.place_fields(document_id, [SignatureField("Tenant", 0, 1, 1, 10, 10)])
    return document_id


async def invited(client: SignNow, http: httpx.AsyncClient) -> str:
    document_id = await prepared(client, http)
    await invite(client, document_id)
    return document_id


async def embedded(client: SignNow, http: httpx.AsyncClient) -> str:
    document_id = await prepared(client, http)
    await embed(client, document_id)
    return document_id


async def asked_freely(client: SignNow, http: httpx.AsyncClient) -> str:
    document_id = await document(client, http)
    await client.send_free_form_invite(document_id, email="ann@x.test", subject=None, message=None)
    return document_id


async def template(client: SignNow, http: httpx.AsyncClient) -> str:
    return await client.create_template(await prepared(client, http), "Standard lease")


async def group(client: SignNow, http: httpx.AsyncClient) -> str:
    return await client.create_group("Closing", [await prepared(client, http)])


async def group_invited(client: SignNow, http: httpx.AsyncClient) -> str:
    group_id = await group(client, http)
    await invite_group(client, group_id)
    return group_id


async def organization(client: SignNow, _: httpx.AsyncClient) -> str:
    return (await client.create_organization("Acme")).id


async def invite(client: SignNow, document_id: str) -> None:
    roles = (await client.document(document_id)).roles
    signers = [Signer("ann@x.test", "Tenant")]
    await client.send_field_invite(document_id, signers=signers, roles=roles, subject=None, message=None)


async def embed(client: SignNow, document_id: str) -> None:
    roles = (await client.document(document_id)).roles
    await client.create_embedded_invites(document_id, signers=[EmbeddedSigner("ann@x.test", "Tenant")], roles=roles)


async def invite_group(client: SignNow, group_id: str) -> str:
    (document_id,) = (await client.group(group_id)).document_ids
    signers = [GroupSigner("ann@x.test", document_id, "Tenant")]
    return await client.send_group_invite(group_id, signers=signers, subject=None, message=None)


async def cancel_group(client: SignNow, group_id: str) -> None:
    invite_id = (await client.group(group_id)).invite_id
    assert invite_id is not None
    await client.cancel_group_invite(group_id, invite_id)


async def cancel_free_form(client: SignNow, document_id: str) -> None:
    (sent,) = (await client.document(document_id)).free_form_invites
    await client.cancel_free_form_invite(document_id, sent.id)


async def is_gone(client: SignNow, document_id: str) -> bool:
    return await client.find_document(folder_id=None, file_name="op.pdf") is None


def shows(check: Callable[[SignNowDocument], bool]) -> Callable[[SignNow, str], Awaitable[bool]]:
    async def happened(client: SignNow, document_id: str) -> bool:
        return check(await client.document(document_id))

    return happened


async def is_grouped(client: SignNow, _: str) -> bool:
    return await client.find_group("Closing") is not None


async def has_group_invite(client: SignNow, group_id: str) -> bool:
    return (await client.group(group_id)).invite_id is not None


async def has_no_group_invite(client: SignNow, group_id: str) -> bool:
    return not await has_group_invite(client, group_id)


async def was_asked_freely(client: SignNow, document_id: str) -> bool:
    return await client.find_free_form_invite(document_id, email="ann@x.test", since=START) is not None


def named(name: str) -> Callable[[SignNow, str], Awaitable[bool]]:
    async def happened(client: SignNow, _: str) -> bool:
        return await client.find_document_named(folder_id=None, name=name, since=START) is not None

    return happened


def filed(file_name: str) -> Callable[[SignNow, str], Awaitable[bool]]:
    async def happened(client: SignNow, _: str) -> bool:
        return await client.find_document(folder_id=None, file_name=file_name) is not None

    return happened


async def organizations(client: SignNow, _: str) -> bool:
    return bool(await client.organizations())


async def has_member(client: SignNow, organization_id: str) -> bool:
    return "bob@x.test" in [member.email for member in await client.members(organization_id)]


OPERATIONS = [
    Operation(
        "upload",
        "POST",
        "/document",
        folder,
        lambda client, id_: client.upload_document(folder_id=id_, name="L", file_name="op-1.pdf", content=LEASE),
        filed("op-1.pdf"),
    ),
    Operation(
        "upload with tags",
        "POST",
        "/document/fieldextract",
        folder,
        lambda client, _: client.upload_with_tags(file_name="op-1.pdf", content=LEASE, tags=[TextTag("S1", "Tenant")]),
        filed("op-1.pdf"),
    ),
    Operation(
        "upload from a url",
        "POST",
        "/v2/documents/url",
        folder,
        lambda client, _: client.upload_from_url(url="https://operator.test/lease.pdf", name="op-1"),
        named("op-1"),
    ),
    Operation(
        "fields",
        "PUT",
        "/document/",
        document,
        lambda client, id_: client.place_fields(id_, [SignatureField("Tenant", 0, 1, 1, 10, 10)]),
        shows(lambda found: list(found.roles) == ["Tenant"]),
    ),
    Operation(
        "rename",
        "PUT",
        "/document/",
        document,
        lambda client, id_: client.rename_document(id_, "Renamed"),
        shows(lambda found: found.name == "Renamed"),
    ),
    Operation("delete", "DELETE", "/document/", document, lambda client, id_: client.delete_document(id_), is_gone),
    Operation(
        "template",
        "POST",
        "/template",
        prepared,
        lambda client, id_: client.create_template(id_, "T [op-1]"),
        named("T [op-1]"),
    ),
    Operation(
        "copy",
        "POST",
        "/template/",
        template,
        lambda client, id_: client.copy_template(id_, name="Lease [op-1]"),
        named("Lease [op-1]"),
    ),
    Operation("field invite", "POST", "/document/", prepared, invite, shows(lambda found: found.is_invited)),
    Operation(
        "free-form invite",
        "POST",
        "/document/",
        document,
        lambda client, id_: client.send_free_form_invite(id_, email="ann@x.test", subject=None, message=None),
        was_asked_freely,
    ),
    Operation("embedded invites", "POST", "/v2/documents/", prepared, embed, shows(lambda found: found.is_invited)),
    Operation(
        "cancel a field invite",
        "PUT",
        "/document/",
        invited,
        lambda client, id_: client.cancel_field_invite(id_, reason="changed"),
        shows(lambda found: not found.is_invited),
    ),
    Operation(
        "cancel a free-form invite",
        "PUT",
        "/invite/",
        asked_freely,
        cancel_free_form,
        shows(lambda found: [sent.status for sent in found.free_form_invites] == ["cancelled"]),
    ),
    Operation(
        "cancel embedded invites",
        "DELETE",
        "/v2/documents/",
        embedded,
        lambda client, id_: client.cancel_embedded_invites(id_),
        shows(lambda found: not found.is_invited),
    ),
    Operation(
        "group",
        "POST",
        "/documentgroup",
        prepared,
        lambda client, id_: client.create_group("Closing", [id_]),
        is_grouped,
    ),
    Operation("group invite", "POST", "/documentgroup/", group, invite_group, has_group_invite),
    Operation("cancel a group invite", "POST", "/documentgroup/", group_invited, cancel_group, has_no_group_invite),
    Operation(
        "organization",
        "POST",
        "/v2/organizations",
        folder,
        lambda client, _: client.create_organization("Acme"),
        organizations,
    ),
    Operation(
        "member",
        "POST",
        "/v2/organizations/",
        organization,
        lambda client, id_: client.add_member(id_, "bob@x.test"),
        has_member,
    ),
]
