"""Deliveries and jobs that were given up are seen and run again; what Stripe could not deliver is fetched; lanes."""

import asyncio
from datetime import timedelta

import pytest

from inkmeter import Event, InvoicePaid, hookimpl
from inkmeter.errors import UpstreamError
from plugins.manager import load_plugins
from services import deliveries, jobs, timetable
from services.lanes import run_in_lanes
from services.platform import Platform
from storage.database import row, rows
from storage.jobs import SYSTEM, Job, complete_job
from storage.webhooks import WebhookEvent
from tests.services.hooks import deliver
from tests.services.steps import do, fault, refused, sign_up, stripe_books
from tests.world import START, World

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatient")]

FAILED = "{ webhookEvents(state: FAILED) { edges { node { id key state attempts lastError } } } }"
JOBS = "{ jobs(state: FAILED) { edges { node { id topic subject tenantId attempts lastError } } } }"
APRIL = START + timedelta(days=30, hours=15)


async def test_a_delivery_that_was_given_up_is_seen_and_replayed(world: World) -> None:
    await sign_up(world)
    await rows("DELETE FROM job")
    theirs = (await stripe_books(world))["customer"][0]["id"]
    await fault(world.stripe, "500", 3 * jobs.MAX_ATTEMPTS, on="/v1/customers", method="GET")
    await deliver(world, "evt_1", "customer.deleted", theirs)
    for hours in range(1, jobs.MAX_ATTEMPTS + 5):
        world.clock.travel_to(START + timedelta(hours=2 * hours))
        await timetable.run_due_work(world.platform)
    [edge] = (await world.operator.ask(FAILED))["webhookEvents"]["edges"]
    seen = edge["node"]
    assert (seen["key"], seen["state"], seen["attempts"]) == ("evt_1", "FAILED", jobs.MAX_ATTEMPTS)
    assert "UpstreamTimeout" in seen["lastError"]
    replayed = await do(world.operator, "replayWebhook", "event { state attempts }", eventId=seen["id"])
    assert replayed == {"event": {"state": "RECEIVED", "attempts": 0}, "userErrors": []}
    await timetable.run_due_work(world.platform)
    assert (await world.operator.ask(FAILED))["webhookEvents"]["edges"] == []
    assert (await WebhookEvent.get(key="evt_1")).note == "the customer still exists at Stripe"
    again = await do(world.operator, "replayWebhook", "event { state }", eventId=seen["id"])
    assert again["event"] == {"state": "RECEIVED"}, "also what was applied"
    await timetable.run_due_work(world.platform)
    assert (await WebhookEvent.get(key="evt_1")).state == "IGNORED"
    assert await deliveries.replay_failed(world.platform) == 0


async def test_a_job_that_was_given_up_gets_a_fresh_budget(world: World) -> None:
    customer = await sign_up(world)
    await rows("DELETE FROM job")
    is_broken = True

    async def handler(_: Platform, job: Job) -> None:
        if is_broken:
            raise UpstreamError("no")
        await complete_job(job)

    await jobs.add_job(world.platform, tenant_id=customer.tenant.id, topic="test.topic", dedup="one")
    for hours in range(jobs.MAX_ATTEMPTS):
        world.clock.travel_to(START + timedelta(hours=2 * hours))
        await jobs.run_due_jobs(world.platform, {"test.topic": handler})
    [edge] = (await world.operator.ask(JOBS))["jobs"]["edges"]
    seen = edge["node"]
    assert (seen["topic"], seen["subject"], seen["tenantId"]) == ("test.topic", "one", customer.id)
    assert (seen["attempts"], seen["lastError"]) == (jobs.MAX_ATTEMPTS, "UpstreamError: no")
    retried = await do(world.operator, "retryJob", "job { state attempts }", jobId=seen["id"])
    assert retried["job"] == {"state": "WAITING", "attempts": 0}
    assert refused(await do(world.operator, "retryJob", "job { id }", jobId=seen["id"]))["__typename"] == "Conflict"
    await jobs.run_due_jobs(world.platform, {"test.topic": handler})
    assert await row("SELECT attempts, state FROM job") == {"attempts": 1, "state": "WAITING"}, "it pauses anew"
    is_broken = False
    world.clock.travel_to(world.clock.now() + timedelta(minutes=1))
    await jobs.run_due_jobs(world.platform, {"test.topic": handler})
    assert (await world.operator.ask(JOBS))["jobs"]["edges"] == []


async def test_what_stripe_could_not_deliver_is_fetched_once(world: World) -> None:
    await sign_up(world)
    await world.work()
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await world.travel_to(APRIL)
    await timetable.run_due_work(world.platform)
    assert not await WebhookEvent.exists(type="invoice.created")
    selection = "listed new"
    first = await do(world.operator, "catchUpStripe", selection)
    assert first["listed"] == first["new"] > 0
    again = await do(world.operator, "catchUpStripe", selection, since="2026-04-01T00:00:00Z")
    assert (again["listed"], again["new"]) == (first["listed"], 0)
    await timetable.run_due_work(world.platform)
    created = await WebhookEvent.get(type="invoice.created")
    assert (created.state, created.api_version is not None) == ("APPLIED", True)
    body = created.payload.encode()
    assert b'"object":"event"' in body


async def test_catching_up_goes_on_where_it_was(world: World) -> None:
    await timetable.schedule_all(world.platform)
    await sign_up(world)
    await world.work()
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await world.travel_to(APRIL)
    await timetable.run_due_work(world.platform)
    assert await WebhookEvent.exists(type="invoice.created", state="APPLIED")
    job = await row("SELECT state, payload, attempts FROM job WHERE topic = ?", deliveries.CATCH_UP)
    assert job is not None
    assert (job["state"], APRIL.isoformat() in job["payload"]) == ("WAITING", True)
    before = await WebhookEvent.all().count()
    await world.travel_to(APRIL + timedelta(hours=3))
    await timetable.run_due_work(world.platform)
    assert (
        len(set(await WebhookEvent.all().values_list("key", flat=True))) == await WebhookEvent.all().count() >= before
    )


async def test_what_concerns_nobody_is_decided_on_arrival_and_can_be_replayed(world: World) -> None:
    stored = await deliver(world, "evt_1", "payment_method.attached", "pm_1")
    assert (stored.state, stored.applied_at) == ("IGNORED", stored.received_at)
    assert (stored.note or "").startswith("nothing to do on payment_method.attached: ")
    job = await row("SELECT state, attempts FROM job WHERE topic = 'webhook.apply'")
    assert job == {"state": "DONE", "attempts": 0}
    await deliveries.replay_webhook(world.platform, stored.id)
    assert (await WebhookEvent.get(key="evt_1")).state == "RECEIVED"
    await timetable.run_due_work(world.platform)
    again = await WebhookEvent.get(key="evt_1")
    assert (again.state, again.note) == ("IGNORED", stored.note)


class TestLanes:
    """Jobs side by side, with handlers of the test's."""

    async def add(self, world: World, *names: str) -> None:
        for name in names:
            await jobs.add_job(world.platform, tenant_id=SYSTEM, topic="test.topic", dedup=name)

    async def test_a_slow_one_does_not_hold_the_others(self, world: World) -> None:
        slow, others_done = asyncio.Event(), asyncio.Event()
        done: list[str] = []

        async def handler(_: Platform, job: Job) -> None:
            if job.dedup == "slow":
                await slow.wait()
            await complete_job(job)
            done.append(job.dedup)
            if len(done) == 5:
                others_done.set()

        await self.add(world, "slow", "a", "b", "c", "d", "e")
        working = asyncio.create_task(
            run_in_lanes(world.platform, {"test.topic": handler}, asyncio.Event(), lanes=2, pause_s=5)
        )
        async with asyncio.timeout(10):
            await others_done.wait()
        assert sorted(done) == ["a", "b", "c", "d", "e"]
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def test_no_more_are_held_than_there_are_lanes(self, world: World) -> None:
        go_on, full, all_done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        running, most, done = 0, 0, 0

        async def handler(_: Platform, job: Job) -> None:
            nonlocal running, most, done
            running += 1
            most = max(most, running)
            if running == 3:
                full.set()
            await go_on.wait()
            running -= 1
            await complete_job(job)
            done += 1
            if done == 10:
                all_done.set()

        await self.add(world, *map(str, range(10)))
        working = asyncio.create_task(
            run_in_lanes(world.platform, {"test.topic": handler}, asyncio.Event(), lanes=3, pause_s=5)
        )
        async with asyncio.timeout(10):
            await full.wait()
            held = await row("SELECT COUNT(*) AS jobs FROM job WHERE topic = 'test.topic' AND lease_until IS NOT NULL")
            assert held == {"jobs": 3}, "what waits for a lane is nobody's"
            go_on.set()
            await all_done.wait()
        assert most == 3
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def test_a_tenant_has_one_lane(self, world: World) -> None:
        running: list[int] = []
        done, others_done, go_on = 0, asyncio.Event(), asyncio.Event()

        async def handler(_: Platform, job: Job) -> None:
            nonlocal done
            assert job.tenant_id not in running
            running.append(job.tenant_id)
            if job.dedup == "slow":
                await go_on.wait()
            await asyncio.sleep(0)
            running.remove(job.tenant_id)
            await complete_job(job)
            done += 1
            if done in (4, 8):
                others_done.set()

        for tenant, dedup in ((1, "slow"), (1, "a"), (1, "b"), (1, "c"), (2, "d"), (2, "e"), (3, "f"), (3, "g")):
            await jobs.add_job(world.platform, tenant_id=tenant, topic="test.topic", dedup=dedup)
        handlers = {"test.topic": handler}
        lanes = run_in_lanes(world.platform, handlers, asyncio.Event(), lanes=4, pause_s=5, is_by_tenant=True)
        working = asyncio.create_task(lanes)
        async with asyncio.timeout(10):
            await others_done.wait()
            left = {
                entry["dedup"]
                for entry in await rows("SELECT dedup FROM job WHERE state = 'WAITING' AND topic = 'test.topic'")
            }
            assert left == {"slow", "a", "b", "c"}, "who is slow holds only itself"
            others_done.clear()
            go_on.set()
            await others_done.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def test_a_worker_applies_deliveries_and_does_the_rest(self, world: World) -> None:
        paid = asyncio.Event()

        class Listener:
            @hookimpl
            def on_event(self, event: Event) -> None:
                if isinstance(event, InvoicePaid):
                    paid.set()

        object.__setattr__(world.platform, "plugins", load_plugins(extra=[Listener()]))
        await sign_up(world)
        await world.travel_to(APRIL + timedelta(hours=1))
        working = asyncio.create_task(timetable.work(world.platform, pause_s=0.05))
        async with asyncio.timeout(30):
            await paid.wait()  # closed, pushed, finalized, and told by a webhook
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        scheduled = {entry["topic"] for entry in await rows("SELECT topic FROM job WHERE tenant_id = 0")}
        assert {"counters.check", "outbox.clean", "webhooks.catch_up"} <= scheduled
