"""What the victims of the signing month are told to do: every operation, under idempotency keys, again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from inkmeter.errors import (
    OutcomeUnknown,
    Refused,
    SignNowNotConnected,
    SignNowRefused,
    UpstreamError,
    UpstreamUnavailable,
)
from integrations.protocols import EmbeddedSigner, Signer, TextTag
from integrations.signnow.client import SignNowClient
from server.demo.pdf import contract
from services import (
    documents,
    downloads,
    embedded_invites,
    group_invites,
    group_looks,
    groups,
    invites,
    looks,
    sent_invites,
    uploads,
    webhooks,
)
from services.documents import UploadDocument
from services.downloads import Download, DownloadForm
from services.embedded_invites import CreateEmbeddedInvite, CreateEmbeddedLink
from services.group_invites import MemberSigner, SendGroupInvite
from services.groups import CreateGroup
from services.invites import InviteKind, SendInvite
from services.platform import Platform
from services.tenants import Tenant
from services.timetable import run_due_work
from services.uploads import MakeTemplate, UploadFromUrl, UseTemplate
from storage.documents import Document
from tests.crash.killing import Killer
from tests.crash.places import Place
from tests.month.deeds import Answer, Deed, Journal, Listener, tell_trouble

LARGE: Final = 3 << 20


def _made(document: Document) -> Answer:
    return {"document": str(document.id), "signnow": document.signnow_document_id}


async def upload(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    command = UploadDocument(tenant, f"Lease {deed.key}", contract(deed.key), deed.key)
    return _made((await documents.upload_document(platform, command))[0])


async def upload_tags(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    tags = [TextTag(f"Sig{n}", role) for n, role in enumerate(deed.args["roles"])]
    command = UploadDocument(tenant, f"Lease {deed.key}", contract(deed.key), deed.key, tags)
    return _made((await documents.upload_document(platform, command))[0])


async def upload_large(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    """From a file, which is never whole in memory."""
    path = Path(deed.args["folder"]) / f"{deed.key}.pdf"
    path.write_bytes(contract(deed.key) + b"%" * LARGE)
    command = UploadDocument(tenant, f"Lease {deed.key}", path, deed.key)
    return _made((await documents.upload_document(platform, command))[0])


async def upload_url(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    command = UploadFromUrl(tenant, f"Lease {deed.key}", deed.args["url"], deed.key)
    return _made((await uploads.upload_from_url(platform, command))[0])


async def bad_upload(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    command = UploadDocument(tenant, "Lease", deed.args["content"].encode(), deed.key)
    return _made((await documents.upload_document(platform, command))[0])


async def make_template(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    command = MakeTemplate(tenant, _document(deed), f"Template {deed.key}", deed.key)
    return _made((await uploads.create_template(platform, command))[0])


async def use_template(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    command = UseTemplate(tenant, _document(deed), f"Lease {deed.key}", deed.key)
    return _made((await uploads.use_template(platform, command))[0])


async def invite(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    emails, orders = deed.args["emails"], deed.args["orders"]
    signers = [
        Signer(email, f"Signer {n}", order, expiration_days=deed.args.get("days"))
        for n, (email, order) in enumerate(zip(emails, orders, strict=True), 1)
    ]
    await invites.send_invite(platform, SendInvite(tenant, _document(deed), signers, deed.key))
    return {}


async def free_form(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    signer = Signer(deed.args["email"], "Signer 1")
    command = SendInvite(tenant, _document(deed), [signer], deed.key, InviteKind.FREE_FORM)
    await invites.send_invite(platform, command)
    return {}


async def embed(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    signers = [EmbeddedSigner(email, f"Signer {n}", n) for n, email in enumerate(deed.args["emails"], 1)]
    command = CreateEmbeddedInvite(tenant, _document(deed), signers, deed.key)
    await embedded_invites.create_embedded_invite(platform, command)
    return {}


async def link(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    command = CreateEmbeddedLink(tenant, _document(deed), deed.args["role"], deed.key)
    return {"link": (await embedded_invites.create_embedded_link(platform, command))[0]}


async def cancel(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await sent_invites.cancel_invite(platform, tenant, _document(deed), deed.key, "Changed")
    return {}


async def resend(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await sent_invites.resend_invite(platform, tenant, _document(deed), deed.args["role"], deed.key)
    return {}


async def replace(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    role, email = deed.args["role"], deed.args["email"]
    await sent_invites.replace_signer(platform, tenant, _document(deed), role, email, deed.key)
    return {}


async def delete(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await sent_invites.delete_document(platform, tenant, _document(deed), deed.key)
    return {}


async def download(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    form, with_history = DownloadForm(deed.args["form"]), deed.args["with_history"]
    got = await downloads.download_signed(
        platform, Download(tenant, _document(deed), deed.key, form, with_history=with_history)
    )
    assert got.content.startswith(b"PK" if form is DownloadForm.ZIP else b"%PDF-")
    return {}


async def make_group(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    ids = [UUID(deed.args["documents"][name]) for name in deed.args["of"]]
    made, _ = await groups.create_group(platform, CreateGroup(tenant, f"Group {deed.key}", ids, deed.key))
    return _made(made.row)


async def send_group(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    signers = [
        MemberSigner(UUID(deed.args["documents"][name]), email, "Signer 1", order)
        for name, email, order in deed.args["signers"]
    ]
    await group_invites.send_group_invite(platform, SendGroupInvite(tenant, _document(deed), signers, deed.key))
    return {}


async def cancel_group(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await group_invites.cancel_group_invite(platform, tenant, _document(deed), deed.key)
    return {}


async def download_group(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    group_id, form = _document(deed), DownloadForm.ZIP
    await group_looks.download_group(platform, tenant, group_id, form, deed.key, with_history=True)
    return {}


async def status(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    return {"status": (await looks.look_at(platform, tenant.id, _document(deed))).status}


async def history(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    assert await looks.history_of(platform, tenant.id, _document(deed))
    return {}


async def work(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await run_due_work(platform)
    return {}


async def deliver(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    receive = {"stripe": webhooks.receive_stripe, "signnow": webhooks.receive_signnow}[deed.args["source"]]
    await receive(platform, deed.args["payload"], deed.args["signature"])
    return {}


KINDS: Final[dict[str, Callable[[Platform, Tenant, Deed], Awaitable[Answer]]]] = {
    "upload": upload,
    "upload_tags": upload_tags,
    "upload_large": upload_large,
    "upload_url": upload_url,
    "bad_upload": bad_upload,
    "template": make_template,
    "copy": use_template,
    "invite": invite,
    "free_form": free_form,
    "embed": embed,
    "link": link,
    "cancel": cancel,
    "resend": resend,
    "replace": replace,
    "delete": delete,
    "download": download,
    "group": make_group,
    "send_group": send_group,
    "cancel_group": cancel_group,
    "download_group": download_group,
    "status": status,
    "history": history,
    "strangers_document": history,
    "work": work,
    "deliver": deliver,
}


def _document(deed: Deed) -> UUID:
    return UUID(deed.args["document"])


async def do_all(place: Place, deeds: Sequence[Deed], at_once: int, killed_before: int, notes: Path) -> None:
    """Do the deeds, so many at once, in a process that is killed before one of its steps (never before step 0)."""
    defaults: dict[str, Any] = {**(SignNowClient.__init__.__kwdefaults__ or {}), "read_backoff": 0.0}
    SignNowClient.__init__.__kwdefaults__ = defaults
    journal = Journal(notes.with_suffix(".journal"))
    logging.getLogger("inkmeter").addHandler(Listener(journal))
    logging.getLogger("inkmeter").propagate = False
    killer = Killer(killed_before, notes.with_suffix(".killed"))
    killer.watch()
    async with place.platform() as platform:
        killer.is_armed = True
        for start in range(0, len(deeds), at_once):
            await asyncio.gather(*(_do(platform, deed, journal) for deed in deeds[start : start + at_once]))
        killer.is_armed = False


async def _do(platform: Platform, deed: Deed, journal: Journal) -> None:
    try:
        tenant = await Tenant.get(external_reference=deed.tenant)
        answer = await KINDS[deed.kind](platform, tenant, deed)
    except (OutcomeUnknown, UpstreamUnavailable, UpstreamError, SignNowNotConnected) as error:
        journal.write(key=deed.key, outcome="again", why=str(error))
    except SignNowRefused as refusal:
        journal.write(key=deed.key, outcome="spent", why=f"{refusal.upstream_code} {refusal}")
    except Refused as refusal:
        journal.write(key=deed.key, outcome="refused", refusal=type(refusal).__name__, why=str(refusal))
    except Exception:
        tell_trouble(journal, deed)
    else:
        journal.write(key=deed.key, outcome="done", **answer)
