"""Plans: versions, and everything that can be wrong with one, each by its path."""

import asyncio
from typing import Any

import pytest

from tests.services.steps import Json, do, global_id, price, problems, quota, raw_id, refused, sign_up, stripe_books
from tests.world import World

pytestmark = pytest.mark.anyio

PLAN: Json = {"code": "growth", "name": "Growth", "currency": "USD"}
FLAT = price("invites_sent", "flat", fee="10.00")
TIERED = price("invites_sent", "tiered", fee="49.00", included=5, overage={"unitPrice": "4.25"})


SOFT = quota("invites_sent", "SOFT", 5)
PACK: Json = {"units": 10, "price": "9.00"}
AUTO: Json = {"below": 3, "packUnits": 10, "monthlyCap": "18.00"}
TERMS = """fees minimumCommitment { amount currency } successor { id code name }
    quotas { meter units policy spendCap { amount } topUpPacks { units price { amount } }
        autoTopUp { below packUnits monthlyCap { amount } } alertsAt }"""


async def create(world: World, *prices: Json, **more: Any) -> Json:
    selection = """plan { id code version name currency interval prices { meter model config }
        quotas { meter units policy } }"""
    return await do(world.operator, "createPlan", selection, **{**PLAN, "prices": list(prices or (FLAT,)), **more})


async def versions(world: World) -> list[tuple[str, int]]:
    edges = (await world.operator.ask("{ plans { edges { node { code version } } } }"))["plans"]["edges"]
    return [(edge["node"]["code"], edge["node"]["version"]) for edge in edges]


async def test_a_version_never_changes_and_other_content_is_another(world: World) -> None:
    first = (await create(world))["plan"]
    assert first["version"] == 1
    assert (await create(world))["plan"] == first
    second = (await create(world, TIERED))["plan"]
    assert second["version"] == 2
    assert (await create(world, TIERED))["plan"] == second
    assert (await create(world, code="other"))["plan"]["version"] == 1
    assert await versions(world) == [("growth", 1), ("growth", 2), ("other", 1)]
    again = await world.operator.ask("query ($id: ID!) { plan(id: $id) { version prices { config } } }", id=first["id"])
    assert again["plan"] == {"version": 1, "prices": [{"config": {"fee": "10.00", "fairUseLimit": None}}]}


async def test_whatever_differs_makes_a_version(world: World) -> None:
    others: list[Json] = [
        {},
        {"name": "Growth!"},
        {"currency": "EUR"},
        {"interval": "YEAR"},
        {"quotas": [quota("invites_sent", "HARD", 5)]},
        {"quotas": [{**SOFT, "spendCap": "5.00"}]},
        {"quotas": [{**SOFT, "topUpPacks": [PACK]}]},
        {"quotas": [{**SOFT, "topUpPacks": [{**PACK, "price": "9.01"}]}]},
        {"quotas": [{**SOFT, "topUpPacks": [PACK], "autoTopUp": AUTO}]},
        {"quotas": [{**SOFT, "alertsAt": [90]}]},
        {"fees": "ADVANCE"},
        {"minimumCommitment": "0.00"},
        {"prices": [FLAT, price("downloads", "flat", fee="10.00")]},
        {"prices": [price("invites_sent", "flat", fee="10.01")]},
    ]
    assert [(await create(world, **other))["plan"]["version"] for other in others] == [*range(1, len(others) + 1)]


async def test_the_order_of_quotas_is_no_content_but_that_of_prices_is(world: World) -> None:
    quotas = [quota("invites_sent", "HARD", 5), quota("downloads", "SOFT", 7)]
    prices = [FLAT, price("downloads", "flat", fee="1")]
    first = await create(world, *prices, quotas=quotas)
    assert (await create(world, *prices, quotas=quotas[::-1]))["plan"]["id"] == first["plan"]["id"]
    assert (await create(world, *prices[::-1], quotas=quotas))["plan"]["version"] == 2


async def test_the_same_plan_at_once_is_one_version(world: World) -> None:
    made = await asyncio.gather(*(create(world) for _ in range(8)))
    assert {answer["plan"]["id"] for answer in made} == {made[0]["plan"]["id"]}


async def test_different_content_at_once_is_a_version_each(world: World) -> None:
    made = await asyncio.gather(*(create(world, price("invites_sent", "flat", fee=f"{n}.00")) for n in range(6)))
    assert sorted(answer["plan"]["version"] for answer in made) == [1, 2, 3, 4, 5, 6]


WRONG: list[tuple[str, Json, list[str]]] = [
    ("flat", {}, ["fee"]),
    ("flat", {"fee": "1", "fairUseLimit": "5", "extra": 1}, ["fairUseLimit", "extra"]),
    ("tiered", {"fee": "-1", "overage": {"unitPrice": "x"}}, ["fee", "included", "overage.unitPrice"]),
    (
        "tiered",
        {"fee": "1", "included": 1, "overage": {"tiers": [{"upTo": 0, "unitPrice": "a"}, {"flatFee": "-1"}, {"x": 1}]}},
        [
            "overage.tiers.0.upTo",
            "overage.tiers.0.unitPrice",
            "overage.tiers.1.flatFee",
            "overage.tiers.2.x",
        ],
    ),
    (
        "tiered",
        {"fee": "1", "included": 1, "overage": {"tiers": [{"upTo": 5}, {"upTo": 5}, {"upTo": 9}]}},
        ["overage.tiers.1.upTo", "overage.tiers.2.upTo"],
    ),
    ("metered", {"unitPrice": "1", "pack": {"size": 0, "price": "1"}}, ["pack.size"]),
    ("metered", {"unitPrice": "1", "pack": {"size": 5, "price": "1"}}, ["unitPrice", "pack"]),
    ("metered", {"unitPrice": "1", "minimumSpend": "5", "maximumSpend": "4"}, ["maximumSpend"]),
    ("per-seat", {"seatPrice": "9", "overagePrice": "1"}, ["includedPerSeat"]),
    ("per-document", {"unitPrice": "1.0000000000001"}, ["unitPrice"]),
]


async def test_every_wrong_path_of_a_configuration_is_named(world: World) -> None:
    for model, config, paths in WRONG:
        answer = await create(world, FLAT, price("downloads", model, **config))
        assert refused(answer)["__typename"] == "InvalidConfig"
        assert sorted(problems(answer)) == sorted(f"prices.1.config.{path}" for path in paths)
    assert await versions(world) == []


async def test_a_float_is_refused_by_its_path_as_a_variable(world: World) -> None:
    answer = await create(world, price("invites_sent", "per-document", unitPrice=1.5))
    assert refused(answer)["__typename"] == "InvalidConfig"
    assert problems(answer) == {"prices.0.config.unitPrice": "a float is not exact; write it as a string"}
    nested = {"fee": 1.0, "included": 1e2, "overage": {"tiers": [{"upTo": 5, "unitPrice": 0.1}, {}]}}
    answer = await create(world, FLAT, price("downloads", "tiered", **nested))
    assert list(problems(answer)) == [
        "prices.1.config.fee",
        "prices.1.config.included",
        "prices.1.config.overage.tiers.0.unitPrice",
    ]


async def test_a_float_is_refused_by_its_path_as_a_literal(world: World) -> None:
    for number in ("0.5", "1.0", "1e0", "1e400", "-0.0"):
        answer = await world.operator.ask(
            """mutation { createPlan(input: {code: "p", name: "P", currency: "USD", prices: [
                 {meter: "invites_sent", model: "per-document", config: {unitPrice: NUMBER}}]}) {
                 plan { id } userErrors { __typename ... on InvalidConfig { problems { path } } } } }""".replace(
                "NUMBER", number
            )
        )
        problem = {"path": ["prices", "0", "config", "unitPrice"]}
        errors = [{"__typename": "InvalidConfig", "problems": [problem]}]
        assert answer["createPlan"] == {"plan": None, "userErrors": errors}


async def test_an_explanation_refuses_floats_too(world: World) -> None:
    answer = await world.operator.post(
        """{ explainPrice(model: "per-document", config: {unitPrice: 0.5}, quantity: "1", currency: "USD") {
             total { amount } } }"""
    )
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "INVALID_CONFIG"
    assert "unitPrice: a float" in error["message"]


WRONG_TERMS: list[tuple[Json, str]] = [
    ({"code": ""}, "code"),
    ({"code": "x" * 101}, "code"),
    ({"code": "größe"}, "code"),
    ({"code": "a b"}, "code"),
    ({"code": "a\n"}, "code"),
    ({"name": " "}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"name": "a\x1b[2Jb"}, "name"),
    ({"prices": []}, "prices"),
    ({"prices": [FLAT, FLAT]}, "prices"),
    ({"prices": [{**FLAT, "meter": "invites"}]}, "prices.0.meter"),
    ({"prices": [FLAT, {**FLAT, "model": "flatt"}]}, "prices.1.model"),
    ({"prices": [{**FLAT, "model": "x\ud7ff" * 999}]}, "prices.0.model"),
    ({"quotas": [quota("invites", "HARD", 5)]}, "quotas.0.meter"),
    ({"quotas": [quota("invites_sent", "HARD", -1)]}, "quotas.0.units"),
    ({"quotas": [quota("downloads", "HARD")]}, "quotas.0.units"),
    ({"quotas": [quota("invites_sent", "SOFT")]}, "quotas.0.units"),
    ({"quotas": [quota("downloads", "HARD", 1), quota("downloads", "SOFT", 2)]}, "quotas"),
]


async def test_wrong_terms_are_named(world: World) -> None:
    for change, path in WRONG_TERMS:
        assert path in problems(await create(world, **change))
    assert await versions(world) == []


WRONG_LIMITS: list[tuple[Json, list[str]]] = [
    ({"policy": "TOP_UP"}, ["topUpPacks"]),
    ({"policy": "AUTO_UPGRADE"}, ["policy"]),
    ({"policy": "HARD", "spendCap": "1.00"}, ["spendCap"]),
    ({"spendCap": "1.001"}, ["spendCap"]),
    ({"spendCap": "-1.00"}, ["spendCap"]),
    ({"spendCap": "9" * 20}, ["spendCap"]),
    ({"topUpPacks": [{"units": 0, "price": "0.00"}]}, ["topUpPacks.0.price", "topUpPacks.0.units"]),
    ({"topUpPacks": [PACK, {"units": 10**12 + 1, "price": "1.005"}]}, ["topUpPacks.1.price", "topUpPacks.1.units"]),
    ({"topUpPacks": [PACK, {**PACK, "price": "8.00"}]}, ["topUpPacks"]),
    ({"topUpPacks": [{"units": n, "price": "1"} for n in range(1, 22)]}, ["topUpPacks"]),
    ({"autoTopUp": AUTO}, ["autoTopUp.packUnits"]),
    (
        {"topUpPacks": [PACK], "autoTopUp": {"below": 0, "packUnits": 11, "monthlyCap": "0.001"}},
        ["autoTopUp.below", "autoTopUp.monthlyCap", "autoTopUp.packUnits"],
    ),
    ({"topUpPacks": [PACK], "autoTopUp": {**AUTO, "monthlyCap": "8.99"}}, ["autoTopUp.monthlyCap"]),
    (
        {"topUpPacks": [{"units": 10, "price": "0.49"}], "autoTopUp": {**AUTO, "payment": "FIRST"}},
        ["topUpPacks.0.price"],
    ),
    ({"alertsAt": [0]}, ["alertsAt"]),
    ({"alertsAt": [1001]}, ["alertsAt"]),
    ({"alertsAt": [80, 50]}, ["alertsAt"]),
    ({"alertsAt": [80, 80]}, ["alertsAt"]),
    ({"alertsAt": [*range(1, 22)]}, ["alertsAt"]),
    ({"meter": "seats", "policy": "TOP_UP", "topUpPacks": [PACK]}, ["policy", "topUpPacks"]),
]


async def test_every_wrong_path_of_a_limit_is_named(world: World) -> None:
    for change, paths in WRONG_LIMITS:
        answer = await create(world, quotas=[quota("downloads", "SOFT", 1), {**SOFT, **change}])
        assert sorted(problems(answer)) == [f"quotas.1.{path}" for path in paths], change
    yen = await create(world, currency="JPY", minimumCommitment="0.5", quotas=[{**SOFT, "spendCap": "1.5"}])
    assert sorted(problems(yen)) == ["minimumCommitment", "quotas.0.spendCap"]
    assert await versions(world) == []


@pytest.mark.parametrize("payment", ["FIRST", "NEXT_INVOICE"])
async def test_what_is_paid_first_is_no_less_than_stripe_charges(world: World, payment: str) -> None:
    price = "0.50" if payment == "FIRST" else "0.49"
    packs = [{"units": 1, "price": "0.01"}, {"units": 10, "price": price}]
    answer = await create(world, quotas=[{**SOFT, "topUpPacks": packs, "autoTopUp": {**AUTO, "payment": payment}}])
    assert answer["userErrors"] == []


async def test_limits_are_shown_as_they_were_given(world: World) -> None:
    scale = (await create(world, code="scale", name="Scale"))["plan"]["id"]
    terms: Json = {
        "fees": "ADVANCE",
        "minimumCommitment": "100.00",
        "successorId": scale,
        "quotas": [
            {**SOFT, "spendCap": "0.00", "alertsAt": []},
            {**quota("downloads", "TOP_UP", 0), "topUpPacks": [PACK, {"units": 100, "price": "80"}], "autoTopUp": AUTO},
            quota("signatures", "AUTO_UPGRADE", 7),
        ],
    }
    made = (await create(world, **terms))["plan"]
    shown = (await world.operator.ask(f"query ($id: ID!) {{ plan(id: $id) {{ {TERMS} }} }}", id=made["id"]))["plan"]
    quotas = {entry.pop("meter"): entry for entry in shown.pop("quotas")}
    assert shown == {
        "fees": "ADVANCE",
        "minimumCommitment": {"amount": "100.00", "currency": "USD"},
        "successor": {"id": scale, "code": "scale", "name": "Scale"},
    }
    plain = {"spendCap": None, "topUpPacks": [], "autoTopUp": None, "alertsAt": [50, 80, 100]}
    assert quotas == {
        "invites_sent": {**plain, "units": "5", "policy": "SOFT", "spendCap": {"amount": "0.00"}, "alertsAt": []},
        "downloads": {
            **plain,
            "units": "0",
            "policy": "TOP_UP",
            "topUpPacks": [
                {"units": "10", "price": {"amount": "9.00"}},
                {"units": "100", "price": {"amount": "80.00"}},
            ],
            "autoTopUp": {"below": "3", "packUnits": "10", "monthlyCap": {"amount": "18.00"}},
        },
        "signatures": {**plain, "units": "7", "policy": "AUTO_UPGRADE"},
    }


async def test_a_successor_exists_and_is_alike(world: World) -> None:
    scale = (await create(world, code="scale"))["plan"]["id"]
    assert (await create(world, successorId=scale))["userErrors"] == []
    for change in ({"currency": "EUR"}, {"interval": "YEAR"}):
        assert list(problems(await create(world, successorId=scale, **change))) == ["successorId"]
    unknown = global_id("Plan", "01940000-0000-7000-8000-000000000000")
    for wrong in (unknown, global_id("Tenant", raw_id(scale))):
        error = refused(await create(world, successorId=wrong))
        assert (error["__typename"], error["path"]) == ("NotFound", ["successorId"])


async def test_a_plan_has_at_most_20_prices(world: World) -> None:
    models = {
        "flat": {"fee": "1"},
        "per-document": {"unitPrice": "1"},
        "per-seat": {"seatPrice": "1"},
        "metered": {"unitPrice": "1"},
    }
    meters = ("documents_created", "invites_sent", "documents_completed", "signatures", "downloads", "api_calls")
    prices = [price(meter, model, **config) for meter in meters for model, config in models.items()]
    assert list(problems(await create(world, *prices[:21]))) == ["prices"]
    assert (await create(world, *prices[:20]))["userErrors"] == []


async def test_a_quota_without_units_is_what_the_price_includes(world: World) -> None:
    made = await create(world, TIERED, quotas=[quota("invites_sent", "HARD")])
    assert made["plan"]["quotas"] == [{"meter": "invites_sent", "units": "5", "policy": "HARD"}]


async def test_a_quota_cannot_follow_an_allowance_that_grows_with_seats(world: World) -> None:
    seats = price("invites_sent", "per-seat", seatPrice="9", includedPerSeat=10)
    answer = await create(world, seats, quotas=[quota("invites_sent", "HARD")])
    assert list(problems(answer)) == ["quotas.0.units"]
    assert (await create(world, seats, quotas=[quota("invites_sent", "HARD", 50)]))["userErrors"] == []


async def test_limits_of_64_bits(world: World) -> None:
    most = 2**63 - 1
    made = await create(world, quotas=[quota("invites_sent", "HARD", most)])
    assert made["plan"]["quotas"][0]["units"] == str(most)
    answer = await world.operator.post(
        "mutation ($i: CreatePlanInput!) { createPlan(input: $i) { plan { id } } }",
        i={**PLAN, "prices": [FLAT], "quotas": [quota("invites_sent", "HARD", most + 1)]},
    )
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_versions_of_a_plan_are_one_product_at_stripe_with_a_price_each(world: World) -> None:
    await sign_up(world, FLAT, reference="acme")
    await sign_up(world, TIERED, reference="bolt")
    books = await stripe_books(world)
    assert len(books["product"]) == 1
    assert len(books["price"]) == 2
    assert {p["unit_amount"] for p in books["price"]} == {0}


async def test_an_unknown_plan_is_null(world: World) -> None:
    plan = (await create(world))["plan"]["id"]
    for wrong in (plan[:-4] + "AAA=", "UGxhbjox", "VGVuYW50OjAxOTRlMGI4LTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMA=="):
        answer = await world.operator.post("query ($id: ID!) { plan(id: $id) { id } }", id=wrong)
        assert answer.get("data") in ({"plan": None}, None)
