"""Stripe's portal, and the links of an invoice."""

from datetime import timedelta

import pytest

from tests.services.spoiling import join
from tests.services.steps import do, fault, problems, provision, stripe_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

LINKS = "query ($id: ID!) { invoice(id: $id) { number hostedUrl pdfUrl } }"


async def test_a_tenant_opens_its_own_portal(world: World) -> None:
    customer = await provision(world)
    api = await customer.own_api()
    payload = await do(api, "createPortalSession", "url", returnUrl="https://app.test/billing?a=1")
    [session] = (await stripe_books(world))["billing_portal.session"]
    assert (payload["url"], session["return_url"]) == (session["url"], "https://app.test/billing?a=1")
    page = await world.stripe.get(payload["url"].partition(".invalid")[2])
    assert 'href="https://app.test/billing?a=1"' in page.text
    other = await provision(world, "bolt")
    refused = await do(api, "createPortalSession", "url", tenantId=other.id, returnUrl="https://app.test")
    assert refused["userErrors"][0]["code"] == "NOT_FOUND"
    again = await do(world.operator, "createPortalSession", "url", tenantId=customer.id, returnUrl="https://app.test")
    assert again["url"] not in (None, payload["url"])


@pytest.mark.parametrize(
    "url", ["", "app.test", "javascript:alert(1)", "https://", "https://a b", "https://[", "x" * 2001]
)
async def test_where_a_portal_cannot_lead_back_to(world: World, url: str) -> None:
    customer = await provision(world)
    payload = await do(world.operator, "createPortalSession", "url", tenantId=customer.id, returnUrl=url)
    assert list(problems(payload)) == ["returnUrl"]


async def test_a_deleted_customer_has_no_portal(world: World) -> None:
    customer = await provision(world)
    [theirs] = (await stripe_books(world))["customer"]
    headers = {"authorization": "Bearer sk_test_inkmeter"}
    (await world.stripe.delete(f"/v1/customers/{theirs['id']}", headers=headers)).raise_for_status()
    payload = await do(world.operator, "createPortalSession", "url", tenantId=customer.id, returnUrl="https://app.test")
    assert payload["userErrors"][0]["code"] == "PAYMENT_REFUSED"


async def test_links_are_kept_and_asked_for_anew(world: World) -> None:
    customer = await join(world)
    [invoice] = await customer.invoices()
    [theirs] = (await stripe_books(world))["invoice"]
    api = await customer.own_api()
    links = {"number": theirs["number"], "hostedUrl": theirs["hosted_invoice_url"], "pdfUrl": theirs["invoice_pdf"]}
    assert (await api.ask(LINKS, id=invoice["id"]))["invoice"] == links
    newer = {"hosted_invoice_url": "https://invoice.sandbox.invalid/newer"}
    stored = world.stripe._transport.app.state.account.books.get("invoice", theirs["id"])  # type: ignore[attr-defined]
    stored.update(newer)
    assert (await api.ask(LINKS, id=invoice["id"]))["invoice"] == links, "they are young"
    await world.travel_to(START + timedelta(days=2))
    await fault(world.stripe, "500", 3, on="/v1/invoices", method="GET")
    assert (await api.ask(LINKS, id=invoice["id"]))["invoice"] == links, "reading does not depend on Stripe"
    asked = await api.ask(LINKS, id=invoice["id"])
    assert asked["invoice"] == {**links, "hostedUrl": "https://invoice.sandbox.invalid/newer"}
