"""What an operator does to the terms of a subscription, and how its invoices read."""

from datetime import datetime
from typing import Any, Final

from storage.plans import Plan
from tests.services.steps import Customer, Json, do, make_plan, price, raw_id
from tests.world import World

SUBSCRIPTION: Final = """subscription { id seats plan { code } endsAt trialEndsAt anchorOn isMirrored
    phases { startsAt seats reason proration plan { code } }
    discounts { id label percent amount { amount } periods startsAt endedAt } }"""
LINES: Final = """kind label meter quantity unitPrice amount { amount } period { start end }
    adjustment { adjusts lateEvents corrections reason period { start }
        billed { quantity amount { amount } } now { quantity amount { amount } } }"""
UPCOMING: Final = f"period {{ start end }} total {{ amount }} lines {{ {LINES} }}"
SEATS: Final = price("seats", "per-seat", seatPrice="30.00")
FEE: Final = price("invites_sent", "tiered", fee="60.00", included=2, overage={"unitPrice": "4.00"})


async def plan_of(world: World, *prices: Json, fees: str = "ARREARS", minimum: int | None = None, **more: Any) -> str:
    """A plan with these prices; answers its global id. `minimum` is in minor units."""
    made = await make_plan(world, *prices, **more)
    await Plan.filter(id=raw_id(made)).update(fees=fees, minimum_minor=minimum)
    return made


async def change_seats(customer: Customer, seats: int, at: str = "NOW", key: str | None = None) -> Json:
    return await do(
        customer.api,
        "changeSeats",
        SUBSCRIPTION,
        tenantId=customer.id,
        seats=seats,
        at=at,
        idempotencyKey=key or f"seats-{seats}-{customer.world.clock.now().isoformat()}",
    )


async def change_plan(customer: Customer, plan: str, at: str = "NOW", key: str | None = None, **more: Any) -> Json:
    return await do(
        customer.api,
        "changePlan",
        SUBSCRIPTION,
        tenantId=customer.id,
        planId=plan,
        at=at,
        idempotencyKey=key or f"plan-{plan}-{customer.world.clock.now().isoformat()}",
        **more,
    )


async def preview(customer: Customer, at: str = "NOW", **change: Any) -> Json:
    """What `previewChange` answers; `change` is seats, or planId and proration."""
    asked = await customer.api.ask(
        f"""query ($tenant: ID, $at: ChangeAt!, $seats: Int, $plan: ID, $proration: Proration = SECOND) {{
            previewChange(tenantId: $tenant, at: $at, seats: $seats, planId: $plan, proration: $proration) {{
                takesEffectAt difference {{ amount }} nextFees {{ amount }}
                unchanged {{ {UPCOMING} }} changed {{ {UPCOMING} }} }} }}""",
        tenant=customer.id,
        at=at,
        **change,
    )
    answer: Json = asked["previewChange"]
    return answer


async def cancel(customer: Customer, at: str = "NOW", **more: Any) -> Json:
    return await do(customer.api, "cancelSubscription", SUBSCRIPTION, tenantId=customer.id, at=at, **more)


async def resume(customer: Customer) -> Json:
    return await do(customer.api, "resumeSubscription", SUBSCRIPTION, tenantId=customer.id)


async def discount(customer: Customer, key: str = "d", label: str = "Launch", **terms: Any) -> Json:
    selection = "discount { id label percent amount { amount } periods startsAt endedAt }"
    return await do(
        customer.api, "applyDiscount", selection, tenantId=customer.id, idempotencyKey=key, label=label, **terms
    )


async def shown(customer: Customer) -> Json | None:
    """The tenant's subscription as the API shows it."""
    query = f"query ($id: ID!) {{ tenant(id: $id) {{ {SUBSCRIPTION} }} }}"
    found: Json | None = (await customer.api.ask(query, id=customer.id))["tenant"]["subscription"]
    return found


async def billed(customer: Customer) -> list[Json]:
    """All invoices, oldest first."""
    query = f"""query ($id: ID) {{ invoices(tenantId: $id, first: 100) {{ edges {{ node {{
        id kind state total {{ amount }} period {{ start end }} lines {{ {LINES} }} }} }} }} }}"""
    edges = (await customer.api.ask(query, id=customer.id))["invoices"]["edges"]
    return [edge["node"] for edge in edges]


async def upcoming(customer: Customer) -> Json:
    """What the running period would cost."""
    query = f"query ($id: ID) {{ upcomingInvoice(tenantId: $id) {{ {UPCOMING} }} }}"
    found: Json = (await customer.api.ask(query, id=customer.id))["upcomingInvoice"]
    return found


def told(invoice: Json) -> list[tuple[str, str, str]]:
    """Kind, label and amount of each line that is not zero."""
    return [
        (line["kind"], line["label"], line["amount"]["amount"])
        for line in invoice["lines"]
        if float(line["amount"]["amount"])
    ]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
