"""What an operator, a tenant and a bad network do: steps through the API and the sandboxes' control planes."""

import base64
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
import stripe

from integrations.signnow.client import SignNowClient
from services import keys
from storage.documents import Document
from storage.tenants import Tenant
from tests.world import Api, World

Json = dict[str, Any]

ERRORS: Final = """userErrors { __typename code message path
    ... on InvalidInput { problems { path message } } ... on InvalidConfig { problems { path message } }
    ... on QuotaExceeded { meter limit used requested resetsAt } ... on SignNowRefused { upstreamCode } }"""
METER: Final = """code unit description aggregation source property decimals rounding isBuiltIn
    filters { property values }"""
DECISION: Final = "decision { reason price { amount currency } }"
INVOICE: Final = """id state total { amount currency } period { start end } paidAt hostedUrl
    lines { kind label meter model quantity unitPrice amount { amount } }
    upstream { units cost { amount } margin { amount } }"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clients repeat failed calls at once instead of after a pause."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)
    defaults = {**(SignNowClient.__init__.__kwdefaults__ or {}), "read_backoff": 0.0}
    monkeypatch.setattr(SignNowClient.__init__, "__kwdefaults__", defaults)


def price(meter: str, model: str, **config: Any) -> Json:
    return {"meter": meter, "model": model, "config": config}


INVITES: Final = price("invites_sent", "per-document", unitPrice="2.00")
"""The simplest price: two dollars for each invite."""


def quota(meter: str, policy: str, units: int | None = None) -> Json:
    return {"meter": meter, "policy": policy, "units": units}


def global_id(kind: str, key: object) -> str:
    return base64.b64encode(f"{kind}:{key}".encode()).decode()


def raw_id(shown: str) -> UUID:
    """The UUID inside a global id."""
    return UUID(base64.b64decode(shown).decode().partition(":")[2])


def refused(payload: Json) -> Json:
    """The one user error of a payload that changed nothing."""
    [error] = payload["userErrors"]
    assert not any(value for name, value in payload.items() if name != "userErrors")
    return dict(error)


def problems(payload: Json) -> dict[str, str]:
    """Path and message of everything that is wrong with an input."""
    return {".".join(problem["path"]): problem["message"] for problem in refused(payload)["problems"]}


async def fault(sandbox: httpx.AsyncClient, kind: str, times: int = 1, *, on: str = "/", method: str = "POST") -> None:
    """The next calls of that method and path fail."""
    order = {"kind": kind, "times": times, "path_prefix": on, "method": method}
    (await sandbox.post("/_sandbox/faults", json=order)).raise_for_status()


async def do(api: Api, mutation: str, selection: str, /, **input: Any) -> Json:
    """Run a mutation; its payload with all that user errors have."""
    kind = mutation[0].upper() + mutation[1:] + "Input"
    document = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {selection} {ERRORS} }} }}"
    payload: Json = (await api.ask(document, input=input))[mutation]
    return payload


async def make_plan(world: World, *prices: Json, quotas: Sequence[Json] = (), **more: Any) -> str:
    """A plan; answers its global id."""
    terms = {"code": "growth", "name": "Growth", "currency": "USD", **more}
    made = await do(world.operator, "createPlan", "plan { id }", prices=prices, quotas=quotas, **terms)
    assert made["userErrors"] == []
    return str(made["plan"]["id"])


@dataclass(frozen=True, slots=True)
class Customer:
    """A tenant and what is done in its name, with the operator's key unless `api` is another."""

    world: World
    tenant: Tenant
    api: Api

    @property
    def id(self) -> str:
        return global_id("Tenant", self.tenant.public_id)

    async def state(self) -> str:
        asked = await self.api.ask("query ($id: ID!) { tenant(id: $id) { state } }", id=self.id)
        return str(asked["tenant"]["state"])

    async def own_api(self) -> Api:
        """The API with a key of the tenant's."""
        return Api(self.world.http, await keys.create_key(self.world.platform, keys.Role.TENANT, self.tenant.public_id))

    async def subscribe(self, plan: str, **terms: Any) -> Json:
        selection = "subscription { id seats zone anchorOn isMirrored plan { id } }"
        return await do(self.api, "subscribeTenant", selection, tenantId=self.id, planId=plan, **terms)

    async def upload(self, key: str = "up", name: str = "Lease", content: bytes | None = None) -> Json:
        return await do(
            self.api,
            "uploadDocument",
            f"document {{ id name state }} {DECISION}",
            tenantId=self.id,
            name=name,
            content=base64.b64encode(self.world.pdf() if content is None else content).decode(),
            idempotencyKey=key,
        )

    async def document(self, key: str = "up", name: str = "Lease") -> str:
        """Upload a document that must succeed; answers its global id."""
        uploaded = await self.upload(key, name)
        assert uploaded["userErrors"] == []
        return str(uploaded["document"]["id"])

    async def invite(self, document: str, key: str = "in", *emails: str, **more: Any) -> Json:
        signers = [{"email": e, "role": f"Signer {n}"} for n, e in enumerate(emails or ("ann@x.test",), start=1)]
        return await do(
            self.api,
            "sendInvite",
            f"document {{ id state }} {DECISION}",
            **{
                "tenantId": self.id,
                "documentId": document,
                "signers": signers,
                "idempotencyKey": key,
                **more,
            },
        )

    async def download(self, document: str, key: str = "down") -> Json:
        return await do(
            self.api,
            "downloadSigned",
            f"document {{ id state }} content {DECISION}",
            tenantId=self.id,
            documentId=document,
            idempotencyKey=key,
        )

    async def send(self, number: int | str, *emails: str) -> str:
        """Upload and send a document, both of which must succeed; answers its global id."""
        document = await self.document(f"up-{number}", f"Lease {number}")
        sent = await self.invite(document, f"in-{number}", *emails)
        assert sent["userErrors"] == []
        return document

    async def sign(self, document: str, *emails: str) -> None:
        """Each signer signs."""
        stored = await Document.get(id=raw_id(document))
        for email in emails or ("ann@x.test",):
            await self.world.sign(stored.signnow_document_id, email)

    async def usage(self) -> dict[str, tuple[int, int]]:
        """(used, reserved) of each meter of the current period that is not zero, seats left out."""
        query = "query ($id: ID) { usage(tenantId: $id) { meters { meter used reserved } } }"
        meters = (await self.api.ask(query, id=self.id))["usage"]["meters"]
        found = {m["meter"]: (int(m["used"]), int(m["reserved"])) for m in meters if m["meter"] != "seats"}
        return {meter: sums for meter, sums in found.items() if sums != (0, 0)}

    async def record(self, *events: Json) -> list[Json]:
        """The answer to each event."""
        recorded = await do(
            self.api,
            "recordUsage",
            "results { idempotencyKey status userError { __typename code message path } }",
            tenantId=self.id,
            events=events,
        )
        assert recorded["userErrors"] == []
        return list(recorded["results"])

    async def close(self) -> Json:
        return await do(self.api, "closePeriod", f"invoice {{ {INVOICE} }}", tenantId=self.id)

    async def invoices(self) -> list[Json]:
        query = f"query ($id: ID) {{ invoices(tenantId: $id) {{ edges {{ node {{ {INVOICE} }} }} }} }}"
        edges = (await self.api.ask(query, id=self.id))["invoices"]["edges"]
        return [edge["node"] for edge in edges]


def event(
    key: str,
    quantity: int | str = 1,
    meter: str = "invites_sent",
    occurred_at: str | None = None,
    properties: Json | None = None,
) -> Json:
    fact = {"meter": meter, "quantity": quantity, "idempotencyKey": key, "occurredAt": occurred_at}
    return fact if properties is None else {**fact, "properties": properties}


async def make_meter(world: World, code: str, aggregation: str = "SUM", **content: Any) -> Json:
    """A meter of the operator's, which must be made; its backfill is still to come."""
    content = {"unit": code.rstrip("s"), "description": f"All {code}.", "aggregation": aggregation, **content}
    made = await do(world.operator, "createMeter", f"meter {{ {METER} }}", code=code, **content)
    assert made["userErrors"] == [], made
    return dict(made["meter"])


async def sums(customer: "Customer", **when: str) -> dict[str, str]:
    """What `usage` shows as used, of all meters that are not zero, seats left out; `when` are at and asOf."""
    query = """query ($id: ID, $at: DateTime, $asOf: DateTime) {
        usage(tenantId: $id, at: $at, asOf: $asOf) { meters { meter used } } }"""
    meters = (await customer.api.ask(query, id=customer.id, **when))["usage"]["meters"]
    return {m["meter"]: m["used"] for m in meters if m["used"] != "0" and m["meter"] != "seats"}


async def provision(world: World, reference: str = "acme", currency: str = "USD") -> Customer:
    """A tenant that is ready."""
    return Customer(world, await world.provision(reference, currency), world.operator)


async def sign_up(
    world: World,
    *prices: Json,
    quotas: Sequence[Json] = (),
    reference: str = "acme",
    currency: str = "USD",
    code: str = "growth",
    **terms: Any,
) -> Customer:
    """A tenant with a running subscription to a plan with these prices; `terms` are the subscription's."""
    customer = await provision(world, reference, currency)
    plan = await make_plan(world, *(prices or (INVITES,)), quotas=quotas, code=code, currency=currency)
    subscribed = await customer.subscribe(plan, **terms)
    assert subscribed["userErrors"] == []
    assert subscribed["subscription"]["isMirrored"]
    return customer


async def stripe_books(world: World) -> Json:
    """Every object in Stripe's sandbox, by kind."""
    return dict((await world.stripe.get("/_sandbox/books")).json())


async def signnow_books(world: World, customer: Customer | None = None) -> dict[str, int]:
    """What SignNow's sandbox has counted, of one tenant's folder or of all; zeros are left out."""
    books = (await world.signnow.get("/_sandbox/books")).json()
    if customer is None:
        found = books["totals"]
    else:
        tenant = await Tenant.get(id=customer.tenant.id)
        found = books["folders"].get(tenant.signnow_folder_id, {})
    return {fact: units for fact, units in found.items() if units}


async def outcomes(*calls: Awaitable[Json]) -> list[str]:
    """What each of several calls came to: "ok", or the type of its user error. Sorted."""
    answers = [await call for call in calls]
    return sorted(a["userErrors"][0]["__typename"] if a["userErrors"] else "ok" for a in answers)
