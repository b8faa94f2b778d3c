"""What the victims do, and how those who come after them go on: the same calls with the same keys."""

import contextlib
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx

from inkmeter.errors import Conflict, OutcomeUnknown, SignNowRefused
from integrations.protocols import Signer
from integrations.signnow.client import SignNowClient
from server.demo.pdf import contract
from services import (
    card_orders,
    chasing,
    checkouts,
    closing,
    documents,
    downloads,
    dunning_cases,
    dunning_ends,
    endings,
    group_invites,
    groups,
    identities,
    invites,
    jobs,
    mirroring,
    orders,
    provisioning,
    pushing,
    sent_invites,
    timetable,
    uploads,
    usage,
    usage_reports,
)
from services.changes import ChangeAt
from services.checkouts import NewCheckout
from services.documents import UploadDocument
from services.downloads import Download
from services.group_invites import MemberSigner, SendGroupInvite
from services.groups import CreateGroup
from services.invites import SendInvite
from services.orders import OrderState
from services.platform import Platform
from services.tenants import Isolation, ProvisionTenant, Tenant, TenantState, provision_tenant
from services.uploads import MakeTemplate, UseTemplate
from services.usage import NewEvent
from storage.dunning import DunningCase
from storage.invoices import Invoice
from storage.subscriptions import Subscription
from tests.bookkeeping import sign_up
from tests.crash.killing import Killer
from tests.crash.places import Place

T = TypeVar("T")
Story = Callable[[Platform, str], Awaitable[None]]


async def provision(platform: Platform, reference: str) -> None:
    """A tenant with its Stripe customer, its SignNow folder, a plan and a subscription."""
    await sign_up(platform, reference)


MOST_IDENTITIES = 60


def user_of(reference: str) -> str:
    """The SignNow user of a tenant that has one."""
    return f"billing@{reference}.test"


async def connect(platform: Platform, reference: str) -> None:
    """A tenant with an organization of its own in SignNow, whose user accepts and consents on SignNow's pages."""
    email = user_of(reference)
    command = ProvisionTenant(reference, f"{reference} Inc", email, "USD", Isolation.ORGANIZATION)
    tenant = await provision_tenant(platform, command)
    if tenant.state is TenantState.PROVISIONING and tenant.signnow_organization_id is not None:
        async with httpx.AsyncClient(base_url=signnow_url(platform)) as pages:
            accepted = {"organization_id": tenant.signnow_organization_id, "email": email}
            await pages.post("/_sandbox/organizations/accept", json=accepted)
            if not await identities.is_connected(tenant):
                answer = await pages.post("/_sandbox/consent", json={"email": email})
                await provisioning.connect_signnow(platform, tenant, answer.json()["code"])
        await provisioning.go_on(platform, tenant)


def signnow_url(platform: Platform) -> str:
    """Where the sandbox is that this process was told to use."""
    assert isinstance(platform.signnow, SignNowClient)
    return platform.signnow._session.wire.base_url


async def sign(platform: Platform, reference: str) -> None:
    """Upload a document, send it, download it."""
    tenant = await Tenant.get(external_reference=reference)

    async def upload(key: str) -> documents.Document:
        return (await documents.upload_document(platform, UploadDocument(tenant, "Lease", contract("Lease"), key)))[0]

    document = await _insist(upload, "upload")

    async def invite(key: str) -> None:
        await invites.send_invite(
            platform, SendInvite(tenant, document.id, [Signer("ann@x.test", "Signer 1")], idempotency_key=key)
        )

    await _insist(invite, "invite")

    async def download(key: str) -> None:
        await downloads.download_signed(platform, Download(tenant, document.id, key))

    await _insist(download, "download")


async def manage(platform: Platform, reference: str) -> None:
    """Make a document of a template, send it, give it to another signer, cancel it."""
    tenant = await Tenant.get(external_reference=reference)

    async def upload(key: str) -> documents.Document:
        command = UploadDocument(tenant, "Source", contract("Source"), key)
        return (await documents.upload_document(platform, command))[0]

    source = await _insist(upload, "upload")

    async def make_template(key: str) -> documents.Document:
        return (await uploads.create_template(platform, MakeTemplate(tenant, source.id, "Of all", key)))[0]

    template = await _insist(make_template, "template")

    async def copy(key: str) -> documents.Document:
        return (await uploads.use_template(platform, UseTemplate(tenant, template.id, "Lease", key)))[0]

    document = await _insist(copy, "copy")

    async def invite(key: str) -> None:
        await invites.send_invite(
            platform, SendInvite(tenant, document.id, [Signer("ann@x.test", "Signer 1")], idempotency_key=key)
        )

    await _insist(invite, "invite")

    async def replace(key: str) -> None:
        await sent_invites.replace_signer(platform, tenant, document.id, "Signer 1", "eve@x.test", key)

    await _insist(replace, "replace")

    async def cancel(key: str) -> None:
        await sent_invites.cancel_invite(platform, tenant, document.id, key)

    await _insist(cancel, "cancel")


async def send_as_group(platform: Platform, reference: str) -> None:
    """Make a group of two documents, send it, cancel it, send it again, cancel that, and delete it."""
    tenant = await Tenant.get(external_reference=reference)
    members = []
    for name in ("first", "second"):
        command = functools.partial(UploadDocument, tenant, name, contract(name))

        async def upload(key: str, command: Callable[[str], UploadDocument] = command) -> documents.Document:
            return (await documents.upload_document(platform, command(key)))[0]

        members.append((await _insist(upload, name)).id)

    async def make(key: str) -> groups.Group:
        return (await groups.create_group(platform, CreateGroup(tenant, "Closing", members, key)))[0]

    group = (await _insist(make, "make")).row.id
    signers = [MemberSigner(member, "ann@x.test", "Signer 1") for member in members]

    async def send(key: str) -> None:
        await group_invites.send_group_invite(platform, SendGroupInvite(tenant, group, signers, key))

    async def cancel(key: str) -> None:
        await group_invites.cancel_group_invite(platform, tenant, group, key)

    async def delete(key: str) -> None:
        await groups.delete_group(platform, tenant, group, key)

    await _insist(send, "send")
    await _insist(cancel, "cancel")
    await _insist(send, "send again")
    await _insist(cancel, "cancel again")
    await _insist(delete, "delete")


async def _insist(call: Callable[[str], Awaitable[T]], key: str) -> T:
    """Call again with the same key; if SignNow never had the first call, with another."""
    try:
        return await call(key)
    except SignNowRefused as refusal:
        if "never received" not in refusal.message:
            raise
        return await call(f"{key}-again")


async def close(platform: Platform, reference: str) -> None:
    """Close the period that is over, and push its invoice to Stripe."""
    tenant = await Tenant.get(external_reference=reference)
    invoice = await closing.close_period(platform, tenant)
    await jobs.run_now(platform, tenant.id, pushing.PUSH, str(invoice.id), pushing.push_invoice)


async def report(platform: Platform, reference: str) -> None:
    """Report what a METERED plan's period has come to, after a correction."""
    tenant = await Tenant.get(external_reference=reference)
    await usage_reports.report_due(platform, tenant)


async def leave(platform: Platform, reference: str) -> None:
    """Cancel at once, close what was cut, push every invoice, and cancel at Stripe."""
    tenant = await Tenant.get(external_reference=reference)
    subscription = await endings.cancel_subscription(platform, tenant, ChangeAt.NOW)
    await closing.close_period(platform, tenant)
    for invoice in await Invoice.filter(tenant_id=tenant.id).order_by("id"):
        await jobs.run_now(platform, tenant.id, pushing.PUSH, str(invoice.id), pushing.push_invoice)
    assert subscription.ended_at is not None
    dedup = f"{subscription.id}:{subscription.ended_at.isoformat()}"
    await jobs.run_now(platform, tenant.id, mirroring.CANCEL, dedup, mirroring.cancel_mirror)


async def check_out(platform: Platform, reference: str) -> None:
    """Open a page, pay on it, and get the credits."""
    tenant = await Tenant.get(external_reference=reference)
    new = NewCheckout("downloads", 10, "https://shop.test/done", "https://shop.test/back", "page")
    order = await checkouts.create_checkout(platform, tenant, new)
    if order.state is OrderState.OPEN and order.url is not None:
        async with httpx.AsyncClient(verify=False) as browser:  # noqa: S501 - plain HTTP
            await browser.post(order.url, json={"outcome": "pay"})  # refused if it is paid
    await jobs.run_now(platform, tenant.id, checkouts.FOLLOW, str(order.id), checkouts.follow_checkout)
    await jobs.run_now(platform, tenant.id, orders.GRANT, str(order.id), orders.grant_order)


async def order_by_rule(platform: Platform, reference: str) -> None:
    """Use so much that the plan's rule orders credits, charge the card, and get them."""
    tenant = await Tenant.get(external_reference=reference)
    await usage.record_usage(platform, tenant, [NewEvent("downloads", 3, "three")])
    for order in await orders.list_orders(tenant.id, None, 10):
        await jobs.run_now(platform, tenant.id, card_orders.PAY, str(order.id), card_orders.pay_order)
        await jobs.run_now(platform, tenant.id, orders.GRANT, str(order.id), orders.grant_order)


async def dun(platform: Platform, reference: str) -> None:
    """Look at a case whose days are over, and carry out the end that it has come to."""
    tenant = await Tenant.get(external_reference=reference)
    case = await DunningCase.get(tenant_id=tenant.id)
    await jobs.run_now(platform, tenant.id, dunning_cases.LOOK, str(case.id), chasing.look_at_case)
    left = await Subscription.filter(tenant_id=tenant.id).order_by("started_at").first()
    assert left is not None
    await jobs.run_now(platform, tenant.id, dunning_ends.END, str(left.id), dunning_ends.carry_out)


async def tell(place: Place, story: Story, reference: str, killed_before: int, note: Path) -> None:
    """Tell a story in a process that is killed before one of its steps."""
    killer = Killer(killed_before, note)
    killer.watch()
    async with place.platform() as platform:
        killer.is_armed = True
        await story(platform, reference)
        killer.is_armed = False


async def interfere(place: Place, story: Story, references: list[str]) -> None:
    """Another process, later: everybody repeats their calls, maybe too early, and beside others who do what is due."""
    async with place.platform() as platform:
        for reference in references:
            with contextlib.suppress(OutcomeUnknown, Conflict):
                await story(platform, reference)
        await timetable.run_due_work(platform)


async def go_on(place: Place, story: Story, references: list[str]) -> None:
    """Another process, at last: a worker does what is due, and everybody repeats their calls."""
    async with place.platform() as platform:
        await timetable.run_due_work(platform)
        for reference in references:
            await story(platform, reference)
