"""What the victims of the random month are told to do: deeds with idempotency keys, done again and again."""

import asyncio
import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
import stripe

from inkmeter.errors import (
    Conflict,
    InvalidInput,
    OutcomeUnknown,
    QuotaExceeded,
    Refused,
    SignNowRefused,
    SpendCapReached,
    SubscriptionInactive,
    TenantRestricted,
    TopUpRequired,
    UpstreamError,
    UpstreamUnavailable,
)
from inkmeter.periods import Proration
from integrations.protocols import Signer
from integrations.signnow.client import SignNowClient
from server.demo.pdf import contract
from services import (
    changes,
    closing,
    corrections,
    counters,
    credits,
    discounts,
    documents,
    downloads,
    endings,
    invites,
    meters,
    subscriptions,
    timetable,
    upcoming,
    usage,
    webhooks,
)
from services.changes import ChangeAt, ChangePlan, ChangeSeats
from services.corrections import NewCorrection
from services.credits import CreditSource, GivenCredits
from services.discounts import ApplyDiscount
from services.documents import UploadDocument
from services.downloads import Download
from services.invites import SendInvite
from services.platform import Platform
from services.subscriptions import SubscribeTenant
from services.tenants import Tenant
from services.usage import NewEvent
from storage.subscriptions import SubscriptionState
from tests.crash.killing import Killer
from tests.crash.places import Place
from tests.month.cast import LATER_METERS

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deed:
    """`key` is the idempotency key, where there is one."""

    key: str
    tenant: str
    kind: str
    args: Mapping[str, Any]


async def upload(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    content = contract(deed.key)
    made, _ = await documents.upload_document(platform, UploadDocument(tenant, f"Lease {deed.key}", content, deed.key))
    return {"document": str(made.id), "signnow": made.signnow_document_id}


async def invite(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    signers = [Signer(email, f"Signer {n}") for n, email in enumerate(deed.args["emails"], start=1)]
    wanted = SendInvite(tenant, UUID(deed.args["document"]), signers, idempotency_key=deed.key)
    await invites.send_invite(platform, wanted)
    return {}


async def download(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await downloads.download_signed(platform, Download(tenant, UUID(deed.args["document"]), deed.key))
    return {}


async def record(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    events = [
        NewEvent(meter, quantity, key, datetime.fromisoformat(at), properties or None)
        for meter, quantity, key, at, properties in deed.args["events"]
    ]
    results = await usage.record_usage(platform, tenant, events)
    return {"results": [[r.idempotency_key, r.status, r.refusal.message if r.refusal else None] for r in results]}


async def correct(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    wanted = [NewCorrection(was, key, quantity) for was, key, quantity in deed.args["corrections"]]
    results = await corrections.correct_usage(platform, tenant, wanted)
    return {"results": [[r.idempotency_key, r.status, r.refusal.message if r.refusal else None] for r in results]}


async def give(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    ends = deed.args["expires_at"]
    expires_at = datetime.fromisoformat(ends) if ends else None
    given = GivenCredits(
        deed.args["meter"],
        deed.args["units"],
        CreditSource.PROMOTION,
        deed.key,
        deed.args["priority"],
        expires_at,
    )
    try:
        return {"grant": str((await credits.grant_credits(platform, tenant, given)).id)}
    except InvalidInput:  # so long undone that it would have expired by now
        assert expires_at is not None
        assert expires_at <= platform.clock.now()
        return {"grant": None}


async def buy(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    made = await credits.top_up(platform, tenant, deed.args["meter"], deed.args["units"], deed.key)
    return {"grant": str(made.id)}


async def take(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    how = {"revoke": credits.revoke_credits, "refund": credits.refund_credits}[deed.kind]
    taken = await how(platform, tenant.id, UUID(deed.args["grant"]), deed.args["units"], deed.key)
    return {"units": taken.units, "refund": taken.refund.minor if taken.refund else None}


async def seats(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    at = ChangeAt(deed.args["at"])
    await changes.change_seats(platform, ChangeSeats(tenant, deed.args["seats"], at, deed.key))
    return {}


async def plan(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    how = Proration(deed.args["proration"])
    at = ChangeAt(deed.args["at"])
    await changes.change_plan(platform, ChangePlan(tenant, UUID(deed.args["plan"]), at, deed.key, how))
    return {}


async def discount(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    percent, amount, periods = (deed.args[name] for name in ("percent", "amount", "periods"))
    wanted = ApplyDiscount(tenant, deed.key, f"Off {deed.key}", percent, amount, periods)
    return {"discount": str((await discounts.apply_discount(platform, wanted)).id)}


async def end_discount(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await discounts.end_discount(platform, tenant, UUID(deed.args["discount"]))
    return {}


async def cancel(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    # Without a key: a repeat after somebody came back would end another subscription.
    latest = await subscriptions.latest_subscription(tenant.id)
    if str(latest.id) == deed.args["subscription"] or deed.args["subscription"] is None:
        at = ChangeAt(deed.args["at"])
        await endings.cancel_subscription(platform, tenant, at, Proration(deed.args["proration"]))
    return {}


async def resume(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    """Change one's mind; too late, come back."""
    try:
        await endings.resume_subscription(platform, tenant)
    except Conflict:
        wanted = SubscribeTenant(tenant, UUID(deed.args["plan"]), deed.args["seats"], "Europe/Berlin")
        latest = await subscriptions.latest_subscription(tenant.id)
        if latest.state is SubscriptionState.ENDED or latest.ended_at is not None:
            await subscriptions.subscribe_tenant(platform, wanted)
    return {}


async def close(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await closing.close_period(platform, tenant)
    return {}


async def work(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await timetable.run_due_work(platform)
    return {}


async def deliver(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    receive = {"stripe": webhooks.receive_stripe, "signnow": webhooks.receive_signnow}[deed.args["source"]]
    await receive(platform, deed.args["payload"], deed.args["signature"])
    return {}


async def make_meter(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    await meters.create_meter(platform, LATER_METERS[deed.args["number"]])
    return {}


async def look(platform: Platform, tenant: Tenant, deed: Deed) -> Answer:
    """Nothing that is only read may fail, and at any moment the counters are what the events say."""
    report = await counters.rebuild_counters(platform, None, check=True)
    assert not report.differences, [str(difference) for difference in report.differences]
    await upcoming.preview_invoice(platform, tenant)
    return {}


KINDS: Final[dict[str, Callable[[Platform, Tenant, Deed], Awaitable[Answer]]]] = {
    "upload": upload,
    "invite": invite,
    "download": download,
    "record": record,
    "correct": correct,
    "give": give,
    "buy": buy,
    "revoke": take,
    "refund": take,
    "seats": seats,
    "plan": plan,
    "discount": discount,
    "end_discount": end_discount,
    "cancel": cancel,
    "resume": resume,
    "close": close,
    "work": work,
    "deliver": deliver,
    "meter": make_meter,
    "look": look,
}
ALLOWED: Final[dict[str, tuple[type[Refused], ...]]] = {
    "upload": (QuotaExceeded, TopUpRequired, TenantRestricted),
    "invite": (QuotaExceeded, SpendCapReached, TenantRestricted),
    "download": (QuotaExceeded, TopUpRequired, TenantRestricted),
    "revoke": (Conflict,),
    "refund": (Conflict,),
    "seats": (InvalidInput, Conflict),
    "plan": (InvalidInput, Conflict),
    "close": (Conflict,),
}
"""Refusals that are an answer; any other, save that there is no subscription, is trouble."""


class Journal:
    """What a process has heard, line by line in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **line: Any) -> None:
        os.write(self._file, orjson.dumps(line) + b"\n")


class Listener(logging.Handler):
    """Tells the journal of what nobody expects: errors, and exceptions that a worker would try again."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1]))
        is_trouble = record.levelno >= logging.ERROR or bool(record.exc_info) or "events sum to" in text
        if is_trouble or "Stripe's" in text:
            self._journal.write(trouble=text)


async def do_all(place: Place, deeds: Sequence[Deed], at_once: int, killed_before: int, notes: Path) -> None:
    """Do the deeds, so many at once, in a process that is killed before one of its steps (never before step 0)."""
    stripe.HTTPClient.INITIAL_DELAY = stripe.HTTPClient.MAX_DELAY = 0  # repeats come at once
    defaults = {**(SignNowClient.__init__.__kwdefaults__ or {}), "read_backoff": 0.0}
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
    except (OutcomeUnknown, UpstreamUnavailable, UpstreamError):
        journal.write(key=deed.key, outcome="again")
    except SignNowRefused as refusal:
        is_spent = "never received" in refusal.message
        journal.write(key=deed.key, outcome="spent" if is_spent else "again", why=str(refusal))
    except Refused as refusal:
        if isinstance(refusal, (SubscriptionInactive, *ALLOWED.get(deed.kind, ()))):
            journal.write(key=deed.key, outcome="refused", why=str(refusal))
        else:
            tell_trouble(journal, deed)
    except Exception:
        tell_trouble(journal, deed)
    else:
        journal.write(key=deed.key, outcome="done", **answer)


def tell_trouble(journal: Journal, deed: Deed) -> None:
    """Note the exception that is being handled, which nobody has expected."""
    journal.write(trouble=f"{replace(deed, args={**deed.args, 'payload': ''})}\n{traceback.format_exc()}")
