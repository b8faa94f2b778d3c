"""What is done in the year, and how: through the API, at Stripe's dashboard, by cards and banks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from storage.credits import CreditGrant
from storage.invoices import Invoice, InvoiceKind, InvoiceState
from storage.orders import OrderState, TopUpOrder
from storage.subscriptions import Subscription
from storage.tenants import Tenant
from storage.usage import UsageEvent
from tests.services.credit_steps import take
from tests.services.dunning_steps import card
from tests.services.order_steps import call_stripe, dispute, open_checkout
from tests.services.spoiling import spoil
from tests.services.steps import Customer, Json, global_id, stripe_books
from tests.services.terms import cancel, change_plan, change_seats, discount, resume
from tests.world import World
from tests.year.agenda import Deed
from tests.year.cast import START, TRIES, Role, terms_of

DONE: Final = "done"
NOTHING: Final = "nothing to do"
AGAIN: Final = frozenset({"OutcomeUnknown", "UpstreamUnavailable"})


@dataclass(frozen=True, slots=True)
class Actor:
    """A tenant with the plans by code: does its deeds, and says what became of each."""

    customer: Customer
    role: Role
    plans: dict[str, str]

    async def do(self, deed: Deed) -> str:
        return await DEEDS[deed.kind](self, deed)

    async def settled(self, call: Callable[[], Awaitable[Json]]) -> str:
        """What a call came to; repeated with the same key while the answer is lost."""
        outcome = NOTHING
        for _ in range(TRIES):
            answer = await call()
            outcome = str(answer["userErrors"][0]["__typename"]) if answer["userErrors"] else DONE
            if outcome not in AGAIN:
                break
        return outcome

    async def tenant(self) -> Tenant:
        return await Tenant.get(id=self.customer.tenant.id)

    # Usage

    async def use(self, deed: Deed, ago: timedelta = timedelta()) -> str:
        dice = deed.dice
        meter = dice.choice(self.role.meters)
        units = dice.randint(1, 400 if meter == "api_calls" else 9)
        at = max(deed.at - ago, START)
        return await self._record(deed.key, meter, units, at)

    async def _record(self, key: str, meter: str, units: int, at: datetime) -> str:
        fact = {"meter": meter, "quantity": units, "idempotencyKey": key, "occurredAt": at.isoformat()}
        selection = "results { status userError { __typename message } }"
        answer = await self.customer.api.do("recordUsage", selection, tenantId=self.customer.id, events=[fact])
        return _of_one(answer)

    async def use_late(self, deed: Deed) -> str:
        return await self.use(deed, timedelta(days=deed.dice.randint(5, 45)))

    async def correct(self, deed: Deed) -> str:
        tenant_id = self.customer.tenant.id
        facts = await UsageEvent.filter(tenant_id=tenant_id, source="api").order_by("idempotency_key")
        taken = {e.reverses for e in await UsageEvent.filter(tenant_id=tenant_id, reverses__isnull=False)}
        facts = [fact for fact in facts if fact.id not in taken]
        if not facts:
            return NOTHING
        fact = deed.dice.choice(facts)
        correction = {
            "eventKey": fact.idempotency_key,
            "idempotencyKey": f"fix-{deed.key}",
            "quantity": deed.dice.choice((None, 1, 4)),
        }
        answer = await self.customer.api.do(
            "correctUsage",
            "results { status userError { __typename message } }",
            tenantId=self.customer.id,
            corrections=[correction],
        )
        return _of_one(answer)

    async def upload(self, deed: Deed) -> str:
        return await self.settled(lambda: self.customer.upload(deed.key))

    # Subscriptions

    async def seats(self, deed: Deed) -> str:
        seats, at = deed.dice.randint(1, 6), deed.dice.choice(("NOW", "PERIOD_END"))
        return await self.settled(lambda: change_seats(self.customer, seats, at, deed.key))

    async def change_plan(self, deed: Deed) -> str:
        plan = self.plans[deed.dice.choice(self.role.plans)]
        at = deed.dice.choice(("NOW", "PERIOD_END", "PERIOD_END"))
        return await self.settled(lambda: change_plan(self.customer, plan, at, deed.key))

    async def discount(self, deed: Deed) -> str:
        return await self.settled(lambda: discount(self.customer, deed.key, percent="10", periods=2))

    async def leave(self, deed: Deed) -> str:
        at = deed.dice.choice(("NOW", "PERIOD_END"))
        return await self.settled(lambda: cancel(self.customer, at))

    async def pause(self, deed: Deed) -> str:
        at = deed.dice.choice(("NOW", "PERIOD_END"))
        return await self.settled(
            lambda: self.customer.api.do(
                "pauseSubscription", "subscription { id }", tenantId=self.customer.id, at=at, idempotencyKey=deed.key
            )
        )

    async def resume(self, deed: Deed) -> str:
        return await self.settled(lambda: resume(self.customer))

    async def come_back(self, deed: Deed) -> str:
        """Withdraw an end that is planned; or pay, be reactivated and subscribe anew."""
        tenant = await self.tenant()
        last = await Subscription.filter(tenant_id=tenant.id).order_by("-id").first()
        if last is not None and (last.ended_at is None or last.ended_at > deed.at):
            return NOTHING if last.ended_at is None else await self.resume(deed)
        if tenant.state.value == "DEPROVISIONED":
            await card(self.customer.world, self.customer, "success")
            again = await self.settled(
                lambda: self.customer.api.do("reactivateTenant", "tenant { id }", tenantId=self.customer.id)
            )
            if again != DONE:
                return again
        return await self.subscribe(self.plans[self.role.plan], terms_of(self.role, deed.at.date()))

    async def subscribe(self, plan: str, terms: Json) -> str:
        return await self.settled(lambda: self.customer.subscribe(plan, **terms))

    # Money

    async def card(self, deed: Deed) -> str:
        """It fails from now on, or works again; sometimes for some charges only."""
        outcome = deed.dice.choice(("decline", "decline", "success"))
        declines = deed.dice.choice((0, 0, 2)) if outcome == "success" else 0
        await card(self.customer.world, self.customer, outcome, declines)
        return outcome

    async def checkout(self, deed: Deed) -> str:
        """Order a pack on a page; pay there, be declined, let a bank take its time, or never come."""
        made = await self.settled(lambda: open_checkout(self.customer, deed.dice.choice((5, 20)), deed.key))
        if made != DONE:
            return made
        order = await TopUpOrder.get(tenant_id=self.customer.tenant.id, idempotency_key__endswith=deed.key)
        outcomes = deed.dice.choice(
            (("pay",), ("pay",), ("fail", "pay"), ("async", "async_paid"), ("async", "async_failed"), ())
        )
        for outcome in outcomes:
            url = f"/_sandbox/checkout/{order.stripe_id}"
            (await self.customer.world.stripe.post(url, json={"outcome": outcome})).raise_for_status()
        return " ".join(outcomes) or "left"

    async def buy(self, deed: Deed) -> str:
        return await self.settled(
            lambda: self.customer.api.do(
                "topUp",
                "grant { id }",
                tenantId=self.customer.id,
                meter="documents_created",
                units=5,
                idempotencyKey=deed.key,
            )
        )

    async def take_back(self, deed: Deed) -> str:
        """The operator refunds what is left of a pack."""
        grants = await CreditGrant.filter(tenant_id=self.customer.tenant.id, source="TOP_UP", remaining__gt=0)
        if not grants:
            return NOTHING
        grant = deed.dice.choice(sorted(grants, key=lambda g: g.idempotency_key))
        shown = {"id": global_id("CreditGrant", grant.id)}
        return await self.settled(
            lambda: take(self.customer, "refundCredits", shown, deed.dice.randint(1, grant.remaining), deed.key)
        )

    async def _paid_order(self, deed: Deed) -> str | None:
        """The charge at Stripe of an order that was paid, which nobody disputes."""
        orders = await TopUpOrder.filter(tenant_id=self.customer.tenant.id, state=OrderState.PAID)
        charges = {c["payment_intent"]: c for c in (await stripe_books(self.customer.world))["charge"]}
        found = [
            charges[o.payment_intent_id]
            for o in sorted(orders, key=lambda o: (o.way, o.idempotency_key))
            if o.payment_intent_id in charges
        ]
        left = [c["id"] for c in found if c["amount_refunded"] < c["amount"] and not c["disputed"]]
        return deed.dice.choice(left) if left else None

    async def _paid_invoice(self, deed: Deed) -> str | None:
        ours = await Invoice.filter(
            tenant_id=self.customer.tenant.id, state=InvoiceState.PAID, kind=InvoiceKind.PERIOD
        ).order_by("id")
        books = await stripe_books(self.customer.world)
        intents = {
            p["invoice"]: p["payment"]["payment_intent"] for p in books["invoice_payment"] if p["status"] == "paid"
        }
        charges = {c["payment_intent"]: c for c in books["charge"]}
        found = [charges[intents[i.stripe_invoice_id]] for i in ours if intents.get(i.stripe_invoice_id) in charges]
        left = [c["id"] for c in found if c["amount_refunded"] < c["amount"] and not c["disputed"]]
        return deed.dice.choice(left) if left else None

    async def _refund(self, deed: Deed, charge: str | None) -> str:
        if charge is None:
            return NOTHING
        await insist(self.customer.world, deed.key, "/v1/refunds", charge=charge, amount=50 + deed.dice.randint(0, 50))
        return DONE

    async def _dispute(self, deed: Deed, charge: str | None) -> str:
        if charge is None:
            return NOTHING
        world, outcome = self.customer.world, deed.dice.choice(("won", "lost", "lost"))
        await dispute(world, charge)
        if deed.dice.random() < 0.5:
            await world.work()
        await dispute(world, charge, outcome)
        return outcome

    async def refund_order(self, deed: Deed) -> str:
        return await self._refund(deed, await self._paid_order(deed))

    async def refund_invoice(self, deed: Deed) -> str:
        return await self._refund(deed, await self._paid_invoice(deed))

    async def dispute_order(self, deed: Deed) -> str:
        return await self._dispute(deed, await self._paid_order(deed))

    async def dispute_invoice(self, deed: Deed) -> str:
        return await self._dispute(deed, await self._paid_invoice(deed))

    async def spoil(self, deed: Deed) -> str:
        """Somebody raises a line of a paid invoice at Stripe; the next reconciliation gives a credit note, which it
        does not where taxes are on top.
        """
        if self.customer.world.platform.terms.automatic_tax:
            return NOTHING
        ours = await Invoice.filter(tenant_id=self.customer.tenant.id, state=InvoiceState.PAID).order_by("id")
        found = [i for i in ours if i.stripe_invoice_id and i.total_minor > 300]
        if not found:
            return NOTHING
        invoice = deed.dice.choice(found)
        theirs = next(
            i for i in (await stripe_books(self.customer.world))["invoice"] if i["id"] == invoice.stripe_invoice_id
        )
        added = [line["amount"] for line in theirs["lines"]["data"] if line["parent"]["invoice_item_details"]]
        position = next((n for n, amount in enumerate(added) if amount > 100), None)
        if position is None:
            return NOTHING
        amount = added[position] + 70
        await spoil(self.customer.world, "line", theirs["id"], do="change", position=position, amount=amount)
        return DONE


async def insist(world: World, key: str, path: str, **form: Any) -> None:
    """A call of the operator's own to Stripe, repeated until it is answered; with another key after a failure, which
    Stripe may remember, and of which nothing has come.
    """
    failures = 0
    for _ in range(TRIES):
        try:
            await call_stripe(world, path, f"{key}:{failures}", **form)
        except httpx.HTTPStatusError as refusal:
            if refusal.response.status_code not in (409, 429, 500):
                raise
            failures += refusal.response.status_code == 500
        except httpx.ReadTimeout:
            continue
        else:
            return
    raise AssertionError(f"Stripe does not answer {path}")


def _of_one(answer: Json) -> str:
    """What became of the one event that was sent."""
    error = answer["userErrors"][0] if answer["userErrors"] else answer["results"][0]["userError"]
    return DONE if error is None else str(error["__typename"])


DEEDS: Final[dict[str, Callable[[Actor, Deed], Awaitable[str]]]] = {
    "use": Actor.use,
    "use late": Actor.use_late,
    "correct": Actor.correct,
    "upload": Actor.upload,
    "seats": Actor.seats,
    "change plan": Actor.change_plan,
    "discount": Actor.discount,
    "leave": Actor.leave,
    "pause": Actor.pause,
    "resume": Actor.resume,
    "come back": Actor.come_back,
    "card": Actor.card,
    "checkout": Actor.checkout,
    "buy": Actor.buy,
    "take back": Actor.take_back,
    "refund order": Actor.refund_order,
    "refund invoice": Actor.refund_invoice,
    "dispute order": Actor.dispute_order,
    "dispute invoice": Actor.dispute_invoice,
    "spoil": Actor.spoil,
}
