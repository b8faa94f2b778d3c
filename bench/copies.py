"""Many tenants like one, made in milliseconds each: its rows are copied, and so are its customer and subscription."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services import periods
from services.tenants import Tenant
from storage.database import row, rows, transaction
from storage.ids import new_id
from storage.subscriptions import Subscription
from tests.world import World

STRIPE: Final = {"authorization": "Bearer sk_test_inkmeter"}
TABLES: Final = ("subscription", "phase", "billing_period", "usage_event", "usage_counter", "job")
AT_ONCE: Final = 200


async def copy_tenant(world: World, model: Tenant, count: int) -> None:
    """So many more tenants with the plan, the running period and the usage of `model`, and what they have at Stripe.

    Stripe's events of their making are dropped.
    """
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1_000_000_000})
    tenant = await row("SELECT * FROM tenant WHERE id = ?", model.id) or {}
    kept = {table: await rows(f"SELECT * FROM {table} WHERE tenant_id = ?", model.id) for table in TABLES}
    kept["job"] = [job for job in kept["job"] if job["topic"] == periods.CLOSE]
    subscription = await Subscription.get(tenant_id=model.id)
    period = await periods.current_period(world.platform, subscription)
    for start in range(1, count + 1, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count + 1))
        made = [await _at_stripe(world, subscription, period.ends_at, number) for number in numbers]
        async with transaction():
            for number, (customer_id, subscription_id) in zip(numbers, made, strict=True):
                names: dict[Any, Any] = {
                    tenant["stripe_customer_id"]: customer_id,
                    subscription.stripe_subscription_id: subscription_id,
                    tenant["external_reference"]: f"copy-{number}",
                    tenant["signnow_folder_id"]: f"copy-{number}",
                }
                await _copy(tenant, kept, names)
        await world.stripe.post("/_sandbox/flush")
    await world.stripe.post("/_sandbox/webhooks", json={})


async def _at_stripe(world: World, like: Subscription, anchor: datetime, number: int) -> tuple[str, str]:
    model = (await world.stripe.get(f"/v1/subscriptions/{like.stripe_subscription_id}", headers=STRIPE)).json()
    customer = await world.stripe.post("/v1/customers", headers=STRIPE, data={"email": f"{number}@copies.test"})
    data = {
        "customer": customer.json()["id"],
        "items[0][price]": model["items"]["data"][0]["price"]["id"],
        "items[0][quantity]": 1,
        "billing_cycle_anchor": int(anchor.timestamp()),
        "proration_behavior": "none",
    }
    subscription = await world.stripe.post("/v1/subscriptions", headers=STRIPE, data=data)
    return customer.json()["id"], subscription.raise_for_status().json()["id"]


async def _copy(tenant: Mapping[str, Any], kept: Mapping[str, list[dict[str, Any]]], names: dict[Any, Any]) -> None:
    """Every id is another, also where it is a part of a text."""
    ids = {str(entry["id"]) for entries in kept.values() for entry in entries if "id" in entry}
    names |= {old: str(new_id()) for old in {*ids, str(tenant["public_id"])}}

    def named(value: Any) -> Any:
        text = str(value) if isinstance(value, str | UUID) else None
        return value if text is None else names.get(text, value)

    columns = {name: named(value) for name, value in tenant.items() if name != "id"}
    added = await _insert("tenant", columns, " RETURNING id")
    for table, entries in kept.items():
        for entry in entries:
            copied = {name: named(value) for name, value in entry.items()}
            await _insert(table, {**copied, "tenant_id": added[0]["id"]})


async def _insert(table: str, columns: Mapping[str, Any], end: str = "") -> list[dict[str, Any]]:
    marks = ", ".join("?" * len(columns))
    return await rows(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}){end}", *columns.values())
