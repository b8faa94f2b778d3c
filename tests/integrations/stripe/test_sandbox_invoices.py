"""Money traps of Stripe's invoices that the sandbox reproduces."""

from datetime import timedelta
from typing import Any

import pytest

from tests.integrations.stripe.conftest import START, World, new_world

pytestmark = pytest.mark.anyio


async def a_draft(world: World, customer: str, *amounts: int, currency: str = "usd", **form: Any) -> dict[str, Any]:
    draft = await world.post("/v1/invoices", customer=customer, currency=currency, **form)
    for amount in amounts:
        await world.post("/v1/invoiceitems", customer=customer, invoice=draft["id"], amount=amount)
    return await world.get(f"/v1/invoices/{draft['id']}")


async def finalized(world: World, customer: str, *amounts: int, **form: Any) -> dict[str, Any]:
    draft = await a_draft(world, customer, *amounts, **form)
    await world.post(f"/v1/invoices/{draft['id']}/finalize", auto_advance="true")
    return await world.get(f"/v1/invoices/{draft['id']}")


@pytest.fixture
async def customer(world: World) -> str:
    return str((await world.post("/v1/customers"))["id"])


async def balance(world: World, customer: str) -> int:
    return int((await world.get(f"/v1/customers/{customer}"))["balance"])


async def test_a_total_below_the_smallest_charge_is_owed_on_the_next_invoice(world: World, customer: str) -> None:
    small = await finalized(world, customer, 30)
    assert (small["status"], small["amount_due"], small["amount_paid"]) == ("paid", 0, 0)
    assert (small["starting_balance"], small["ending_balance"]) == (0, 30)
    assert await balance(world, customer) == 30
    following = await finalized(world, customer, 500)
    assert (following["total"], following["amount_due"], following["amount_paid"]) == (500, 530, 530)
    assert await balance(world, customer) == 0


async def test_a_negative_total_becomes_credit_for_the_next_invoice(world: World, customer: str) -> None:
    credit = await finalized(world, customer, 100, -800)
    assert (credit["status"], credit["total"], credit["amount_due"]) == ("paid", -700, 0)
    assert await balance(world, customer) == -700
    following = await finalized(world, customer, 1000)
    assert (following["amount_due"], following["amount_paid"]) == (300, 300)
    assert await balance(world, customer) == 0


@pytest.mark.parametrize(("currency", "amount", "due"), [("jpy", 49, 0), ("jpy", 50, 50), ("gbp", 30, 30)])
async def test_the_smallest_charge_depends_on_the_currency(
    world: World, customer: str, currency: str, amount: int, due: int
) -> None:
    assert (await finalized(world, customer, amount, currency=currency))["amount_due"] == due


async def test_nothing_due_is_paid_without_a_card() -> None:
    async with new_world(default_card="none") as world:
        customer = (await world.post("/v1/customers"))["id"]
        empty = await finalized(world, customer)
        assert (empty["status"], empty["attempt_count"]) == ("paid", 0)


async def test_pending_items_stay_pending_unless_an_invoice_asks_for_them(world: World, customer: str) -> None:
    item = await world.post("/v1/invoiceitems", customer=customer, amount=900, currency="usd")
    assert (await a_draft(world, customer))["total"] == 0
    pending = await world.get("/v1/invoiceitems", pending="true")
    assert [entry["id"] for entry in pending["data"]] == [item["id"]]
    including = await a_draft(world, customer, 100, pending_invoice_items_behavior="include")
    assert [line["amount"] for line in including["lines"]["data"]] == [900, 100]
    assert (await world.get("/v1/invoiceitems", pending="true"))["data"] == []


async def test_an_api_made_invoice_stays_a_draft_for_ever(world: World, customer: str) -> None:
    draft = await a_draft(world, customer, 500)
    assert (draft["auto_advance"], draft["automatically_finalizes_at"]) == (False, None)
    await world.travel(START + timedelta(days=20))
    assert (await world.get(f"/v1/invoices/{draft['id']}"))["status"] == "draft"


async def test_lines_change_only_in_a_draft(world: World, customer: str) -> None:
    draft = await a_draft(world, customer, 500, 700)
    items = (await world.get("/v1/invoiceitems", invoice=draft["id"]))["data"]
    gone = await world.call("DELETE", f"/v1/invoiceitems/{items[0]['id']}")
    assert gone.json() == {"id": items[0]["id"], "object": "invoiceitem", "deleted": True}
    assert (await world.get(f"/v1/invoices/{draft['id']}"))["total"] == 500
    await world.post(f"/v1/invoices/{draft['id']}/finalize")
    path, late = f"/v1/invoiceitems/{items[1]['id']}", {"customer": customer, "invoice": draft["id"], "amount": 1}
    for method, where, form in (("POST", "/v1/invoiceitems", late), ("DELETE", path, {})):
        assert (await world.refused(method, where, **form))["code"] == "invoice_not_editable"
    again = await world.refused("POST", f"/v1/invoices/{draft['id']}/finalize")
    assert again["status"] == 400


@pytest.mark.parametrize("form", [{"currency": "eur"}, {"customer": "other"}])
async def test_an_item_must_fit_its_invoice(world: World, customer: str, form: dict[str, str]) -> None:
    draft = await a_draft(world, customer)
    if "customer" in form:
        form = {"customer": (await world.post("/v1/customers"))["id"]}
    order = {"customer": customer, "invoice": draft["id"], "amount": 100, **form}
    assert (await world.refused("POST", "/v1/invoiceitems", **order))["status"] == 400


async def test_an_invoice_holds_250_items(world: World, customer: str) -> None:
    draft = await a_draft(world, customer, *([1] * 250))
    order = {"customer": customer, "invoice": draft["id"], "amount": 1}
    assert "250" in (await world.refused("POST", "/v1/invoiceitems", **order))["message"]
    assert (len(draft["lines"]["data"]), draft["lines"]["has_more"], draft["total"]) == (10, True, 250)
    page = await world.get(f"/v1/invoices/{draft['id']}/lines", limit=100)
    last = await world.get(f"/v1/invoices/{draft['id']}/lines", limit=100, starting_after=page["data"][-1]["id"])
    assert (len(page["data"]), len(last["data"]), last["has_more"]) == (100, 100, True)


async def test_finalizing_answers_open_and_charges_afterwards(world: World, customer: str) -> None:
    draft = await a_draft(world, customer, 500)
    answered = await world.post(f"/v1/invoices/{draft['id']}/finalize", auto_advance="true")
    assert (answered["status"], answered["amount_paid"]) == ("open", 0)
    assert (await world.get(f"/v1/invoices/{draft['id']}"))["status"] == "paid"


async def test_without_auto_advance_an_open_invoice_waits_for_pay(world: World, customer: str) -> None:
    draft = await a_draft(world, customer, 500)
    path = f"/v1/invoices/{draft['id']}"
    await world.post(f"{path}/finalize")
    await world.travel(START + timedelta(days=9))
    assert (await world.get(path))["attempt_count"] == 0
    assert (await world.post(f"{path}/pay"))["status"] == "paid"
    assert (await world.refused("POST", f"{path}/pay"))["message"] == "Invoice is already paid"


async def test_a_declined_payment_is_a_card_error_that_counts_as_an_attempt(world: World, customer: str) -> None:
    await world.control(f"customers/{customer}/card", card="decline")
    draft = await a_draft(world, customer, 500)
    error = await world.refused("POST", f"/v1/invoices/{draft['id']}/pay")
    assert (error["status"], error["type"], error["code"]) == (402, "card_error", "card_declined")
    failed = await world.get(f"/v1/invoices/{draft['id']}")
    assert (failed["status"], failed["attempted"], failed["attempt_count"]) == ("open", True, 1)
    paid = await world.post(f"/v1/invoices/{draft['id']}/pay", payment_method="pm_card_visa")
    assert (paid["status"], paid["attempt_count"]) == ("paid", 2)


async def test_money_may_come_out_of_band(world: World, customer: str) -> None:
    draft = await a_draft(world, customer, 500)
    paid = await world.post(f"/v1/invoices/{draft['id']}/pay", paid_out_of_band="true")
    assert (paid["status"], paid["amount_paid"], paid["attempt_count"]) == ("paid", 500, 0)


async def test_open_invoices_can_be_given_up(world: World, customer: str) -> None:
    await world.control(f"customers/{customer}/card", card="none")
    first, second = [(await finalized(world, customer, 500))["id"] for _ in range(2)]
    assert (await world.post(f"/v1/invoices/{first}/void"))["status"] == "void"
    assert (await world.post(f"/v1/invoices/{second}/mark_uncollectible"))["status"] == "uncollectible"
    assert (await world.refused("POST", f"/v1/invoices/{first}/pay"))["status"] == 400
    await world.control(f"customers/{customer}/card", card="success")
    assert (await world.post(f"/v1/invoices/{second}/pay"))["status"] == "paid"
    await world.control("flush")
    assert {"invoice.voided", "invoice.marked_uncollectible", "invoice.payment_failed"} <= set(world.inbox.types())


async def test_invoices_are_listed_by_what_they_are(world: World, customer: str) -> None:
    draft, paid = await a_draft(world, customer, 500), await finalized(world, customer, 500)
    assert [i["id"] for i in (await world.get("/v1/invoices", status="paid"))["data"]] == [paid["id"]]
    assert [i["id"] for i in (await world.get("/v1/invoices", status="draft"))["data"]] == [draft["id"]]
    assert len((await world.get("/v1/invoices", customer=customer))["data"]) == 2
    later = {"created[gt]": int(START.timestamp())}
    assert (await world.get("/v1/invoices", **later))["data"] == []
    assert (await world.refused("GET", "/v1/invoices", subscription="sub_x"))["code"] == "resource_missing"
