"""A tenant that does not pay, what it and Stripe do, and what is told."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from inkmeter import Event, hookimpl
from plugins.manager import load_plugins
from tests.services.steps import INVITES, Customer, Json, event, make_plan, price, provision, stripe_books
from tests.world import World

STRIPE: Final = {"authorization": "Bearer sk_test_inkmeter"}
APRIL: Final = datetime(2026, 4, 10, tzinfo=UTC)
FAILED: Final = APRIL + timedelta(hours=1)
"""When the first period is closed and its invoice is charged."""
TOLD: Final = {
    "PaymentFailed",
    "SigningRestricted",
    "TenantRestored",
    "TenantDowngraded",
    "TenantDeprovisioned",
    "InvoicePaid",
}
DUNNING: Final = """query ($id: ID!) { tenant(id: $id) { state graceUntil
    subscription { plan { code } }
    dunning { step since nextStep nextAt invoices { id total { amount } hostedUrl } } } }"""
NOTICES: Final = """query ($id: ID) { notices(tenantId: $id) { edges { node {
    kind until createdAt invoice { total { amount } hostedUrl } plan { code } leftPlan { code } } } } }"""


class Told:
    """Keeps what plugins are told."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds or TOLD)
        self.events: list[Event] = []

    @hookimpl
    def on_event(self, event: Event) -> None:
        if type(event).__name__ in self.kinds:
            self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def listen(world: World, *kinds: str) -> Told:
    """Hear what plugins are told from now on: of payments, or events of these names."""
    told = Told(*kinds)
    plugins = load_plugins(extra=[told])
    object.__setattr__(world.platform, "plugins", plugins)
    world.platform.metering._publish = plugins.publish
    return told


async def debtor(world: World, reference: str = "acme", **policy: Any) -> Customer:
    """A tenant on a plan with that policy whose card fails. With `to="free"` that plan is made, too."""
    if "to" in policy:
        free = price("invites_sent", "per-document", unitPrice="0.10")
        policy["downgradePlanId"] = await make_plan(world, free, code=policy.pop("to"))
    plan = await make_plan(world, INVITES, code=f"growth-{reference}", dunning=policy or None)
    customer = await provision(world, reference)
    assert (await customer.subscribe(plan))["userErrors"] == []
    await customer.record(event(f"three of {reference}", 3))
    await card(world, customer, "decline")
    return customer


async def owner(world: World, customer: Customer) -> Json:
    """The tenant's customer at Stripe."""
    books = await stripe_books(world)
    [theirs] = [c for c in books["customer"] if c["metadata"]["tenant_id"] == str(customer.tenant.public_id)]
    return dict(theirs)


async def at_stripe(world: World, customer: Customer, kind: str = "invoice") -> list[Json]:
    theirs = await owner(world, customer)
    return [found for found in (await stripe_books(world))[kind] if found["customer"] == theirs["id"]]


async def card(world: World, customer: Customer, card: str, declines: int = 0) -> None:
    order = {"card": card, "declines": declines}
    url = f"/_sandbox/customers/{(await owner(world, customer))['id']}/card"
    (await world.stripe.post(url, json=order)).raise_for_status()


async def stripe_dunning(world: World, **order: Any) -> None:
    (await world.stripe.post("/_sandbox/dunning", json=order)).raise_for_status()


async def post(world: World, path: str, **form: str) -> None:
    (await world.stripe.post(path, data=form, headers=STRIPE)).raise_for_status()


async def travel(world: World, moment: datetime) -> None:
    """Let time pass and everything that is due be done."""
    await world.travel_to(moment)
    await world.work()


async def fail(world: World) -> None:
    """The first period ends, is closed and charged."""
    await travel(world, APRIL)
    for minutes in (60, 61, 62, 65):
        await travel(world, APRIL + timedelta(minutes=minutes))


async def days(world: World, *since_failure: float) -> None:
    for number in since_failure:
        await travel(world, FAILED + timedelta(days=number, minutes=10))


async def standing(customer: Customer) -> Json:
    """The tenant with its dunning."""
    return dict((await customer.world.operator.ask(DUNNING, id=customer.id))["tenant"])


async def step(customer: Customer) -> tuple[str, str | None]:
    """State and step of dunning."""
    tenant = await standing(customer)
    return tenant["state"], tenant["dunning"] and tenant["dunning"]["step"]


async def told(customer: Customer) -> list[str]:
    """The kinds of the tenant's notices, oldest first."""
    return [notice["kind"] for notice in await notices(customer)]


async def notices(customer: Customer) -> list[Json]:
    edges = (await customer.world.operator.ask(NOTICES, id=customer.id))["notices"]["edges"]
    return [edge["node"] for edge in edges]
