"""What is asked and done about credits in tests."""

import base64
from typing import Any, Final

from services import operations
from services.commands import Correct, Correction, Fact
from storage.usage import UsageEvent
from tests.services.steps import Customer, Json, do
from tests.world import Api

GRANT: Final = """id meter source units remaining priority expiresAt price { amount } note"""
WAYS_ON: Final = "packs { units price { amount } } nextPlan { code }"
REFUSAL: Final = f"""__typename message
    ... on QuotaExceeded {{ limit used requested {WAYS_ON} }}
    ... on TopUpRequired {{ meter balance needed: requested {WAYS_ON} }}
    ... on SpendCapReached {{ cap {{ amount }} spent {{ amount }} price {{ amount }} }}"""
DECISION: Final = "reason price { amount } credits { meter units } plan { code }"


async def give(customer: Customer, units: int, key: str = "gift", meter: str = "downloads", **more: Any) -> Json:
    """Grant credits that must be granted."""
    wanted = {"meter": meter, "units": units, "source": "PROMOTION", "idempotencyKey": key, **more}
    given = await do(customer.api, "grantCredits", f"grant {{ {GRANT} }}", tenantId=customer.id, **wanted)
    assert given["userErrors"] == []
    return dict(given["grant"])


async def buy(customer: Customer, units: int = 10, key: str = "pack", meter: str = "downloads") -> Json:
    wanted = {"meter": meter, "units": units, "idempotencyKey": key}
    return await do(customer.api, "topUp", f"grant {{ {GRANT} }}", tenantId=customer.id, **wanted)


async def take(customer: Customer, mutation: str, grant: Json, units: int | None = None, key: str = "back") -> Json:
    """`revokeCredits` or `refundCredits`."""
    selection = f"grant {{ {GRANT} }} units" + (" refund { amount }" if mutation == "refundCredits" else "")
    wanted = {"grantId": grant["id"], "units": units, "idempotencyKey": key}
    return await do(customer.api, mutation, selection, tenantId=customer.id, **wanted)


async def balance(customer: Customer, meter: str = "downloads") -> dict[str, int]:
    """The numbers of a meter's balance, which must add up."""
    query = """query ($id: ID, $meter: String) { creditBalance(tenantId: $id, meter: $meter) {
        balance pledged granted consumed expired revoked refunded } }"""
    [found] = (await customer.api.ask(query, id=customer.id, meter=meter))["creditBalance"]
    shown = {name: int(units) for name, units in found.items()}
    gone = shown["consumed"] + shown["expired"] + shown["revoked"] + shown["refunded"]
    assert shown["balance"] == shown["granted"] - gone
    return shown


async def left(customer: Customer, meter: str = "downloads") -> int:
    return (await balance(customer, meter))["balance"]


async def history(customer: Customer, *, first: int = 100, **which: Any) -> list[Json]:
    query = """query ($id: ID, $meter: String, $grant: ID, $first: Int) {
        creditHistory(tenantId: $id, meter: $meter, grantId: $grant, first: $first) {
          edges { node { grantId meter kind units eventKey periodStartsAt note } } } }"""
    edges = (await customer.api.ask(query, id=customer.id, first=first, **which))["creditHistory"]["edges"]
    return [edge["node"] for edge in edges]


async def alerts(api: Api, tenant: str) -> list[tuple[str, str | None, int, str]]:
    """Kind, meter, percentage, and what was used or spent of what, in order."""
    query = """query ($id: ID) { alerts(tenantId: $id, first: 100) { edges { node {
        kind meter percent units bound spent { amount } budget { amount } } } } }"""
    nodes = [edge["node"] for edge in (await api.ask(query, id=tenant))["alerts"]["edges"]]
    return [
        (
            node["kind"],
            node["meter"],
            node["percent"],
            f"{node['units'] or node['spent']['amount']} of {node['bound'] or node['budget']['amount']}",
        )
        for node in nodes
    ]


async def check(customer: Customer, quantity: int = 1, meter: str = "downloads") -> Json:
    query = f"""query ($id: ID, $meter: String!, $quantity: Int!) {{
        checkQuota(tenantId: $id, meter: $meter, quantity: $quantity) {{
          isAllowed credits spendCap {{ amount }} {WAYS_ON} decision {{ {DECISION} }} refusal {{ {REFUSAL} }} }} }}"""
    return dict((await customer.api.ask(query, id=customer.id, meter=meter, quantity=quantity))["checkQuota"])


async def upload(customer: Customer, key: str) -> Json:
    """Upload a document: one unit of `documents_created`; answers its decision and its refusal."""
    wanted = {
        "tenantId": customer.id,
        "name": "Lease",
        "content": base64.b64encode(customer.world.pdf()).decode(),
        "idempotencyKey": key,
    }
    document = f"""mutation ($input: UploadDocumentInput!) {{ uploadDocument(input: $input) {{
        decision {{ {DECISION} }} userErrors {{ {REFUSAL} }} }} }}"""
    return dict((await customer.api.ask(document, input=wanted))["uploadDocument"])


async def correct(customer: Customer, event_key: str, quantity: int | None, key: str = "fix") -> Any:
    """Take an event back, and replace it if there is a quantity."""
    event = await UsageEvent.get(tenant_id=customer.tenant.id, idempotency_key=event_key)
    fact = Fact(event.meter, event.quantity, event_key, event.occurred_at)
    command = Correct(customer.tenant.id, [Correction(fact, key, quantity)], customer.world.clock.now())
    [answer] = await operations.submit(customer.world.platform, command)
    return answer
