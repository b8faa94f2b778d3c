"""The month, told through the real API: sign-up, signing, quotas, the close, payments."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from inkmeter.clock import TravelClock
from integrations.signnow.sandbox.accounts import SandboxAccount
from server.demo.cast import CAST, Character
from server.demo.client import Api
from server.demo.pdf import contract
from server.sandboxes import STRIPE_KEY

PATIENCE_S = 30.0


@dataclass(slots=True)
class Tale:
    """What happened to one tenant."""

    character: Character
    tenant_id: str = ""
    refusals: list[dict[str, Any]] = field(default_factory=list)
    overage: list[str] = field(default_factory=list)
    signed_bytes: int = 0
    invoice: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    state: str = ""


class Story:
    """Plays the month. `now` and `end` are its limits; the clock is shared by Inkmeter and both sandboxes."""

    def __init__(self, api: Api, http: httpx.AsyncClient, clock: TravelClock, signnow: str, stripe: str) -> None:
        self.api, self.http, self.clock, self.signnow, self.stripe = api, http, clock, signnow, stripe
        self.tales = [Tale(character) for character in CAST]

    async def play(self, end: datetime) -> AsyncIterator[str]:
        """Yield a line for each chapter when it is done. `end` is when the month's billing period ends."""
        for tale in self.tales:
            await self._sign_up(tale)
        yield "5 tenants provisioned: a Stripe customer, a SignNow folder and a subscription each"
        for week in range(1, 7):
            self.clock.travel_to(self.clock.now() + timedelta(days=4))
            for tale in self.tales:
                if week <= tale.character.documents:
                    await self._sign_document(tale, week)
        yield "their documents uploaded, sent, signed and downloaded"
        for tale in self.tales:
            await self._report_api_calls(tale)
            await self._note_usage(tale)
        yield "API calls of Oriole Health reported in one batch, and once more: the second time nothing is counted"
        self.clock.travel_to(end + timedelta(minutes=5))
        await self._post(f"{self.stripe}/_sandbox/tick")
        await self._post(f"{self.stripe}/_sandbox/flush")
        yield "the month is over: Stripe has made its draft invoices and told us so"
        for tale in self.tales:
            await self.api.do("closePeriod", "invoice { id }", {"tenantId": tale.tenant_id})
        for tale in self.tales:
            await self._await_payment(tale)
        yield "periods closed, invoices pushed to Stripe, totals compared, payments answered by webhooks"

    async def _sign_up(self, tale: Tale) -> None:
        who = tale.character
        plan = _good(await self.api.do("createPlan", "plan { id }", who.plan))["plan"]
        tenant = _good(
            await self.api.do(
                "provisionTenant",
                "tenant { id state }",
                {
                    "externalReference": who.reference,
                    "name": who.name,
                    "email": f"billing@{who.reference}.test",
                    "currency": "USD",
                },
            )
        )["tenant"]
        tale.tenant_id = tenant["id"]
        _good(
            await self.api.do(
                "subscribeTenant",
                "subscription { id }",
                {"tenantId": tale.tenant_id, "planId": plan["id"], "seats": who.seats},
            )
        )
        if who.is_card_declined:
            url = f"{self.stripe}/v1/customers?email=billing@{who.reference}.test"
            [customer] = (await self._get(url, STRIPE_KEY))["data"]
            await self._post(f"{self.stripe}/_sandbox/customers/{customer['id']}/card", {"card": "decline"})

    async def _sign_document(self, tale: Tale, number: int) -> None:
        key, title = f"{tale.character.reference}-{number}", f"Contract {number} of {tale.character.name}"
        content = base64.b64encode(contract(title)).decode()
        uploaded = _good(
            await self.api.do(
                "uploadDocument",
                "document { id }",
                {"tenantId": tale.tenant_id, "name": title, "content": content, "idempotencyKey": f"{key}-up"},
            )
        )
        document = uploaded["document"]["id"]
        emails = [f"signer{n}@{tale.character.reference}.test" for n in range(1, tale.character.signers + 1)]
        invited = await self.api.do(
            "sendInvite",
            "document { id } decision { reason price { amount } }",
            {
                "tenantId": tale.tenant_id,
                "documentId": document,
                "signers": [{"email": e, "role": f"Signer {n}"} for n, e in enumerate(emails, start=1)],
                "idempotencyKey": f"{key}-in",
            },
        )
        if invited["userErrors"]:
            tale.refusals += invited["userErrors"]
            return
        if invited["decision"]["reason"] == "OVERAGE":
            tale.overage.append(invited["decision"]["price"]["amount"])
        for email in emails:
            await self._post(
                f"{self.signnow}/_sandbox/documents/{await self._signnow_id(title)}/sign", {"email": email}
            )
        await self._post(f"{self.signnow}/_sandbox/flush")
        await self._until(lambda: self._is_completed(document))
        signed = _good(
            await self.api.do(
                "downloadSigned",
                "content",
                {"tenantId": tale.tenant_id, "documentId": document, "idempotencyKey": f"{key}-down"},
            )
        )
        tale.signed_bytes += len(base64.b64decode(signed["content"]))

    async def _signnow_id(self, title: str) -> str:
        """The signer's side: they find the document by its name, as they would in their mail."""
        documents: Any = await self._get(f"{self.signnow}/user/documentsv2", SandboxAccount().api_key)
        [found] = [document["id"] for document in documents if document["document_name"] == title]
        return str(found)

    async def _is_completed(self, document: str) -> bool:
        found = await self.api.ask("query ($id: ID!) { node(id: $id) { ... on Document { state } } }", id=document)
        return bool(found["node"]["state"] == "COMPLETED")

    async def _report_api_calls(self, tale: Tale) -> None:
        calls = tale.character.api_calls
        if not calls:
            return
        per_day = [calls // 5] * 4 + [calls - calls // 5 * 4]
        events = [
            {"meter": "api_calls", "quantity": str(n), "idempotencyKey": f"calls-{day}"}
            for day, n in enumerate(per_day)
        ]
        for expected in ("RECORDED", "DUPLICATE"):
            answered = _good(
                await self.api.do("recordUsage", "results { status }", {"tenantId": tale.tenant_id, "events": events})
            )
            if {result["status"] for result in answered["results"]} != {expected}:
                raise RuntimeError(f"recordUsage answered {answered}")

    async def _note_usage(self, tale: Tale) -> None:
        found = await self.api.ask(
            "query ($id: ID!) { usage(tenantId: $id) { meters { meter used } } }", id=tale.tenant_id
        )
        tale.usage = {meter["meter"]: int(meter["used"]) for meter in found["usage"]["meters"]}

    async def _await_payment(self, tale: Tale) -> None:
        async def is_answered() -> bool:
            await self._post(f"{self.stripe}/_sandbox/flush")
            found = await self.api.ask(_INVOICE, id=tale.tenant_id)
            [edge] = found["invoices"]["edges"]
            tale.invoice = edge["node"]
            return tale.invoice["state"] in ("PAID", "PAST_DUE")

        await self._until(is_answered)
        # Asked afterwards: fields of one query may be read at different moments.
        found = await self.api.ask("query ($id: ID!) { tenant(id: $id) { state } }", id=tale.tenant_id)
        tale.state = found["tenant"]["state"]

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what a worker does in the background."""
        async with asyncio.timeout(PATIENCE_S):
            while not await holds():
                await asyncio.sleep(0.05)

    async def _get(self, url: str, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.http.get(url, headers={"authorization": f"Bearer {key}"})).json()
        return answer

    async def _post(self, url: str, body: dict[str, Any] | None = None) -> None:
        (await self.http.post(url, json=body or {})).raise_for_status()


_INVOICE = """query ($id: ID!) {
  invoices(tenantId: $id) { edges { node {
    state total { amount currency } upstream { units cost { amount } margin { amount } }
    lines { label quantity unitPrice amount { amount } }
  } } }
}"""


def _good(payload: dict[str, Any]) -> dict[str, Any]:
    if payload["userErrors"]:
        raise RuntimeError(f"the API refused: {payload['userErrors']}")
    return payload
