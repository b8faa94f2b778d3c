"""previewDunning: who would be where on a date, by the code that takes the steps."""

from datetime import timedelta

import pytest

from storage.dunning import DunningCase
from tests.services.dunning_steps import FAILED, days, debtor, fail, listen, notices, step
from tests.services.steps import Json, make_plan
from tests.world import World

pytestmark = pytest.mark.anyio
PREVIEW = """query ($on: DateTime!, $policy: DunningPolicyInput, $first: Int, $after: String) {
    previewDunning(on: $on, policy: $policy, first: $first, after: $after) {
        edges { node {
            tenant { externalReference } step at plan { code } invoices { total { amount } } total { amount } } }
        pageInfo { hasNextPage endCursor } } }"""


async def preview(world: World, day: float, policy: Json | None = None) -> dict[str, tuple[str, str | None, str]]:
    """Step, plan and amount of each tenant on a day after the failure."""
    on = (FAILED + timedelta(days=day)).isoformat()
    edges = (await world.operator.ask(PREVIEW, on=on, policy=policy))["previewDunning"]["edges"]
    nodes = [edge["node"] for edge in edges]
    return {
        n["tenant"]["externalReference"]: (n["step"], n["plan"] and n["plan"]["code"], n["total"]["amount"])
        for n in nodes
    }


async def test_it_says_what_then_happens(world: World) -> None:
    heard = listen(world)
    ends = await debtor(world, "ends", graceDays=2, restrictedDays=3, then="DEPROVISION")
    smaller = await debtor(world, "smaller", graceDays=1, restrictedDays=8, then="DOWNGRADE", to="free")
    stays = await debtor(world, "stays", graceDays=4)
    await fail(world)
    told, stored = list(heard.names), [await notices(one) for one in (ends, smaller, stays)]
    expected = {day: await preview(world, day + 0.02) for day in (0.5, 1, 2, 4, 5, 9)}
    assert expected[0.5] == {}
    assert expected[4] == {
        "ends": ("RESTRICTED", None, "6.00"),
        "smaller": ("RESTRICTED", None, "6.00"),
        "stays": ("RESTRICTED", None, "6.00"),
    }
    assert expected[9]["smaller"] == ("DOWNGRADED", "free", "6.00")
    harsh = await preview(world, 2, {"graceDays": 1, "restrictedDays": 1, "then": "DEPROVISION"})
    assert harsh == dict.fromkeys(("ends", "smaller", "stays"), ("DEPROVISIONED", None, "6.00"))
    assert await preview(world, 30, {"graceDays": 365}) == {}
    assert (heard.names, [await notices(one) for one in (ends, smaller, stays)]) == (told, stored)
    assert {case.step.value for case in await DunningCase.all()} == {"GRACE"}, "nothing was stored"
    for day, would in expected.items():
        await days(world, day + 0.02, day + 0.03)
        for customer in (ends, smaller, stays):
            taken = (await step(customer))[1]
            name = customer.tenant.external_reference
            assert taken == (would[name][0] if name in would else "GRACE"), (day, name)
    after = await preview(world, 20)
    assert (after["ends"][0], after["smaller"][:2]) == ("DEPROVISIONED", ("DOWNGRADED", "free"))


async def test_it_is_paged_and_refuses_what_makes_no_sense(world: World) -> None:
    for name in ("a", "b", "c"):
        await debtor(world, name, graceDays=1)
    await fail(world)
    on = (FAILED + timedelta(days=2)).isoformat()
    first = (await world.operator.ask(PREVIEW, on=on, first=2))["previewDunning"]
    after = first["pageInfo"]["endCursor"]
    second = (await world.operator.ask(PREVIEW, on=on, first=2, after=after))["previewDunning"]
    names = [edge["node"]["tenant"]["externalReference"] for edge in first["edges"] + second["edges"]]
    assert names == ["a", "b", "c"]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    past = await world.operator.post(PREVIEW, on="2026-01-01T00:00:00Z")
    nowhere = await world.operator.post(PREVIEW, on=on, policy={"then": "DOWNGRADE"})
    free = await make_plan(world, {"meter": "downloads", "model": "per-document", "config": {"unitPrice": "1"}})
    for answer in (past, nowhere, await world.operator.post(PREVIEW, on=on, policy={"downgradePlanId": free})):
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID_INPUT"]
