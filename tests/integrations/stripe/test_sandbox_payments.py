"""Checkout sessions, refunds and disputes of the sandbox."""

from datetime import timedelta

import pytest

from tests.integrations.stripe.conftest import START, World, open_session, paid_session

pytestmark = pytest.mark.anyio


async def types_about(world: World, noun: str) -> list[str]:
    await world.control("flush")
    return [kind for kind in world.inbox.types() if kind.startswith(noun)]


async def test_a_session_is_paid_on_its_page(world: World) -> None:
    session = await open_session(world, client_reference_id="order-1", cancel_url="http://shop.test/back")
    assert (session["status"], session["payment_status"], session["payment_intent"]) == ("open", "unpaid", None)
    page = await world.http.get(session["url"])
    assert page.status_code == 200
    assert 'href="http://shop.test/back"' in page.text
    declined = await world.http.post(session["url"], data={"outcome": "fail"})
    assert "declined" in declined.text
    paid = await world.http.post(session["url"], data={"outcome": "pay"})
    assert (paid.status_code, paid.headers["location"]) == (303, f"http://shop.test/done?id={session['id']}")
    now = await world.get(f"/v1/checkout/sessions/{session['id']}", **{"expand[]": "payment_intent"})
    assert (now["status"], now["payment_status"], now["url"]) == ("complete", "paid", None)
    assert (now["payment_intent"]["status"], now["payment_intent"]["amount_received"]) == ("succeeded", 900)
    assert await types_about(world, "checkout") == ["checkout.session.completed"]
    assert (await world.http.post(f"/_sandbox/checkout/{session['id']}", json={"outcome": "pay"})).status_code == 400


async def test_a_bank_takes_its_time(world: World) -> None:
    for outcome, status in (("async_paid", "paid"), ("async_failed", "unpaid")):
        session = await open_session(world)
        waiting = await world.control(f"checkout/{session['id']}", outcome="async")
        assert (waiting["status"], waiting["payment_status"]) == ("complete", "unpaid")
        assert (await world.control(f"checkout/{session['id']}", outcome=outcome))["payment_status"] == status
    kinds = await types_about(world, "checkout.session.async")
    assert kinds == ["checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed"]


async def test_a_session_expires(world: World) -> None:
    first, second = await open_session(world), await open_session(world)
    assert (await world.post(f"/v1/checkout/sessions/{first['id']}/expire"))["status"] == "expired"
    assert (await world.refused("POST", f"/v1/checkout/sessions/{first['id']}/expire"))["status"] == 400
    await world.travel(START + timedelta(hours=24))
    listed = await world.get("/v1/checkout/sessions", status="expired")
    assert [s["id"] for s in listed["data"]] == [second["id"], first["id"]]
    assert await types_about(world, "checkout") == ["checkout.session.expired"] * 2


async def test_sessions_that_stripe_refuses(world: World) -> None:
    item = {
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": 900,
        "line_items[0][price_data][product_data][name]": "Ten",
    }
    done = "http://shop.test"
    for form, param in (
        ({"success_url": done, **item}, "mode"),
        ({"mode": "payment", **item}, "success_url"),
        ({"mode": "payment", "success_url": done, **item, "colour": "red"}, "colour"),
        ({"mode": "payment", "success_url": done, **item, "customer": "cus_none"}, "customer"),
        ({"mode": "payment", "success_url": done, **item, "expires_at": int(START.timestamp()) + 60}, "expires_at"),
    ):
        assert (await world.refused("POST", "/v1/checkout/sessions", **form))["param"] == param
    small = {**item, "line_items[0][price_data][unit_amount]": 49}
    error = await world.refused("POST", "/v1/checkout/sessions", mode="payment", success_url=done, **small)
    assert error["code"] == "amount_too_small"


async def test_no_more_is_refunded_than_was_paid(world: World) -> None:
    paid = await paid_session(world)
    part = await world.post("/v1/refunds", payment_intent=paid["intent"], amount=300)
    assert (part["charge"], part["status"]) == (paid["charge"], "succeeded")
    assert (await world.refused("POST", "/v1/refunds", charge=paid["charge"], amount=601))["param"] == "amount"
    assert (await world.post("/v1/refunds", charge=paid["charge"]))["amount"] == 600
    error = await world.refused("POST", "/v1/refunds", charge=paid["charge"])
    assert error["code"] == "charge_already_refunded"
    await world.control(f"refunds/{part['id']}/fail")
    assert (await world.get(f"/v1/refunds/{part['id']}"))["status"] == "failed"
    listed = await world.get("/v1/refunds", payment_intent=paid["intent"])
    assert [refund["amount"] for refund in listed["data"]] == [600, 300]
    kinds = ["refund.created", "refund.created", "refund.updated", "refund.failed"]
    assert await types_about(world, "refund") == kinds
    assert await types_about(world, "charge") == ["charge.refunded"] * 2


async def test_a_dispute_is_opened_and_decided(world: World) -> None:
    paid = await paid_session(world)
    opened = await world.control(f"charges/{paid['charge']}/dispute", status="opened")
    shown = await world.get(f"/v1/disputes/{opened['id']}")
    assert (shown["status"], shown["amount"], shown["payment_intent"]) == ("needs_response", 900, paid["intent"])
    await world.control(f"charges/{paid['charge']}/dispute", status="won")
    assert (await world.get(f"/v1/disputes/{opened['id']}"))["status"] == "won"
    assert await types_about(world, "charge.dispute") == ["charge.dispute.created", "charge.dispute.closed"]


async def test_an_invoice_has_a_payment_once_it_was_charged(world: World) -> None:
    customer = (await world.post("/v1/customers"))["id"]
    draft = await world.post("/v1/invoices", customer=customer, currency="usd")
    await world.post("/v1/invoiceitems", customer=customer, invoice=draft["id"], amount=900)
    await world.control(f"customers/{customer}/card", card="decline")
    await world.post(f"/v1/invoices/{draft['id']}/finalize", auto_advance="false")
    assert (await world.refused("POST", f"/v1/invoices/{draft['id']}/pay"))["status"] == 402
    [payment] = (await world.get("/v1/invoice_payments", invoice=draft["id"]))["data"]
    assert (payment["status"], payment["amount_requested"]) == ("open", 900)
    await world.control(f"customers/{customer}/card", card="success")
    [paid] = (await world.get("/v1/invoice_payments", status="paid"))["data"]
    assert (paid["id"], paid["amount_paid"]) == (payment["id"], 900)
    intent = payment["payment"]["payment_intent"]
    query = {"payment[type]": "payment_intent", "payment[payment_intent]": intent}
    [found] = (await world.get("/v1/invoice_payments", **query))["data"]
    assert found["invoice"] == draft["id"]
