"""What is done about credits that are paid first: pages, cards, banks."""

from typing import Any, Final

from tests.services.steps import Customer, Json, do, price, quota, raw_id, sign_up, stripe_books
from tests.world import World

ORDER: Final = """id way status meter units price { amount } url expiresAt failure paidAt
    grant { id units remaining price { amount } } reversals { kind amount { amount } units taken isStanding }"""
CREATED: Final = price("documents_created", "tiered", fee="10.00", included=2, overage={"unitPrice": "0.35"})
TEN: Final = {"units": 10, "price": "9.00"}
HUNDRED: Final = {"units": 100, "price": "80.00"}
SHOP: Final = "https://shop.test"


async def customer_of(world: World, reference: str = "acme", policy: str = "TOP_UP", **more: Any) -> Customer:
    """A customer with two documents a month and packs of ten and a hundred."""
    limit = {**quota("documents_created", policy, 2), "topUpPacks": [TEN, HUNDRED], **more}
    return await sign_up(world, CREATED, quotas=[limit], reference=reference, code=reference)


async def rule_customer(world: World, **rule: Any) -> Customer:
    """One whose plan orders ten more below two, paid first."""
    terms = {"below": 2, "packUnits": 10, "monthlyCap": "18.00", "payment": "FIRST", **rule}
    return await customer_of(world, autoTopUp=terms)


async def open_checkout(customer: Customer, units: int = 10, key: str = "page", **more: Any) -> Json:
    wanted = {
        "tenantId": customer.id,
        "meter": "documents_created",
        "units": units,
        "successUrl": f"{SHOP}/done",
        "cancelUrl": f"{SHOP}/back",
        "idempotencyKey": key,
        **more,
    }
    return await do(customer.api, "createTopUpCheckout", f"checkout {{ {ORDER} }}", **wanted)


async def checkout(customer: Customer, units: int = 10, key: str = "page") -> Json:
    """An order whose page must open."""
    made = await open_checkout(customer, units, key)
    assert made["userErrors"] == []
    return dict(made["checkout"])


async def order(customer: Customer, order_id: str) -> Json:
    query = f"query ($id: ID!) {{ topUpOrder(id: $id) {{ {ORDER} }} }}"
    return dict((await customer.api.ask(query, id=order_id))["topUpOrder"])


async def orders(customer: Customer) -> list[Json]:
    query = f"query ($id: ID) {{ topUpOrders(tenantId: $id) {{ edges {{ node {{ {ORDER} }} }} }} }}"
    return [edge["node"] for edge in (await customer.api.ask(query, id=customer.id))["topUpOrders"]["edges"]]


async def act(world: World, shown: Json, outcome: str = "pay") -> Json:
    """What a person, or a bank, does on an order's page."""
    session = await session_of(world, shown)
    response = await world.stripe.post(f"/_sandbox/checkout/{session['id']}", json={"outcome": outcome})
    response.raise_for_status()
    return dict(response.json())


async def session_of(world: World, shown: Json) -> Json:
    """The Checkout session that an order's page belongs to."""
    [found] = [
        s
        for s in (await stripe_books(world))["checkout.session"]
        if s["client_reference_id"] == str(raw_id(shown["id"]))
    ]
    return dict(found)


async def call_stripe(world: World, path: str, key: str = "", /, **form: Any) -> Json:
    """A call of the operator's own, as from Stripe's dashboard; with an idempotency key if it may be repeated."""
    headers = {"authorization": "Bearer sk_test_inkmeter", **({"idempotency-key": key} if key else {})}
    response = await world.stripe.post(path, data=form, headers=headers)
    response.raise_for_status()
    return dict(response.json())


async def charge_of(world: World, payment_intent: str) -> str:
    [found] = [c["id"] for c in (await stripe_books(world))["charge"] if c["payment_intent"] == payment_intent]
    return str(found)


async def dispute(world: World, charge: str, status: str = "opened", **more: Any) -> Json:
    response = await world.stripe.post(f"/_sandbox/charges/{charge}/dispute", json={"status": status, **more})
    response.raise_for_status()
    return dict(response.json())


async def set_card(world: World, customer: Customer, card: str) -> None:
    """The customer's card from now on: success or decline."""
    [theirs] = [c for c in (await stripe_books(world))["customer"] if customer.tenant.email == c["email"]]
    (await world.stripe.post(f"/_sandbox/customers/{theirs['id']}/card", json={"card": card})).raise_for_status()


async def paid_order(world: World) -> tuple[Customer, Json, str]:
    """Ten documents for 9.00, paid; with the payment intent."""
    customer = await customer_of(world)
    made = await checkout(customer)
    session = await act(world, made)
    await world.work()
    return customer, made, session["payment_intent"]
