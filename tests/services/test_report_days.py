"""Stripe's sums of each day against what was reported for it: part of every comparison with Stripe."""

from datetime import timedelta

import pytest

from services import reconciling, usage_reports
from storage.subscriptions import Period
from storage.usage_reports import UsageReport
from tests.services.metered_steps import join, reports
from tests.services.spoiling import kept, kinds, reconcile
from tests.services.steps import Customer, do, event
from tests.services.test_report_sums import cancel_by_hand, end_period, send_by_hand, try_again, used
from tests.world import START, World

pytestmark = pytest.mark.anyio

NEXT_DAY = START + timedelta(days=1)
SAID = "8 invites_sent were reported for 2026-03-10, Stripe's sums of the day say 13."


async def report_eight(world: World) -> Customer:
    customer = await join(world)
    await customer.record(event("a", 8))
    await world.travel_to(START + timedelta(hours=1))
    await world.work()
    return customer


async def test_sums_that_agree_confirm_the_reports_of_a_day_that_is_over(world: World) -> None:
    await report_eight(world)
    await send_by_hand(world, 5)
    assert (await reconcile(world))["isClean"], "the day is not over"
    await cancel_by_hand_what_was_sent(world)
    await world.travel_to(NEXT_DAY)
    assert (await reconcile(world, dryRun=True))["isClean"]
    assert await reports() == [(8, "SENT")], "a dry run changes nothing"
    before = (await reconcile(world))["checks"]
    assert await reports() == [(8, "CONFIRMED")]
    await UsageReport.all().delete()
    assert (await reconcile(world))["checks"] == before - 1


async def cancel_by_hand_what_was_sent(world: World) -> None:
    form = {"event_name": "inkmeter_invites_sent", "type": "cancel", "cancel[identifier]": "by-hand"}
    headers = {"authorization": "Bearer sk_test_inkmeter"}
    (await world.stripe.post("/v1/billing/meter_event_adjustments", data=form, headers=headers)).raise_for_status()


async def test_sums_that_differ_are_told_by_every_comparison_until_they_agree(world: World) -> None:
    await report_eight(world)
    await send_by_hand(world, 5)
    await world.travel_to(NEXT_DAY)
    for _ in range(2):
        report = await reconcile(world)
        assert not report["isClean"]
        [found] = report["differences"]
        assert (found["kind"], found["explanation"], found["repair"]) == ("METER_DAY", SAID, None)
        assert (found["ours"]["amount"], found["theirs"]["amount"]) == ("0.00", "0.00"), "units are no money"
        assert (found["discrepancy"]["evidence"]["ours"], found["discrepancy"]["evidence"]["theirs"]) == ("8", "13")
    assert await reports() == [(8, "SENT")]
    await cancel_by_hand_what_was_sent(world)
    assert (await reconcile(world))["isClean"]
    assert [(row["kind"], row["state"]) for row in await kept(world)] == [("METER_DAY", "RESOLVED")]
    assert await reports() == [(8, "CONFIRMED")]


async def explain(world: World, key: str) -> None:
    answer = await do(world.operator, "explainDiscrepancy", "discrepancy { state }", id=key, note="a test")
    assert answer["discrepancy"] == {"state": "EXPLAINED"}


async def test_what_is_explained_stays_so_while_the_sums_do(world: World) -> None:
    await report_eight(world)
    await send_by_hand(world, 5)
    await world.travel_to(NEXT_DAY)
    [found] = (await reconcile(world))["differences"]
    await do(
        world.operator, "explainDiscrepancy", "discrepancy { state }", id=found["discrepancy"]["id"], note="a test"
    )
    assert (await reconcile(world))["isClean"]
    await cancel_by_hand(world)
    assert not (await reconcile(world))["isClean"], "it is another difference"
    await UsageReport.all().delete()
    await cancel_by_hand_what_was_sent(world)
    assert (await reconcile(world))["isClean"], "nothing was reported for the day any more, and nothing is there"


async def test_the_daily_job_looks_at_days_that_were_missed(world: World) -> None:
    await report_eight(world)
    await send_by_hand(world, 5)
    await reconciling.schedule_reconciling(world.platform)
    await world.travel_to(START + timedelta(days=5))
    await world.work()
    assert [(row["kind"], row["state"]) for row in await kept(world)] == [("METER_DAY", "OPEN")]


async def test_days_of_a_period_that_was_explained_are_explained_with_it(world: World) -> None:
    await used(world)
    await cancel_by_hand(world)
    await end_period(world)
    assert "METER_DAY" in kinds(await reconcile(world))
    [row] = await kept(world, kind='"METER_PERIOD"')
    await explain(world, row["id"])
    await try_again(world)
    [period, _] = await Period.all().order_by("starts_at")
    await usage_reports.require_reported(world.platform, period)  # as who was killed before the close does again
    assert "METER_DAY" not in kinds(await reconcile(world))
    assert [found["state"] for found in await kept(world, kind='"METER_PERIOD"')] == ["EXPLAINED"]
    assert {found["state"] for found in await kept(world, kind='"METER_DAY"')} == {"RESOLVED"}
