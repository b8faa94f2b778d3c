"""Automatic tax: Stripe adds it, our books stay without, and a tenant without an address is asked for one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from storage.tenants import Tenant
from tests.services.spoiling import kept, reconcile
from tests.services.steps import Customer, Json, do, problems, provision, refused, stripe_books
from tests.services.terms import FEE, billed, plan_of
from tests.world import World, open_world

pytestmark = pytest.mark.anyio

APRIL = datetime(2026, 4, 10, tzinfo=UTC)
ADDRESS = {"country": "US", "postalCode": "97201", "line1": "1 Main St", "city": "Portland", "state": "OR"}


@pytest.fixture
async def taxed(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url, automatic_tax=True) as world:
        (await world.stripe.post("/_sandbox/tax", json={"percent": 20})).raise_for_status()
        yield world


async def move(customer: Customer, address: Json) -> Json:
    selection = "tenant { address { country postalCode line1 city state } }"
    return await do(customer.api, "updateTenant", selection, tenantId=customer.id, address=address)


async def test_tax_is_added_at_stripe_alone(taxed: World) -> None:
    customer = await provision(taxed)
    assert (await move(customer, ADDRESS))["tenant"] == {"address": ADDRESS}
    await customer.subscribe(await plan_of(taxed, FEE, fees="ADVANCE"))
    await taxed.work()
    await taxed.travel_to(APRIL)
    await taxed.work()
    await taxed.travel_to(APRIL + timedelta(hours=1))
    await taxed.work()
    books = await stripe_books(taxed)
    assert [(i["subtotal"], i["total"], i["status"]) for i in books["invoice"]] == [(6000, 7200, "paid")] * 2
    assert [s["automatic_tax"]["enabled"] for s in books["subscription"]] == [True]
    assert [(i["total"]["amount"], i["state"]) for i in await billed(customer)] == [("60.00", "PAID")] * 2
    assert (await reconcile(taxed))["isClean"]


async def test_no_subscription_without_an_address(taxed: World) -> None:
    customer, plan = await provision(taxed), await plan_of(taxed, FEE)
    error = refused(await customer.subscribe(plan))
    assert (error["code"], error["path"]) == ("CONFLICT", ["tenantId"])
    assert "updateTenant" in error["message"]


async def test_an_address_that_stripe_does_not_recognize_holds_the_invoice(taxed: World) -> None:
    customer = await provision(taxed)
    await move(customer, ADDRESS)
    [theirs] = (await stripe_books(taxed))["customer"]
    taxed.stripe._transport.app.state.account.books.get("customer", theirs["id"])["address"] = None  # type: ignore[attr-defined]
    await customer.subscribe(await plan_of(taxed, FEE, fees="ADVANCE"))
    await taxed.work()
    [row] = await kept(taxed)
    assert (row["kind"], row["state"]) == ("FINALIZATION", "OPEN")
    assert [i["state"] for i in await billed(customer)] == ["FINALIZED"]
    await move(customer, ADDRESS)
    await taxed.work()
    assert [i["state"] for i in await billed(customer)] == ["PAID"]
    assert [row["state"] for row in await kept(taxed)] == ["RESOLVED"]
    assert [i["total"] for i in (await stripe_books(taxed))["invoice"]] == [7200]


async def test_too_much_on_a_taxed_invoice_is_left_to_people(taxed: World) -> None:
    customer = await provision(taxed)
    await move(customer, ADDRESS)
    await customer.subscribe(await plan_of(taxed, FEE, fees="ADVANCE"))
    await taxed.work()
    [theirs] = (await stripe_books(taxed))["invoice"]
    order = {"do": "change", "amount": 7000}
    (await taxed.stripe.post(f"/_sandbox/invoices/{theirs['id']}/line", json=order)).raise_for_status()
    [found] = (await reconcile(taxed, repair=True))["differences"]
    assert (found["kind"], found["repair"]) == ("AMOUNT", None)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"country": "us"}, "address.country"),
        ({"country": "Utopia"}, "address.country"),
        ({"city": "\x07"}, "address.city"),
        ({"postalCode": None, "city": ""}, "address"),
        ({"line1": "x" * 201}, "address.line1"),
    ],
)
async def test_addresses_that_are_none(world: World, change: Json, path: str) -> None:
    customer = await provision(world)
    assert list(problems(await move(customer, {**ADDRESS, **change}))) == [path]
    assert (await Tenant.get(id=customer.tenant.id)).address is None
