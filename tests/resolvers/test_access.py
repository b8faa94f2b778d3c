"""Who may do what: every field of the API, with no key, a wrong key, and the key of another tenant."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graphql import GraphQLObjectType

from server.asgi import graphql_schema
from storage.database import insert_new, rows
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.keys import ApiKey
from tests.services.steps import (
    INVITES,
    Customer,
    Json,
    do,
    event,
    global_id,
    make_plan,
    quota,
    raw_id,
    sign_up,
    signnow_books,
)
from tests.world import Api, World

pytestmark = pytest.mark.anyio

OPERATORS = {
    "replayWebhook",
    "retryJob",
    "stripeCalls",
    "webhookEvents",
    "applyDiscount",
    "cancelSubscription",
    "changePlan",
    "changeSeats",
    "catchUpStripe",
    "closePeriod",
    "correctUsage",
    "createMeter",
    "createPlan",
    "discrepancies",
    "deprovisionTenant",
    "endDiscount",
    "explainDiscrepancy",
    "grantCredits",
    "invitePool",
    "margin",
    "jobs",
    "plans",
    "pauseSubscription",
    "previewDunning",
    "provisionTenant",
    "reactivateTenant",
    "rebuildCounters",
    "reconcileSignNow",
    "recordUpstreamUsage",
    "reconcileStripe",
    "assignSignNowOrganization",
    "catchUpSignNow",
    "checkTenants",
    "repairTenant",
    "repairStripeMirror",
    "reportUsageToStripe",
    "stripeDrift",
    "refundCredits",
    "resumeSubscription",
    "revokeCredits",
    "setInvitePool",
    "setUpstreamCost",
    "subscribeTenant",
    "tenants",
    "upstreamCosts",
    "updateTenant",
}
"""Fields for the operator's key alone."""
OPEN = {"receiveStripeWebhook", "receiveSignNowWebhook"}
"""Fields that ask for no key: the signature says who sent it."""
OWN_ACCOUNT = {"assignSignNowOrganization", "connectSignNow", "signNowAuthorizationUrl"}
"""Fields for tenants with a SignNow user of their own."""
PDF = base64.b64encode(World.pdf()).decode()

QUERIES = {
    "alerts": "query ($tenant: ID) { alerts(tenantId: $tenant) { edges { node { id percent } } } }",
    "billingModels": "{ billingModels { code } }",
    "checkQuota": 'query ($tenant: ID) { checkQuota(tenantId: $tenant, meter: "invites_sent") { used } }',
    "creditBalance": "query ($tenant: ID) { creditBalance(tenantId: $tenant) { balance grants { units } } }",
    "creditHistory": """query ($tenant: ID, $grant: ID) { creditHistory(tenantId: $tenant, grantId: $grant) {
        edges { node { units } } } }""",
    "discrepancies": "query ($tenant: ID) { discrepancies(tenantId: $tenant) { edges { node { kind } } } }",
    "document": "query ($tenant: ID, $doc: ID!) { document(tenantId: $tenant, id: $doc) { name } }",
    "documentGroupStatus": """query ($tenant: ID, $group: ID!) {
        documentGroupStatus(tenantId: $tenant, groupId: $group) { status } }""",
    "documentGroups": "query ($tenant: ID) { documentGroups(tenantId: $tenant) { edges { node { name } } } }",
    "documentHistory": """query ($tenant: ID, $doc: ID!) {
        documentHistory(tenantId: $tenant, documentId: $doc) { event } }""",
    "documentStatus": """query ($tenant: ID, $doc: ID!) {
        documentStatus(tenantId: $tenant, documentId: $doc) { status } }""",
    "documents": "query ($tenant: ID) { documents(tenantId: $tenant) { edges { node { name } } } }",
    "explainPrice": """{ explainPrice(model: "flat", config: {fee: "1"}, quantity: "1", currency: "USD") {
        total { amount } } }""",
    "invitePool": '{ invitePool(on: "2026-03-10") { used } }',
    "invoice": "query ($invoice: ID!) { invoice(id: $invoice) { state upstream { units } } }",
    "jobs": "{ jobs(state: FAILED) { edges { node { id topic } } } }",
    "stripeCalls": "{ stripeCalls(state: CONFIRMED) { edges { node { id path } } } }",
    "webhookEvents": "{ webhookEvents(source: STRIPE) { edges { node { id type } } } }",
    "invoices": "query ($tenant: ID) { invoices(tenantId: $tenant) { edges { node { upstream { units } } } } }",
    "margin": '{ margin(month: "2026-03", groupBy: TENANT) { totals { unitsBought } } }',
    "meters": "{ meters { code } }",
    "node": "query ($node: ID!) { node(id: $node) { id ... on Invoice { upstream { units } } } }",
    "notices": "query ($tenant: ID) { notices(tenantId: $tenant) { edges { node { id kind } } } }",
    "plan": "query ($plan: ID!) { plan(id: $plan) { code } }",
    "plans": "{ plans { edges { node { code } } } }",
    "previewChange": """query ($tenant: ID) { previewChange(tenantId: $tenant, seats: 2, at: NOW) {
        difference { amount } } }""",
    "signNowAuthorizationUrl": """query ($tenant: ID) { signNowAuthorizationUrl(tenantId: $tenant,
        redirectUri: "https://app.test/back", state: "s") }""",
    "stripeDrift": "{ stripeDrift { kind } }",
    "previewDunning": """{ previewDunning(on: "2030-01-01T00:00:00Z") {
        edges { node { tenant { name } } } } }""",
    "tenant": "query ($tenant: ID) { tenant(id: $tenant) { name } }",
    "tenants": "{ tenants { edges { node { name } } } }",
    "topUpOrder": "query ($order: ID!) { topUpOrder(id: $order) { status } }",
    "topUpOrders": "query ($tenant: ID) { topUpOrders(tenantId: $tenant) { edges { node { status } } } }",
    "upcomingInvoice": "query ($tenant: ID) { upcomingInvoice(tenantId: $tenant) { total { amount } } }",
    "upstreamCosts": "{ upstreamCosts { kind } }",
    "usage": "query ($tenant: ID) { usage(tenantId: $tenant) { meters { used } } }",
    "usageEvents": """query ($tenant: ID) { usageEvents(tenantId: $tenant, meter: "invites_sent") {
        edges { node { idempotencyKey } } } }""",
    "usageSeries": """query ($tenant: ID) { usageSeries(tenantId: $tenant, meter: "invites_sent",
        from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z", by: TOTAL) { points { used } } }""",
    "viewer": "{ viewer { role tenant { id } } }",
}
MUTATIONS = {
    "applyDiscount": 'tenantId: $tenant, idempotencyKey: "a", label: "Launch", percent: "10"',
    "cancelSubscription": "tenantId: $tenant, at: PERIOD_END",
    "changePlan": 'tenantId: $tenant, planId: $plan, at: NOW, idempotencyKey: "p"',
    "changeSeats": 'tenantId: $tenant, seats: 2, at: NOW, idempotencyKey: "s"',
    "assignSignNowOrganization": 'tenantId: $tenant, organizationId: "o"',
    "catchUpStripe": "",
    "catchUpSignNow": "",
    "checkTenants": "tenantId: $tenant",
    "connectSignNow": 'tenantId: $tenant, code: "c"',
    "repairTenant": "tenantId: $tenant",
    "closePeriod": "tenantId: $tenant",
    "correctUsage": 'tenantId: $tenant, corrections: [{eventKey: "billed", idempotencyKey: "c"}]',
    "createDocumentFromTemplate": 'tenantId: $tenant, templateId: $doc, name: "Copy", idempotencyKey: "ct"',
    "createEmbeddedInvite": """tenantId: $tenant, documentId: $doc, idempotencyKey: "ei",
        signers: [{email: "ann@x.test", role: "Signer 1"}]""",
    "createEmbeddedSigningLink": 'tenantId: $tenant, documentId: $doc, role: "Signer 1", idempotencyKey: "el"',
    "createMeter": 'code: "pages", unit: "page", description: "Pages."',
    "createPlan": """code: "c", name: "C", currency: "USD",
        prices: [{meter: "invites_sent", model: "flat", config: {fee: "1"}}]""",
    "createPortalSession": 'tenantId: $tenant, returnUrl: "https://app.test"',
    "createTopUpCheckout": """tenantId: $tenant, meter: "downloads", units: 10, idempotencyKey: "c",
        successUrl: "https://x.test", cancelUrl: "https://x.test" """,
    "deprovisionTenant": "tenantId: $tenant",
    "createTemplate": 'tenantId: $tenant, documentId: $doc, name: "Template", idempotencyKey: "te"',
    "downloadSigned": 'tenantId: $tenant, documentId: $doc, idempotencyKey: "d"',
    "grantCredits": 'tenantId: $tenant, meter: "downloads", units: 5, source: OTHER, idempotencyKey: "g"',
    "endDiscount": "tenantId: $tenant, discountId: $discount",
    "pauseSubscription": 'tenantId: $tenant, at: PERIOD_END, idempotencyKey: "z"',
    "explainDiscrepancy": 'id: $discrepancy, note: "By hand."',
    "provisionTenant": 'externalReference: "new", name: "New", email: "n@new.test", currency: "USD"',
    "receiveSignNowWebhook": 'payload: "{}", signature: "x"',
    "receiveStripeWebhook": 'payload: "{}", signature: "x"',
    "reactivateTenant": "tenantId: $tenant",
    "rebuildCounters": "tenantId: $tenant",
    "reconcileSignNow": 'month: "2026-03", tenantId: $tenant',
    "recordUpstreamUsage": 'figures: [{period: "2026-03", invites: "1"}]',
    "reconcileStripe": "tenantId: $tenant",
    "recordUsage": 'tenantId: $tenant, events: [{meter: "invites_sent", quantity: 1, idempotencyKey: "e"}]',
    "replayWebhook": "eventId: $event",
    "retryJob": "jobId: $job",
    "refundCredits": 'tenantId: $tenant, grantId: $grant, units: 1, idempotencyKey: "r"',
    "repairStripeMirror": 'planCode: "c"',
    "reportUsageToStripe": "tenantId: $tenant",
    "resendInvite": 'tenantId: $tenant, documentId: $doc, role: "Signer 1", idempotencyKey: "re"',
    "replaceSigner": """tenantId: $tenant, documentId: $doc, role: "Signer 1", email: "eve@x.test",
        idempotencyKey: "rs" """,
    "revokeCredits": 'tenantId: $tenant, grantId: $grant, units: 1, idempotencyKey: "r"',
    "resumeSubscription": "tenantId: $tenant",
    "sendInvite": """tenantId: $tenant, documentId: $doc, idempotencyKey: "i",
        signers: [{email: "ann@x.test", role: "Signer 1"}]""",
    "setInvitePool": 'units: "100", from: "2026-01-01", to: "2027-01-01"',
    "setUpstreamCost": 'unitCost: "1.20", from: "2026-01-01T00:00:00Z"',
    "setBudget": 'tenantId: $tenant, amount: "5.00"',
    "subscribeTenant": "tenantId: $tenant, planId: $plan",
    "topUp": 'tenantId: $tenant, meter: "downloads", units: 10, idempotencyKey: "t"',
    "updateTenant": 'tenantId: $tenant, address: {country: "US", postalCode: "97201"}',
    "uploadDocument": f'tenantId: $tenant, name: "Lease", content: "{PDF}", idempotencyKey: "u"',
    "uploadDocumentFromUrl": """tenantId: $tenant, name: "Lease", url: "https://acme.test/lease.pdf",
        idempotencyKey: "uu" """,
    "cancelGroupInvite": 'tenantId: $tenant, groupId: $group, idempotencyKey: "cg"',
    "cancelInvite": 'tenantId: $tenant, documentId: $doc, idempotencyKey: "ci"',
    "createDocumentGroup": 'tenantId: $tenant, name: "Closing", documentIds: [$doc], idempotencyKey: "mg"',
    "deleteDocumentGroup": 'tenantId: $tenant, groupId: $group, idempotencyKey: "dg"',
    "downloadDocumentGroup": 'tenantId: $tenant, groupId: $group, idempotencyKey: "lg"',
    "resendGroupInvite": 'tenantId: $tenant, groupId: $group, email: "ann@x.test", idempotencyKey: "rg"',
    "sendGroupInvite": """tenantId: $tenant, groupId: $group, idempotencyKey: "sg",
        signers: [{documentId: $member, email: "ann@x.test", role: "Signer 1"}]""",
    "deleteDocument": 'tenantId: $tenant, documentId: $doc, idempotencyKey: "dd"',
}
REFUSED_HERE = {
    "closePeriod",
    "createDocumentFromTemplate",
    "createDocumentGroup",
    "createEmbeddedInvite",
    "createEmbeddedSigningLink",
    "deprovisionTenant",
    "resendGroupInvite",
    "sendInvite",
    "subscribeTenant",
    "uploadDocumentFromUrl",
}
"""For other reasons: not over, no template, sent before, not embedded, it ends it all, not out yet, subscribed before,
no file.
"""
LAST = ("cancelGroupInvite", "cancelInvite", "deleteDocument", "deleteDocumentGroup")
OF_GROUPS = (
    "cancelGroupInvite",
    "deleteDocumentGroup",
    "downloadDocumentGroup",
    "resendGroupInvite",
    "sendGroupInvite",
)
OF_DOCUMENTS = (
    "cancelInvite",
    "createEmbeddedInvite",
    "createEmbeddedSigningLink",
    "createTemplate",
    "deleteDocument",
    "downloadSigned",
    "replaceSigner",
    "resendInvite",
    "sendInvite",
)
DOWNLOADS = {**quota("downloads", "TOP_UP", 5), "topUpPacks": [{"units": 10, "price": "9.00"}]}
VARIABLES = (
    "tenant",
    "doc",
    "group",
    "member",
    "invoice",
    "node",
    "plan",
    "discount",
    "grant",
    "event",
    "job",
    "discrepancy",
    "order",
)


@dataclass(frozen=True, slots=True)
class Owner:
    """A tenant with its key and an id of everything that it has."""

    customer: Customer
    api: Api
    ids: dict[str, str]


def document_of(field: str) -> str:
    """The GraphQL document that uses a field."""
    if field in QUERIES:
        return QUERIES[field]
    uses = [name for name in VARIABLES if f"${name}" in MUTATIONS[field]]
    needed = "".join(f"${name}: ID!, " for name in uses).rstrip(", ")
    head = f"mutation ({needed})" if needed else "mutation"
    return f"{head} {{ {field}(input: {{{MUTATIONS[field]}}}) {{ userErrors {{ __typename path }} }} }}"


async def use(api: Api, field: str, ids: dict[str, str]) -> Json:
    """What is answered to a field; variables that it does not need are left out."""
    text = document_of(field)
    return await api.post(text, **{name: value for name, value in ids.items() if f"${name}" in text})


def codes(answer: Json) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


def refusals(answer: Json, field: str) -> list[str]:
    assert "errors" not in answer, answer
    return [error["__typename"] for error in answer["data"][field]["userErrors"]]


async def a_discrepancy(customer: Customer) -> str:
    row = Discrepancy(
        tenant_id=customer.tenant.id,
        kind="COUNTER",
        subject="downloads",
        ours_minor=1,
        theirs_minor=2,
        currency="",
        evidence={},
        state=DiscrepancyState.OPEN,
        created_at=customer.world.clock.now(),
    )
    await insert_new(row)
    return global_id("Discrepancy", row.id)


async def owner(world: World, reference: str) -> Owner:
    customer = await sign_up(world, reference=reference, code=reference, quotas=[DOWNLOADS])
    bought = await do(
        customer.api, "topUp", "grant { id }", tenantId=customer.id, meter="downloads", units=10, idempotencyKey="first"
    )
    page = await do(
        customer.api,
        "createTopUpCheckout",
        "checkout { id }",
        tenantId=customer.id,
        meter="downloads",
        units=10,
        idempotencyKey="first",
        successUrl="https://x.test",
        cancelUrl="https://x.test",
    )
    document = await customer.send(1)
    member = await customer.document("up-member", "Grouped")
    grouping = {"name": "Closing", "documentIds": [member], "idempotencyKey": "first"}
    made = await do(customer.api, "createDocumentGroup", "group { id }", tenantId=customer.id, **grouping)
    await customer.record(event("billed", 3))
    await world.travel_to(datetime(2026, 4, 10, tzinfo=UTC))
    closed = await customer.close()
    world.clock.travel_to(datetime(2026, 3, 10, 9, tzinfo=UTC))
    plans = (await world.operator.ask("{ plans { edges { node { id code } } } }"))["plans"]["edges"]
    [plan] = [edge["node"]["id"] for edge in plans if edge["node"]["code"] == reference]
    apply = "discount { id }"
    pool = {"units": "2000", "from": "2026-01-01", "to": "2027-01-01"}
    assert (await customer.api.do("setInvitePool", "pool { units }", **pool))["userErrors"] == []
    discount = await customer.api.do(
        "applyDiscount", apply, tenantId=customer.id, idempotencyKey="first", label="First", percent="1"
    )
    running = "query ($id: ID) { tenant(id: $id) { subscription { id } } }"
    events = (await world.operator.ask(QUERIES["webhookEvents"]))["webhookEvents"]["edges"]
    await rows("UPDATE job SET state = 'FAILED' WHERE tenant_id = ? AND topic = 'invoice.push'", customer.tenant.id)
    failed = (await world.operator.ask(QUERIES["jobs"]))["jobs"]["edges"]
    ids = {
        "event": events[0]["node"]["id"],
        "job": failed[-1]["node"]["id"],
        "tenant": customer.id,
        "subscription": (await customer.api.ask(running, id=customer.id))["tenant"]["subscription"]["id"],
        "doc": document,
        "group": made["group"]["id"],
        "member": member,
        "invoice": closed["invoice"]["id"],
        "node": closed["invoice"]["id"],
        "plan": plan,
        "grant": bought["grant"]["id"],
        "order": page["checkout"]["id"],
        "discount": discount["discount"]["id"],
        "discrepancy": await a_discrepancy(customer),
    }
    return Owner(customer, await customer.own_api(), ids)


def test_the_lists_above_name_every_field() -> None:
    schema = graphql_schema()._schema
    for kind, named in ((schema.query_type, QUERIES), (schema.mutation_type, MUTATIONS)):
        assert isinstance(kind, GraphQLObjectType)
        assert sorted(kind.fields) == sorted(named)


async def test_without_a_valid_key_every_field_is_closed(world: World) -> None:
    acme = await owner(world, "acme")
    revoked = await acme.customer.own_api()
    newest = await ApiKey.filter(tenant_id=acme.customer.tenant.id).order_by("-id").first()
    assert newest is not None
    await ApiKey.filter(id=newest.id).update(revoked_at=world.clock.now())
    wrong = [None, "", "ink_op_wrong", "ink_op_test ", "ink_op_tes", "ink_tn_' OR 1=1", "x" * 5000]
    for api in [revoked, *(world.api(key) for key in wrong if key != "ink_op_test ")]:
        for field in (*QUERIES, *MUTATIONS.keys() - OPEN):
            answer = await use(api, field, acme.ids)
            assert codes(answer) == ["UNAUTHENTICATED"], field
            assert not (answer.get("data") or {}).get(field), field
    for field in OPEN:
        assert refusals(await use(world.api(None), field, {}), field) == ["WebhookRejected"]
    for header in ("Basic aW5rX29wX3Rlc3Q=", "ink_op_test", "Bearer", "Bearer  ", "bearer ink_op_test x"):
        response = await world.http.post(
            "/graphql", json={"query": "{ viewer { role } }"}, headers={"authorization": header}
        )
        assert codes(response.json()) == ["UNAUTHENTICATED"], header


async def test_the_operator_may_use_every_field(world: World) -> None:
    acme = await owner(world, "acme")
    # What ends a document comes last; updateTenant has what failed tried again.
    for field in (*QUERIES, *sorted(MUTATIONS.keys() - OPEN, key=lambda name: (name in LAST, name))):
        if field in REFUSED_HERE or field in OWN_ACCOUNT:
            continue
        answer = await use(world.operator, field, acme.ids)
        assert codes(answer) == [], field
        assert answer["data"][field] is not None, field
        if field in MUTATIONS:
            assert refusals(answer, field) == [], field
    invoice = await use(world.operator, "invoice", acme.ids)
    assert invoice["data"]["invoice"]["upstream"] == {"units": "1"}
    assert refusals(await use(world.operator, "deprovisionTenant", acme.ids), "deprovisionTenant") == []


async def test_the_operator_names_the_tenant(world: World) -> None:
    await owner(world, "acme")
    names = ("alerts", "checkQuota", "creditBalance", "documents", "invoices", "tenant", "topUpOrders", "usage")
    for field in (*names, "notices", "previewChange", "upcomingInvoice", "usageEvents", "usageSeries"):
        assert codes(await use(world.operator, field, {})) == ["INVALID_INPUT"], field


async def test_a_tenants_key_is_not_the_operators(world: World) -> None:
    acme = await owner(world, "acme")
    for field in OPERATORS:
        answer = await use(acme.api, field, acme.ids)
        if field in QUERIES:
            assert codes(answer) == ["NOT_PERMITTED"], field
        else:
            assert refusals(answer, field) == ["NotPermitted"], field
    plans = (await use(world.operator, "plans", {}))["data"]["plans"]["edges"]
    tenants = (await use(world.operator, "tenants", {}))["data"]["tenants"]["edges"]
    assert (len(plans), len(tenants)) == (1, 1)


async def test_a_tenants_key_sees_its_own(world: World) -> None:
    acme = await owner(world, "acme")
    for ids in (acme.ids, {name: value for name, value in acme.ids.items() if name != "tenant"}):
        for field in QUERIES.keys() - OPERATORS - OWN_ACCOUNT:
            answer = await use(acme.api, field, ids)
            assert codes(answer) == [], field
            assert answer["data"][field] is not None, field
    viewer = (await use(acme.api, "viewer", {}))["data"]["viewer"]
    assert viewer == {"role": "TENANT", "tenant": {"id": acme.customer.id}}
    for field, refusal in (
        ("downloadSigned", []),
        ("recordUsage", []),
        ("uploadDocument", []),
        ("sendInvite", ["Conflict"]),
        ("createPortalSession", []),
        ("resendInvite", []),
        ("replaceSigner", []),
        ("cancelInvite", []),
        ("deleteDocument", []),
        ("setBudget", []),
        ("topUp", []),
        ("createTopUpCheckout", []),
    ):
        assert refusals(await use(acme.api, field, acme.ids), field) == refusal, field


async def test_what_the_operator_pays_is_hidden_from_tenants(world: World) -> None:
    acme = await owner(world, "acme")
    assert (await use(acme.api, "invoice", acme.ids))["data"]["invoice"]["upstream"] is None
    assert (await use(acme.api, "node", acme.ids))["data"]["node"]["upstream"] is None
    edges = (await use(acme.api, "invoices", acme.ids))["data"]["invoices"]["edges"]
    assert [edge["node"]["upstream"] for edge in edges] == [None]


async def test_another_tenants_ids_are_like_unknown_ones(world: World) -> None:
    acme, bolt = await owner(world, "acme"), await owner(world, "bolt")
    nobody = {
        name: global_id(kind, "01940000-0000-7000-8000-000000000000")
        for name, kind in {
            "tenant": "Tenant",
            "doc": "Document",
            "group": "DocumentGroup",
            "member": "Document",
            "invoice": "Invoice",
            "node": "Invoice",
            "grant": "CreditGrant",
            "order": "TopUpOrder",
        }.items()
    }
    before = await world.operator.ask(QUERIES["usage"], tenant=acme.customer.id)
    books = await signnow_books(world)
    for foreign in (acme.ids, nobody):
        for field in ("document", "invoice", "node", "tenant", "topUpOrder"):
            answer = await use(bolt.api, field, foreign)
            assert answer["data"] == {field: None} or codes(answer) == ["NOT_FOUND"], field
        names = ("alerts", "checkQuota", "creditBalance", "creditHistory", "documents", "invoices", "topUpOrders")
        more = ("documentHistory", "documentStatus", "notices", "previewChange", "upcomingInvoice")
        groups = ("documentGroupStatus", "documentGroups")
        for field in (*names, *more, *groups, "usage", "usageEvents", "usageSeries"):
            answer = await use(bolt.api, field, foreign)
            assert (codes(answer), answer["data"]) == (["NOT_FOUND"], None), field
        writes = ("createPortalSession", "createTopUpCheckout", "recordUsage", "setBudget", "topUp", "uploadDocument")
        for field in (*writes, *OF_DOCUMENTS, *OF_GROUPS, "createDocumentFromTemplate", "uploadDocumentFromUrl"):
            answer = await use(bolt.api, field, foreign)
            assert refusals(answer, field) == ["NotFound"], field
            assert answer["data"][field]["userErrors"][0]["path"] == ["tenantId"], field
        own_tenant = {**foreign, "tenant": bolt.customer.id}
        assert (await use(bolt.api, "document", own_tenant))["data"] == {"document": None}
        assert codes(await use(bolt.api, "creditHistory", own_tenant)) == ["NOT_FOUND"]
        for field in ("documentGroupStatus", "documentHistory", "documentStatus"):
            assert codes(await use(bolt.api, field, own_tenant)) == ["NOT_FOUND"], field
        for field in OF_DOCUMENTS:
            answer = await use(bolt.api, field, own_tenant)
            assert answer["data"][field]["userErrors"] == [{"__typename": "NotFound", "path": ["documentId"]}], field
        for field in OF_GROUPS:
            answer = await use(bolt.api, field, own_tenant)
            assert answer["data"][field]["userErrors"] == [{"__typename": "NotFound", "path": ["groupId"]}], field
        answer = await use(bolt.api, "createDocumentGroup", own_tenant)
        assert refusals(answer, "createDocumentGroup") == ["NotFound"]
    for kind in ("tenant", "doc", "group", "invoice", "grant", "discount", "order", "subscription"):
        assert (await use(bolt.api, "node", {"node": acme.ids[kind]}))["data"] == {"node": None}
        assert (await use(bolt.api, "node", {"node": bolt.ids[kind]}))["data"]["node"] is not None
    assert await world.operator.ask(QUERIES["usage"], tenant=acme.customer.id) == before
    assert await signnow_books(world) == books


async def test_whatever_has_a_global_id_is_found_by_it(world: World) -> None:
    acme = await owner(world, "acme")
    await acme.customer.record(event("warned", 200, "downloads"))
    alerts = (await use(acme.api, "alerts", acme.ids))["data"]["alerts"]["edges"]
    assert refusals(await use(world.operator, "deprovisionTenant", acme.ids), "deprovisionTenant") == []
    notices = (await use(acme.api, "notices", acme.ids))["data"]["notices"]["edges"]
    known = {**acme.ids, "alert": alerts[0]["node"]["id"], "notice": notices[0]["node"]["id"]}
    ids = {name: key for name, key in known.items() if name not in ("event", "job")}  # the operator's lists
    query = "query ($id: ID!) { node(id: $id) { __typename id } }"
    schema = graphql_schema()._schema
    kinds = {kind.name for kind in schema.get_possible_types(schema.type_map["Node"])}  # type: ignore[arg-type]
    for api, hidden in ((world.operator, set()), (acme.api, {"Discrepancy"})):
        shown = [known for name, known in ids.items() if name.capitalize() not in hidden]
        found = [(await api.ask(query, id=known))["node"] for known in shown]
        assert [node["id"] for node in found] == shown
        assert {node["__typename"] for node in found} == kinds - hidden
    assert (await acme.api.ask(query, id=acme.ids["discrepancy"]))["node"] is None


async def test_a_document_and_its_tenant_must_fit_for_the_operator_too(world: World) -> None:
    acme, bolt = await owner(world, "acme"), await owner(world, "bolt")
    mixed = {**acme.ids, "tenant": bolt.customer.id}
    assert (await use(world.operator, "document", mixed))["data"] == {"document": None}
    for field in (*OF_DOCUMENTS, "endDiscount", "refundCredits", "revokeCredits"):
        assert refusals(await use(world.operator, field, mixed), field) == ["NotFound"]


def malformed(own: str) -> list[Any]:
    """Ids that are none, or of another kind, or of this one in another spelling."""
    kind, _, key = base64.b64decode(own).decode().partition(":")
    spelled = [
        f"{kind}:{k}" for k in (key.upper(), f"{{{key}}}", f"urn:uuid:{key}", key.replace("-", ""), f" {key}", "")
    ]
    spelled += [f"{kind}:\0", f"{kind}:' OR '1'='1", f"{kind.lower()}:{key}", f"Nothing:{key}", f":{key}", "::", key]
    encoded = [base64.b64encode(text.encode()).decode() for text in spelled]
    return ["", " ", "x", "=", "🙂", own[:-3], "x" * 10_000, base64.b64encode(b"\xff:\xfe").decode(), *encoded]


async def test_malformed_ids_are_refused_in_words(world: World) -> None:
    acme = await owner(world, "acme")
    for api in (world.operator, acme.api):
        for field in (*QUERIES, *MUTATIONS):
            text = document_of(field)
            for name in [name for name in VARIABLES if f"${name}" in text]:
                for wrong in malformed(acme.ids[name]):
                    answer = await use(api, field, {**acme.ids, name: wrong})
                    shown = set(codes(answer))
                    assert shown <= {"BAD_USER_INPUT", "NOT_FOUND", "NOT_PERMITTED"}, (field, name, wrong, answer)
                    if not shown and field in QUERIES:
                        assert answer["data"] == {field: None}, (field, name, wrong)
                    elif not shown:
                        assert refusals(answer, field) in (["NotFound"], ["NotPermitted"]), (field, name, wrong)


async def test_cursors(world: World) -> None:
    acme, bolt = await owner(world, "acme"), await owner(world, "bolt")
    for number in range(2, 6):
        await acme.customer.document(f"up-{number}", f"Lease {number}")
    page = """query ($first: Int, $after: String) { documents(first: $first, after: $after) {
        edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
    names: list[str] = []
    after = None
    while True:
        shown = (await acme.api.ask(page, first=2, after=after))["documents"]
        names += [edge["node"]["name"] for edge in shown["edges"]]
        assert shown["pageInfo"]["hasPreviousPage"] == (after is not None)
        after = shown["pageInfo"]["endCursor"]
        if not shown["pageInfo"]["hasNextPage"]:
            break
    assert names == ["Lease 1", "Grouped", *(f"Lease {number}" for number in range(2, 6))]
    seen = (await bolt.api.ask(page, first=5, after=after))["documents"]["edges"]
    assert [edge["node"]["name"] for edge in seen] in ([], ["Lease 1"]), "a foreign cursor is a place, not a key"
    empty = (await acme.api.ask(page, first=0))["documents"]
    assert (empty["edges"], empty["pageInfo"]["hasNextPage"]) == ([], True)
    for wrong in (
        "",
        "x",
        "AAAA",
        "🙂",
        "=" * 10,
        "x" * 10_000,
        acme.ids["doc"],
        raw_id(acme.ids["doc"]).hex,
    ):
        assert codes(await acme.api.post(page, after=wrong)) == ["BAD_USER_INPUT"], wrong
    for size in (-1, 101, 2**31 - 1):
        assert codes(await acme.api.post(page, first=size)) == ["BAD_USER_INPUT"], size


async def test_lists_of_the_operator_are_paged(world: World) -> None:
    for reference in ("a", "b", "c"):
        await world.provision(reference)
        await make_plan(world, INVITES, code=reference)
    for field, name in (("tenants", "externalReference"), ("plans", "code")):
        query = f"""query ($after: String) {{ {field}(first: 2, after: $after) {{
            edges {{ node {{ {name} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
        first = (await world.operator.ask(query))[field]
        second = (await world.operator.ask(query, after=first["pageInfo"]["endCursor"]))[field]
        assert [edge["node"][name] for edge in first["edges"] + second["edges"]] == ["a", "b", "c"]
        assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)


async def test_reads_go_on_without_a_subscription(world: World) -> None:
    customer = Customer(world, await world.provision(), world.operator)
    assert codes(await use(world.operator, "usage", {"tenant": customer.id})) == ["SUBSCRIPTION_INACTIVE"]
    assert await customer.invoices() == []
    world.clock.travel_to(world.clock.now() + timedelta(days=1))
    assert (await use(world.operator, "documents", {"tenant": customer.id}))["data"]["documents"] == {"edges": []}
