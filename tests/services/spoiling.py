"""Spoiling Stripe's books, and comparing ours with them."""

from typing import Any

import pytest

from inkmeter.errors import PaymentRefused
from integrations.stripe.gateway import StripeGateway
from tests.services.steps import Customer, Json, do, provision, stripe_books
from tests.services.terms import FEE, SEATS, plan_of
from tests.world import World

FOUND = """report { tenants checks isClean endCursor failures { tenantId reason } differences {
    kind explanation repair isRepaired problem ours { amount currency } theirs { amount }
    discrepancy { id kind state times repair note evidence } } }"""
LISTED = (
    "{ edges { node { id kind state times explanation repair repairedAt note ours { amount } theirs { amount } } } }"
)


async def join(world: World, reference: str = "acme", code: str = "ahead") -> Customer:
    """A tenant whose opening invoice, of 60.00 and 2 × 30.00, is paid."""
    customer = await provision(world, reference)
    plan = await plan_of(world, FEE, SEATS, fees="ADVANCE", code=code)
    assert (await customer.subscribe(plan, seats=2))["userErrors"] == []
    await world.work()
    return customer


async def invoices_at_stripe(world: World) -> list[Json]:
    return list((await stripe_books(world))["invoice"])


async def spoil(world: World, what: str, stripe_invoice_id: str, **order: Any) -> None:
    """`what` is line, sums or forget."""
    (await world.stripe.post(f"/_sandbox/invoices/{stripe_invoice_id}/{what}", json=order)).raise_for_status()


async def reconcile(world: World, **how: Any) -> Json:
    """The report."""
    payload = await do(world.operator, "reconcileStripe", FOUND, **how)
    assert payload["userErrors"] == [], payload
    return dict(payload["report"])


def kinds(report: Json) -> list[str]:
    return sorted(found["kind"] for found in report["differences"])


async def kept(world: World, **filters: Any) -> list[Json]:
    """The discrepancies that are kept."""
    shown = ", ".join(f"{name}: {value}" for name, value in filters.items())
    asked = await world.operator.ask(f"{{ discrepancies{f'({shown})' if shown else ''} {LISTED} }}")
    return [edge["node"] for edge in asked["discrepancies"]["edges"]]


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Stripe refuse lines that are added together: they are added one by one then."""

    async def refuse(*args: Any, **kwargs: Any) -> None:
        raise PaymentRefused("not together", upstream_code="parameter_unknown")

    monkeypatch.setattr(StripeGateway, "add_lines", refuse)
