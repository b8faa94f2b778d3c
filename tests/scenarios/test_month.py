"""A month of one tenant, through the API, from sign-up to payment."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from tests.world import START, World

pytestmark = pytest.mark.anyio

PLAN = {
    "code": "growth",
    "name": "Growth",
    "currency": "USD",
    "prices": [
        {
            "meter": "invites_sent",
            "model": "tiered",
            "config": {"fee": "49.00", "included": 1, "overage": {"unitPrice": "4.25"}},
        }
    ],
    "quotas": [{"meter": "invites_sent", "policy": "SOFT"}],
}


async def sign_up(world: World) -> str:
    """A tenant on the plan above; answers its global id."""
    api = world.operator
    plan = (await api.do("createPlan", "plan { id version }", **PLAN))["plan"]
    tenant = (
        await api.do(
            "provisionTenant",
            "tenant { id state }",
            externalReference="acme",
            name="Acme",
            email="billing@acme.test",
            currency="USD",
        )
    )["tenant"]
    assert tenant["state"] == "ACTIVE"
    subscribed = await api.do(
        "subscribeTenant", "subscription { isMirrored }", tenantId=tenant["id"], planId=plan["id"]
    )
    assert subscribed == {"subscription": {"isMirrored": True}, "userErrors": []}
    return str(tenant["id"])


async def sign_a_document(world: World, tenant: str, number: int) -> dict[str, Any]:
    """Upload, send, sign and download; answers the invite's decision."""
    api, key = world.operator, f"document-{number}"
    uploaded = await api.do(
        "uploadDocument",
        "document { id }",
        tenantId=tenant,
        name=f"Lease {number}",
        content=base64.b64encode(world.pdf()).decode(),
        idempotencyKey=f"{key}-up",
    )
    document = uploaded["document"]["id"]
    invited = await api.do(
        "sendInvite",
        "document { state } decision { reason price { amount currency } }",
        tenantId=tenant,
        documentId=document,
        signers=[{"email": "ann@x.test", "role": "Signer 1"}],
        idempotencyKey=f"{key}-in",
    )
    assert invited["document"] == {"state": "SENT"}
    found = (await world.signnow.get("/user/documentsv2", headers={"authorization": "Bearer sandbox-api-key"})).json()
    [signnow_id] = [d["id"] for d in found if d["document_name"] == f"Lease {number}"]
    await world.sign(signnow_id, "ann@x.test")
    await world.work()
    signed = await api.do(
        "downloadSigned",
        "content document { state }",
        tenantId=tenant,
        documentId=document,
        idempotencyKey=f"{key}-down",
    )
    assert signed["document"] == {"state": "COMPLETED"}
    assert base64.b64decode(signed["content"]).startswith(b"%PDF-")
    decision: dict[str, Any] = invited["decision"]
    return decision


async def test_a_month_from_sign_up_to_payment(world: World) -> None:
    tenant = await sign_up(world)
    first = await sign_a_document(world, tenant, 1)
    second = await sign_a_document(world, tenant, 2)
    assert first == {"reason": "INCLUDED", "price": {"amount": "0.00", "currency": "USD"}}
    assert second == {"reason": "OVERAGE", "price": {"amount": "4.25", "currency": "USD"}}

    await world.travel_to(START + timedelta(days=31))
    await world.work()
    closed = await world.operator.do("closePeriod", "invoice { state total { amount } }", tenantId=tenant)
    assert closed["invoice"]["total"] == {"amount": "53.25"}
    await world.work()
    found = await world.operator.ask(
        """query ($id: ID!) { invoices(tenantId: $id) { edges { node {
             state lines { label amount { amount } } upstream { units cost { amount } margin { amount } }
           } } } }""",
        id=tenant,
    )
    [edge] = found["invoices"]["edges"]
    assert edge["node"] == {
        "state": "PAID",
        "lines": [
            {"label": "Fee", "amount": {"amount": "49.00"}},
            {"label": "Per invite, of 1 included", "amount": {"amount": "0.00"}},
            {"label": "Overage per invite", "amount": {"amount": "4.25"}},
        ],
        "upstream": {"units": "2", "cost": {"amount": "3.00"}, "margin": {"amount": "50.25"}},
    }
