"""Lists say of each entry what a look at it alone says, in as many queries for many entries as for few."""

import pytest

from tests.counting_queries import counted
from tests.services import identity_steps
from tests.services.dunning_steps import debtor, fail
from tests.services.identity_steps import world as world
from tests.services.steps import INVITES, Json, make_plan, provision, quota, sign_up
from tests.services.terms import change_seats, discount
from tests.world import World

pytestmark = pytest.mark.anyio
PLAN = """id code version name currency interval stripeMode minimumCommitment { amount } successor { id code }
    prices { meter model config } quotas { meter units policy }
    dunning { graceDays restrictedDays then downgradePlan { code } }"""
TENANT = f"""id externalReference name email currency state graceUntil provisioningProblem isolation createdAt
    address {{ country }} provisioning {{ step state error }}
    dunning {{ step since nextStep nextAt invoices {{ id total {{ amount }} }} }}
    subscription {{ id seats isPaused isMirrored startedAt endsAt plan {{ {PLAN} }}
        phases {{ startsAt seats reason plan {{ code }} }}
        discounts {{ id label percent amount {{ amount }} periods startsAt endedAt }} }}"""


async def listed(world: World, kind: str, selection: str, first: int) -> tuple[list[Json], int]:
    """A page of a list, and how many queries it took."""
    query = f"query ($first: Int) {{ {kind}(first: $first) {{ edges {{ node {{ {selection} }} }} }} }}"
    with counted() as sent:
        answer = await world.operator.ask(query, first=first)
    return [edge["node"] for edge in answer[kind]["edges"]], len(sent)


async def alone(world: World, kind: str, selection: str, key: str) -> Json:
    found: Json = (await world.operator.ask(f"query ($id: ID!) {{ {kind}(id: $id) {{ {selection} }} }}", id=key))[kind]
    return found


async def test_tenants(world: World) -> None:
    assert await listed(world, "tenants", TENANT, 10) == ([], 2)  # its key, and nobody
    await identity_steps.provision(world, "unconsented", "DEDICATED_USER")
    await debtor(world, "poor")
    for number in range(3):
        customer = await sign_up(world, reference=f"tenant-{number}", code=f"plan-{number}", seats=number + 2)
        await discount(customer, f"{number}-percent", percent="10")
        await discount(customer, f"{number}-amount", amount="5.00", periods=number + 1)
        await change_seats(customer, number + 5)
    await debtor(world, "poorer")
    await provision(world, "unsubscribed")
    await fail(world)

    nodes, many = await listed(world, "tenants", TENANT, 10)
    some, few = await listed(world, "tenants", TENANT, 2)
    assert nodes[:2] == some
    assert len(nodes) == 7
    assert many == few < 10
    for node in nodes:
        assert await alone(world, "tenant", TENANT, node["id"]) == node
    by_name = {node["externalReference"]: node for node in nodes}
    assert [len(by_name[f"tenant-{n}"]["subscription"]["discounts"]) for n in range(3)] == [2, 2, 2]
    assert [by_name[f"tenant-{n}"]["subscription"]["seats"] for n in range(3)] == [5, 6, 7]
    assert by_name["poor"]["dunning"]["invoices"] != by_name["poorer"]["dunning"]["invoices"]
    assert by_name["tenant-0"]["dunning"] is None
    assert by_name["unsubscribed"]["subscription"] is None
    assert "NEEDS_CONNECTION" in {step["state"] for step in by_name["unconsented"]["provisioning"]}
    assert {step["state"] for step in by_name["poor"]["provisioning"]} == {"DONE"}


async def test_plans(world: World) -> None:
    target = await make_plan(world, INVITES, code="target")
    for number in range(4):
        await make_plan(
            world,
            INVITES,
            quotas=[quota("invites_sent", "SOFT", 10 + number)],
            code=f"plan-{number}",
            successorId=target,
            dunning={"graceDays": number, "then": "DOWNGRADE", "downgradePlanId": target},
        )
    nodes, _ = await listed(world, "plans", PLAN, 10)  # a plan never changes: it is read once
    again, many = await listed(world, "plans", PLAN, 10)
    assert again == nodes
    assert many == 2
    assert [node["code"] for node in nodes] == ["target", "plan-0", "plan-1", "plan-2", "plan-3"]
    for node in nodes:
        assert await alone(world, "plan", PLAN, node["id"]) == node
    assert [node["successor"]["code"] for node in nodes[1:]] == ["target"] * 4
    assert [node["dunning"]["downgradePlan"]["code"] for node in nodes[1:]] == ["target"] * 4
