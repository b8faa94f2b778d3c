"""What is done with METERED plans, and how Stripe's side of them reads."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from storage.discrepancies import Discrepancy
from storage.usage_reports import UsageReport
from tests.services.steps import Customer, Json, do, make_plan, price, provision, stripe_books
from tests.world import World

USAGE: Final = price("invites_sent", "per-document", unitPrice="0.25", freeUnits=3)
FEE: Final = price("documents_created", "tiered", fee="10.00", included=2, overage={"unitPrice": "1.50"})
SEATS: Final = price("seats", "per-seat", seatPrice="9.00", seatProration="NONE")
APRIL, MAY, JUNE, JULY = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5, 6, 7))
METERED: Final[dict[str, Any]] = {"stripeMode": "METERED"}
AHEAD: Final[dict[str, Any]] = {**METERED, "fees": "ADVANCE"}


async def join(world: World, *prices: Json, reference: str = "acme", code: str = "metered", **terms: Any) -> Customer:
    """A tenant on a METERED plan."""
    customer = await provision(world, reference)
    has_fees = FEE in prices or SEATS in prices
    plan = await make_plan(world, *(prices or (USAGE,)), code=code, **(AHEAD if has_fees else METERED))
    assert (await customer.subscribe(plan, **terms))["userErrors"] == []
    await world.work()
    return customer


async def cycle(world: World, end: datetime) -> None:
    """Let a period end: report for the last time, let Stripe count, close and push."""
    await world.travel_to(end)
    await world.work()
    await world.travel_to(end + timedelta(minutes=15))
    await world.work()
    await world.travel_to(end + timedelta(minutes=70))
    await world.work()
    await world.travel_to(end + timedelta(minutes=90))
    await world.work()


async def reports(*, meter: str = "invites_sent") -> list[tuple[int, str]]:
    """Units and state of each report of a meter."""
    return [(r.units, str(r.state)) for r in await UsageReport.filter(meter=meter).order_by("period_id", "number")]


async def at_stripe(world: World) -> list[Json]:
    """Stripe's invoices, oldest first."""
    return list((await stripe_books(world))["invoice"])


def lines(invoice: Json) -> list[tuple[str, int, int]]:
    """Description, quantity and amount of each line of a Stripe invoice that is not zero."""
    return [(x["description"], x["quantity"], x["amount"]) for x in invoice["lines"]["data"] if x["amount"]]


async def differences() -> list[tuple[str, str]]:
    """Kind and subject of every discrepancy."""
    return [(found.kind, found.subject) for found in await Discrepancy.all().order_by("id")]


async def correct(customer: Customer, key: str, quantity: int) -> Json:
    """Put an event right; answers what became of it."""
    correction = {"eventKey": key, "idempotencyKey": f"fix-{key}", "quantity": quantity}
    selection = "results { status userError { message } }"
    answer = await do(customer.api, "correctUsage", selection, tenantId=customer.id, corrections=[correction])
    return dict(answer["results"][0])
