"""The sandbox answers as Stripe's API does: forms, errors, keys, pages, and shapes that its OpenAPI file accepts."""

from typing import Any

import httpx
import pytest

from integrations.stripe.sandbox.app import ENDPOINTS
from tests.integrations.stripe.conftest import API_KEY, World, answer_errors, new_world, paid_session

pytestmark = pytest.mark.anyio


NOT_IN_THE_SUBSET = {"/v1/checkout/sessions/{id}/expire", "/v1/disputes", "/v1/disputes/{id}"}
"""Paths of Stripe's API reference that our cut of its OpenAPI file leaves out."""


@pytest.mark.parametrize(
    "endpoint", [e for e in ENDPOINTS if e.path not in NOT_IN_THE_SUBSET], ids=lambda e: f"{e.method} {e.path}"
)
def test_stripe_has_every_path_and_parameter_of_the_sandbox(endpoint: Any, openapi: Any) -> None:
    operation = openapi.op(endpoint.method.lower(), endpoint.path.replace("{id}", "x_1"))
    if endpoint.method == "GET":
        known = {parameter["name"] for parameter in operation["parameters"]}
    else:
        [body] = operation["requestBody"]["content"].values()
        known = set(body["schema"].get("properties", ())) | {"expand"}
    assert set(endpoint.params.model_fields) <= known


async def test_every_kind_of_object_has_stripes_shape(openapi: object, world: World) -> None:
    await world.subscribe(1500)
    await world.post("/v1/webhook_endpoints", url="http://host/other", **{"enabled_events[]": "invoice.paid"})
    customer = (await world.books())["customer"][0]["id"]
    await world.post("/v1/invoiceitems", customer=customer, amount=100, currency="usd")
    [paid] = (await world.books())["invoice"]
    await world.post("/v1/credit_notes", invoice=paid["id"], amount=100, credit_amount=100)
    await world.post("/v1/billing_portal/sessions", customer=customer, return_url="http://host/")
    meter = {"display_name": "Sent", "event_name": "sent", "default_aggregation[formula]": "sum"}
    await world.post("/v1/billing/meters", **meter)
    charge = (await paid_session(world))["charge"]
    await world.post("/v1/refunds", charge=charge, amount=100)
    await world.control(f"charges/{charge}/dispute", status="opened", amount=100)
    books = await world.books()
    assert all(books.values()), "a kind without an object would not be checked"
    assert [error for kind in books.values() for stored in kind for error in answer_errors(stored)] == []


async def test_nested_forms_are_decoded(world: World) -> None:
    made = await world.post(
        "/v1/customers",
        **{
            "name": "Ä & Co",
            "metadata[a b]": "1",
            "invoice_settings[default_payment_method]": "pm_card_visa",
        },
    )
    assert made["name"] == "Ä & Co"
    assert made["metadata"]["a b"] == "1"
    assert made["invoice_settings"]["default_payment_method"].startswith("pm_")
    changed = await world.post(f"/v1/customers/{made['id']}", **{"metadata[a b]": "", "metadata[c]": "2"})
    assert changed["metadata"] == {"c": "2"}


@pytest.mark.parametrize(
    ("path", "form", "code", "param"),
    [
        ("/v1/customers", {"colour": "red"}, "parameter_unknown", "colour"),
        ("/v1/customers", {"invoice_settings[x]": "1"}, "parameter_unknown", "invoice_settings[x]"),
        ("/v1/customers", {"balance": "much"}, "parameter_invalid_integer", "balance"),
        ("/v1/products", {}, "parameter_missing", "name"),
        ("/v1/invoices", {"customer": "cus_none"}, "resource_missing", "customer"),
        ("/v1/customers", {"metadata[k]": "x" * 501}, None, "metadata"),
    ],
)
async def test_wrong_parameters_are_named(
    world: World, path: str, form: dict[str, str], code: str | None, param: str
) -> None:
    error = await world.refused("POST", path, **form)
    assert (error["status"], error["type"], error.get("code")) == (400, "invalid_request_error", code)
    assert error["param"] == param


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/payment_intents"), ("DELETE", "/v1/invoices")])
async def test_unknown_paths_are_refused_in_stripes_words(world: World, method: str, path: str) -> None:
    response = await world.http.request(method, path, headers={"authorization": f"Bearer {API_KEY}"})
    assert response.status_code == 404
    assert response.json()["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path})")


async def test_a_key_is_needed_and_may_come_as_basic_user(world: World) -> None:
    assert (await world.http.get("/v1/customers")).status_code == 401
    wrong = await world.http.get("/v1/customers", headers={"authorization": "Bearer sk_wrong"})
    assert wrong.status_code == 401
    assert (await world.http.get("/v1/customers", auth=(API_KEY, ""))).status_code == 200


async def test_a_key_repeats_the_first_answer_for_a_day(world: World) -> None:
    first = await world.call("POST", "/v1/customers", "k", name="Acme")
    again = await world.call("POST", "/v1/customers", "k", name="Acme")
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    for path, form in (("/v1/customers", {"name": "Other"}), ("/v1/products", {"name": "Acme"})):
        other = await world.call("POST", path, "k", **form)
        assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


async def test_a_key_remembers_failures_that_were_carried_out_but_not_wrong_parameters(world: World) -> None:
    assert (await world.call("POST", "/v1/customers", "k1", colour="red")).status_code == 400
    assert (await world.call("POST", "/v1/customers", "k1", name="Acme")).status_code == 200
    await world.control("faults", kind="500_remembered")
    for _ in range(2):
        assert (await world.call("POST", "/v1/customers", "k2", name="Acme")).status_code == 500
    await world.control("faults", kind="500")
    assert (await world.call("POST", "/v1/customers", "k3", name="Acme")).status_code == 500
    assert (await world.call("POST", "/v1/customers", "k3", name="Acme")).status_code == 200


async def test_faults_meet_only_what_they_name(world: World) -> None:
    await world.control("faults", kind="500", path_prefix="/v1/products", method="POST")
    await world.post("/v1/customers")
    assert (await world.get("/v1/products"))["data"] == []
    assert (await world.call("POST", "/v1/products", name="x")).status_code == 500
    assert (await world.call("POST", "/v1/products", name="x")).status_code == 200


async def test_a_lost_answer_breaks_the_connection_after_the_effect(world: World) -> None:
    await world.control("faults", kind="timeout_after")
    with pytest.raises(httpx.ReadTimeout):
        await world.call("POST", "/v1/customers", name="Acme")
    await world.control("faults", kind="timeout_before")
    with pytest.raises(httpx.ReadTimeout):
        await world.call("POST", "/v1/customers", name="Other")
    assert [c["name"] for c in (await world.books())["customer"]] == ["Acme"]


async def test_lists_are_newest_first_and_paged_both_ways(world: World) -> None:
    ids = [(await world.post("/v1/products", name=str(n)))["id"] for n in range(5)][::-1]
    first = await world.get("/v1/products", limit=2)
    assert ([p["id"] for p in first["data"]], first["has_more"]) == (ids[:2], True)
    rest = await world.get("/v1/products", limit=3, starting_after=ids[1])
    assert ([p["id"] for p in rest["data"]], rest["has_more"]) == (ids[2:], False)
    before = await world.get("/v1/products", limit=1, ending_before=ids[2])
    assert ([p["id"] for p in before["data"]], before["has_more"]) == (ids[1:2], True)
    assert (await world.refused("GET", "/v1/products", limit=101))["param"] == "limit"
    assert (await world.refused("GET", "/v1/products", starting_after="prod_x"))["code"] == "resource_missing"


async def test_a_lookup_key_belongs_to_one_price_and_can_be_moved(world: World) -> None:
    product = (await world.post("/v1/products", name="Business"))["id"]
    terms = {"product": product, "currency": "usd", "unit_amount": 100, "lookup_key": "base"}
    first = await world.post("/v1/prices", **terms)
    assert (await world.refused("POST", "/v1/prices", **terms))["param"] == "lookup_key"
    second = await world.post("/v1/prices", transfer_lookup_key="true", **terms)
    found = await world.get("/v1/prices", **{"lookup_keys[]": "base"})
    assert [price["id"] for price in found["data"]] == [second["id"]]
    assert (await world.get(f"/v1/prices/{first['id']}"))["lookup_key"] is None


@pytest.mark.parametrize(("mode", "total"), [("graduated", 65), ("volume", 45)])
async def test_tiers_and_exact_amounts(world: World, mode: str, total: int) -> None:
    """15 units on 10 at 5 and the rest at 3, in minor units."""
    product = (await world.post("/v1/products", name="Seats"))["id"]
    tiers = {"tiers[0][up_to]": "10", "tiers[0][unit_amount]": "5", "tiers[1][up_to]": "inf"}
    terms = {"billing_scheme": "tiered", "tiers_mode": mode, "recurring[interval]": "month", **tiers}
    price = await world.post(
        "/v1/prices", product=product, currency="usd", **terms, **{"tiers[1][unit_amount_decimal]": "3.00"}
    )
    assert price["tiers"][1]["unit_amount_decimal"] == "3"
    customer = (await world.post("/v1/customers"))["id"]
    order = {"items[0][price]": price["id"], "items[0][quantity]": 15}
    await world.post("/v1/subscriptions", customer=customer, **order)
    [invoice] = (await world.books())["invoice"]
    assert invoice["total"] == total


async def test_metered_prices_are_refused_without_a_meter(world: World) -> None:
    product = (await world.post("/v1/products", name="Documents"))["id"]
    terms = {"recurring[interval]": "month", "recurring[usage_type]": "metered", "unit_amount": 1}
    error = await world.refused("POST", "/v1/prices", product=product, currency="usd", **terms)
    assert "must be backed by meters" in error["message"]


async def test_ids_expand_where_asked(world: World) -> None:
    subscription = await world.subscribe(1500)
    shown = await world.get(
        f"/v1/subscriptions/{subscription['id']}", **{"expand[]": ["customer", "latest_invoice.customer"]}
    )
    assert shown["customer"]["object"] == "customer"
    assert shown["latest_invoice"]["customer"]["object"] == "customer"
    listed = await world.get("/v1/invoices", **{"expand[0]": "data.customer"})
    assert listed["data"][0]["customer"]["email"] == "billing@acme.test"
    assert isinstance((await world.get(f"/v1/subscriptions/{subscription['id']}"))["customer"], str)


async def test_a_deleted_customer_is_a_stub_and_ends_its_subscriptions(world: World) -> None:
    subscription = await world.subscribe()
    customer = subscription["customer"]
    response = await world.call("DELETE", f"/v1/customers/{customer}")
    assert response.json() == {"id": customer, "object": "customer", "deleted": True}
    assert (await world.get(f"/v1/customers/{customer}"))["deleted"] is True
    assert (await world.get("/v1/customers"))["data"] == []
    assert (await world.get(f"/v1/subscriptions/{subscription['id']}"))["status"] == "canceled"
    assert (await world.refused("POST", "/v1/invoices", customer=customer))["code"] == "resource_missing"


async def test_the_secret_of_an_endpoint_is_shown_once(world: World) -> None:
    wanted = {"url": "http://host/x", "enabled_events[0]": "invoice.paid"}
    made = await world.post("/v1/webhook_endpoints", **wanted)
    assert made["secret"].startswith("whsec_")
    assert "secret" not in await world.get(f"/v1/webhook_endpoints/{made['id']}")
    gone = await world.call("DELETE", f"/v1/webhook_endpoints/{made['id']}")
    assert gone.json()["deleted"] is True
    assert len((await world.get("/v1/webhook_endpoints"))["data"]) == 1


async def test_subscriptions_change_their_quantity_and_are_listed_by_status(world: World) -> None:
    subscription = await world.subscribe(1500)
    item, path = subscription["items"]["data"][0]["id"], f"/v1/subscriptions/{subscription['id']}"
    change = {"items[0][id]": item, "items[0][quantity]": 3}
    assert (await world.refused("POST", path, **change))["param"] == "proration_behavior"
    changed = await world.post(path, proration_behavior="none", **change, **{"metadata[k]": "v"})
    assert (changed["items"]["data"][0]["quantity"], changed["metadata"]) == (3, {"k": "v"})
    await world.post(f"/v1/subscription_items/{item}", quantity=4, proration_behavior="none")
    [listed] = (await world.get("/v1/subscription_items", subscription=subscription["id"]))["data"]
    assert listed["quantity"] == 4
    assert (await world.call("DELETE", path)).json()["status"] == "canceled"
    assert (await world.get("/v1/subscriptions"))["data"] == []
    assert len((await world.get("/v1/subscriptions", status="all"))["data"]) == 1
    assert (await world.call("DELETE", path)).status_code == 404


async def test_cards_come_from_test_tokens(world: World) -> None:
    customer = (await world.post("/v1/customers", payment_method="pm_card_chargeCustomerFail"))["id"]
    attached = await world.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)
    methods = (await world.get("/v1/payment_methods", customer=customer))["data"]
    assert [method["card"]["last4"] for method in methods] == ["4242", "0341"]
    setting = {"invoice_settings[default_payment_method]": attached["id"]}
    changed = await world.post(f"/v1/customers/{customer}", **setting)
    assert changed["invoice_settings"]["default_payment_method"] == attached["id"]


@pytest.mark.parametrize(("card", "digits"), [("success", "4242"), ("decline", "0341"), ("none", None)])
async def test_new_customers_get_the_default_card(card: str, digits: str | None) -> None:
    async with new_world(default_card=card) as world:
        await world.post("/v1/customers")
        methods = (await world.books())["payment_method"]
        assert [method["card"]["last4"] for method in methods] == ([digits] if digits else [])


async def test_reset_forgets_everything_but_the_settings(world: World) -> None:
    await world.subscribe()
    await world.control("reset")
    books = await world.books()
    assert [kind for kind, stored in books.items() if stored] == ["webhook_endpoint"]


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("clock", {"now": "2027-01-01T00:00:00"}),
        ("faults", {"kind": "teapot"}),
        ("webhooks", {"drop": -1}),
        ("customers/cus_x/card", {"card": "success"}),
    ],
)
async def test_the_control_plane_refuses_what_it_does_not_understand(
    world: World, path: str, order: dict[str, object]
) -> None:
    response = await world.http.post(f"/_sandbox/{path}", json=order)
    assert response.status_code in (400, 404)
    assert response.json()["error"]["message"]
