"""Top-ups that a person pays on a page of Stripe's.

T   the order, and the job that makes its page and follows it
--  the Checkout session: made once, found again by our metadata
--  asked again until it is paid or over; Stripe's webhooks are faster
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from inkmeter.errors import Conflict, OutcomeUnknown, PaymentRefused
from inkmeter.events import Event
from integrations.protocols import StripeCheckout
from services import credits, jobs, orders, phases, subscriptions
from services.decisions import check_may_sign
from services.effects import Applied, Effect
from services.orders import OrderState, OrderWay, Paid, TopUpOrder
from services.platform import Platform
from services.problems import Problems
from storage.database import insert_new, transaction
from storage.jobs import Job
from storage.tenants import Tenant

FOLLOW: Final = "checkout.follow"
FOLLOW_EVERY: Final = timedelta(hours=1)
"""How often Stripe is asked about a session that is open, or waits for a bank."""
MAX_URL: Final = 2_000
LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class NewCheckout:
    """A pack of a tenant's plan, by its whole units, to be paid on a page that leads back to either URL."""

    meter: str
    units: int
    success_url: str
    cancel_url: str
    idempotency_key: str


async def create_checkout(platform: Platform, tenant: Tenant, new: NewCheckout) -> TopUpOrder:
    """Order a pack and make the page on which it is paid, once per key.

    Raises InvalidInput, Conflict for the same key with another content, TenantRestricted, SubscriptionInactive,
    PaymentRefused, and OutcomeUnknown if Stripe gave no answer: the same key asks again.
    """
    await _check(platform, new)
    key = f"checkout:{new.idempotency_key}"
    order = await TopUpOrder.get_or_none(tenant_id=tenant.id, idempotency_key=key)
    if order is None:
        order = await _place(platform, tenant, new, key)
    decimals = platform.metering.meters[new.meter].decimals
    content = (order.meter, order.units, order.success_url, order.cancel_url)
    if content != (new.meter, new.units * 10**decimals, new.success_url, new.cancel_url):
        raise Conflict("this idempotency key was used for another checkout", path=("idempotencyKey",))
    if order.stripe_id is None and order.state is OrderState.OPEN:
        await jobs.run_now(platform, tenant.id, FOLLOW, str(order.id), follow_checkout)
        order = await TopUpOrder.get(tenant_id=tenant.id, id=order.id)
    if order.stripe_id is None and order.state is OrderState.FAILED:
        raise PaymentRefused(order.failure or "Stripe has refused")
    if order.stripe_id is None:
        raise OutcomeUnknown("Stripe gave no answer. Repeat the call with the same idempotency key.")
    return order


async def _check(platform: Platform, new: NewCheckout) -> None:
    problems = Problems()
    await credits.check_meter(platform, problems, new.meter)
    problems.check_key(new.idempotency_key, "idempotencyKey")
    rule = f"is an https URL (http on localhost alone) of at most {MAX_URL} characters"
    problems.check(is_address(new.success_url), rule, "successUrl")
    problems.check(is_address(new.cancel_url), rule, "cancelUrl")
    problems.refuse()


def is_address(url: str) -> bool:
    """Whether a person may be sent there."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018 - raises ValueError for one that is none
    except ValueError:
        return False
    is_plain = (
        len(url) <= MAX_URL and url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    )
    return is_plain and bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL))


async def _place(platform: Platform, tenant: Tenant, new: NewCheckout, key: str) -> TopUpOrder:
    now = platform.clock.now()
    subscription = await subscriptions.require_subscription(tenant.id)
    check_may_sign(tenant.state, tenant.grace_until, now)
    await phases.require_running(subscription, now)
    terms, _ = await phases.in_force(platform, subscription, now)
    pack = credits.find_pack(terms, new.meter, new.units)
    period = await subscriptions.ensure_period(platform, tenant.id, now)
    order = TopUpOrder(
        tenant_id=tenant.id,
        idempotency_key=key,
        way=OrderWay.CHECKOUT,
        meter=new.meter,
        period_id=period.id,
        period_starts_at=period.starts_at,
        units=new.units * 10 ** platform.metering.meters[new.meter].decimals,
        amount_minor=pack.price.minor,
        currency=pack.price.currency,
        state=OrderState.OPEN,
        success_url=new.success_url,
        cancel_url=new.cancel_url,
        created_at=now,
    )
    async with transaction():
        if await insert_new(order, ["tenant_id", "idempotency_key"]):
            dedup = str(order.id)
            wait = jobs.FIRST_TRY_IS_OURS
            await jobs.add_job(platform, tenant_id=tenant.id, topic=FOLLOW, dedup=dedup, run_in=wait)
    return await TopUpOrder.get(tenant_id=tenant.id, idempotency_key=key)


async def follow_checkout(platform: Platform, job: Job) -> None:
    """The job: make the page, then ask what became of it until it is paid or over."""
    order = await TopUpOrder.get(tenant_id=job.tenant_id, id=job.dedup)
    events: list[Event] = []
    if order.state is OrderState.OPEN:
        try:
            session = await _session(platform, job, order)
        except PaymentRefused as refusal:
            if order.stripe_id is not None:
                raise
            async with jobs.completing(job):
                await orders.end(platform, order, OrderState.FAILED, refusal.message)
            return
        async with transaction():
            events += await _note_session(platform, order, session)
        for event in events:
            await platform.plugins.publish(event)
        order = await TopUpOrder.get(tenant_id=job.tenant_id, id=job.dedup)
        if order.state is OrderState.OPEN:
            raise jobs.NotYet("it is not paid", FOLLOW_EVERY)
    async with jobs.completing(job):
        pass


async def _session(platform: Platform, job: Job, order: TopUpOrder) -> StripeCheckout:
    if order.stripe_id is not None:
        return await platform.stripe.checkout(order.stripe_id)
    tenant = await Tenant.get(id=order.tenant_id)
    assert tenant.stripe_customer_id is not None  # noqa: S101 - only provisioned tenants are subscribed
    assert order.success_url is not None  # noqa: S101 - a checkout has both
    assert order.cancel_url is not None  # noqa: S101
    return await platform.stripe.ensure_checkout(
        key=f"checkout:{order.id}",
        is_retry=job.attempts > 1,
        customer_id=tenant.stripe_customer_id,
        reference=str(order.id),
        amount=orders.price_of(order),
        label=await orders.label_of(platform, order),
        success_url=order.success_url,
        cancel_url=order.cancel_url,
        metadata={"tenant_id": str(tenant.public_id), "order_id": str(order.id)},
    )


async def order_of(session: StripeCheckout) -> TopUpOrder | None:
    """The order that a session was made for: of the same tenant's customer, and of this one session."""
    try:
        order = await TopUpOrder.get_or_none(id=UUID(session.reference or ""), way=OrderWay.CHECKOUT)
    except ValueError:
        return None
    if order is None or order.stripe_id not in (None, session.id):
        return None
    tenant = await Tenant.get(id=order.tenant_id)
    is_theirs = session.customer_id == tenant.stripe_customer_id
    return order if is_theirs and session.metadata.get("tenant_id") == str(tenant.public_id) else None


async def _note_session(platform: Platform, order: TopUpOrder, session: StripeCheckout) -> list[Event]:
    """Take over how a session stands, in the caller's transaction; in any order and any number of times."""
    url = session.url if session.status == "open" else None
    await TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id).update(
        stripe_id=session.id, url=url, expires_at=session.expires_at
    )
    if session.payment_status == "paid":
        return [*await orders.note_paid(platform, order, Paid(session.amount, session.payment_intent_id))]
    if session.status == "expired":
        return [*await orders.end(platform, order, OrderState.EXPIRED)]
    if session.has_failed:
        return [*await orders.end(platform, order, OrderState.FAILED, "the bank has refused the payment")]
    return []


async def note_checkout(platform: Platform, session: StripeCheckout) -> Applied:
    """The effect of a session on its order, in the caller's transaction."""
    order = await order_of(session)
    if order is None:
        return Applied(why_ignored="not a checkout of ours")
    return Applied(await _note_session(platform, order, session))


async def take_checkout(platform: Platform, session_id: str) -> Effect:
    """The handler: something happened to a Checkout session."""
    session = await platform.stripe.checkout(session_id)

    async def effect() -> Applied:
        return await note_checkout(platform, session)

    return effect
