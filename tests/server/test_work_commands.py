"""`inkmeter jobs`, `webhooks`, `report-usage` and `mirror` as processes, against a sandbox over HTTP."""

import asyncio
import subprocess
from datetime import UTC, datetime
from uuid import uuid4

import orjson
import pytest

from inkmeter.clock import FrozenClock
from integrations.protocols import StripeEvent
from services import plans, subscriptions, timetable, usage, webhooks
from services.intake import NewEvent
from services.plans import CreatePlan, NewPrice, StripeMode
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, provision_tenant
from storage.database import rows
from storage.jobs import enqueue_job
from storage.webhooks import WebhookEvent
from tests.crash.conftest import City
from tests.crash.conftest import city as city
from tests.server.command_line import complaint, run
from tests.services.steps import global_id

pytestmark = pytest.mark.anyio

TROUBLE = "UpstreamTimeout: [/red] no answer [x]"


async def command(city: City, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        run,
        *arguments,
        database_url=city.place.database_url,
        stripe_api_base=city.place.stripe_url,
        stripe_api_key="sk_test_inkmeter",
    )


async def give_up(topic: str) -> None:
    await rows("UPDATE job SET state = 'FAILED', attempts = 20, last_error = ? WHERE topic = ?", TROUBLE, topic)


async def states(topic: str) -> list[str]:
    found = await rows("SELECT state FROM job WHERE topic = ? ORDER BY dedup", topic)
    return [str(job["state"]) for job in found]


async def test_jobs_that_were_given_up(city: City) -> None:
    none = await command(city, "jobs")
    assert (none.returncode, none.stdout) == (0, "no job was given up\n")
    for dedup in ("a", "b", "c"):
        await enqueue_job(tenant_id=1, topic="invoice.push", dedup=dedup, payload={}, now=city.clock.now())
    await give_up("invoice.push")
    listed = await command(city, "jobs")
    assert (listed.returncode, listed.stdout.count("invoice.push"), listed.stdout.count("[/red]")) == (0, 3, 3), listed
    first, *_ = await rows("SELECT id FROM job WHERE topic = 'invoice.push' ORDER BY dedup")
    one = await command(city, "jobs", "--retry", global_id("Job", first["id"]))
    assert (one.returncode, one.stdout) == (0, "invoice.push a runs again\n")
    assert await states("invoice.push") == ["WAITING", "FAILED", "FAILED"]
    again = await command(city, "jobs", "--retry", str(first["id"]))
    assert complaint(again) == "the job is WAITING, not FAILED"
    everything = await command(city, "jobs", "--retry-all")
    assert (everything.returncode, everything.stdout) == (0, "2 jobs run again\n")
    assert await states("invoice.push") == ["WAITING"] * 3


async def test_ids_that_are_none(city: City) -> None:
    assert complaint(await command(city, "jobs", "--retry", "x")) == "that is not an id of this list"
    assert complaint(await command(city, "jobs", "--retry", str(uuid4()))) == "There is no such Job"
    of_another = global_id("Job", uuid4())
    assert complaint(await command(city, "webhooks", "--replay", of_another)) == "that is not an id of this list"


async def test_deliveries_that_were_given_up(city: City) -> None:
    none = await command(city, "webhooks")
    assert (none.returncode, none.stdout) == (0, "every delivery was applied, or will be\n")
    for number in range(3):
        event = StripeEvent(f"evt_{number}", "invoice.paid", None, "invoice", "in_x", city.clock.now())
        await webhooks.store_stripe(city.platform, event, orjson.dumps({"id": event.id}))
    await give_up(webhooks.APPLY)
    listed = await command(city, "webhooks")
    assert (listed.returncode, listed.stdout.count("invoice.paid"), listed.stdout.count("[/red]")) == (0, 3, 3), listed
    first = await WebhookEvent.get(key="evt_0")
    one = await command(city, "webhooks", "--replay", str(first.id))
    assert (one.returncode, one.stdout) == (0, "invoice.paid evt_0 is applied again\n")
    everything = await command(city, "webhooks", "--replay-failed")
    assert (everything.returncode, everything.stdout) == (0, "2 deliveries are applied again\n")
    assert await states(webhooks.APPLY) == ["WAITING"] * 3


async def test_usage_is_reported_and_the_mirror_repaired(city: City) -> None:
    """By the real clock, which is the commands' own."""
    platform, now = city.platform, datetime.now(UTC)
    assert isinstance(platform.clock, FrozenClock)
    platform.clock.travel_to(now)
    await city.travel_to(now)
    tenant = await provision_tenant(platform, ProvisionTenant("acme", "Acme", "billing@acme.test", "USD"))
    price = NewPrice("invites_sent", "per-document", {"unitPrice": "0.25"})
    metered = CreatePlan("metered", "Metered", "USD", [price], stripe_mode=StripeMode.METERED)
    plan = (await plans.create_plan(platform, metered)).plan
    first = now.date().replace(day=1)  # a METERED period begins on a day up to the 28th
    await subscriptions.subscribe_tenant(platform, SubscribeTenant(tenant, plan.id, anchor_on=first))
    await timetable.run_due_work(platform)
    nothing = await command(city, "report-usage")
    assert (nothing.returncode, nothing.stdout) == (0, "0 reports of open periods are with Stripe, 0 have no answer\n")
    await usage.record_usage(platform, tenant, [NewEvent("invites_sent", 3, "a")])
    order = {"kind": "timeout_after", "times": 3, "method": "POST", "path_prefix": "/v1/billing/meter_events"}
    (await city.stripe.post("/_sandbox/faults", json=order)).raise_for_status()
    unsure = await command(city, "report-usage", "--tenant", str(tenant.public_id))
    assert (unsure.returncode, unsure.stdout.startswith("invites_sent: 3 SENDING (")) == (1, True), unsure
    assert "0 reports of open periods are with Stripe, 1 have no answer" in unsure.stdout
    told = await command(city, "report-usage")
    assert (told.returncode, told.stdout) == (0, "1 reports of open periods are with Stripe, 0 have no answer\n"), told
    unknown = await command(city, "report-usage", "--tenant", str(uuid4()))
    assert complaint(unknown) == "no such tenant"

    fine = await command(city, "mirror")
    assert (fine.returncode, fine.stdout) == (0, "0 repaired, 0 differences\n")
    [product] = (await city.stripe.get("/_sandbox/books")).json()["product"]
    headers = {"authorization": "Bearer sk_test_inkmeter"}
    renamed = await city.stripe.post(f"/v1/products/{product['id']}", data={"name": "[/red] Other"}, headers=headers)
    renamed.raise_for_status()
    differs = await command(city, "mirror")
    assert (differs.returncode, "1 differences" in differs.stdout) == (1, True), differs
    repaired = await command(city, "mirror", "--repair")
    assert (repaired.returncode, repaired.stdout.startswith("repaired: ")) == (0, True), repaired
    assert (await command(city, "mirror")).returncode == 0
