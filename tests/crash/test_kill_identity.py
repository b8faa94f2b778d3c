"""kill -9 between any two steps of the provisioning of a tenant with a SignNow organization and user of its own."""

from datetime import timedelta

import pytest

from integrations.signnow.sandbox.accounts import SandboxAccount
from services.identities import Isolation
from storage.database import rows
from storage.tenants import Tenant, TenantState
from tests.crash import stories
from tests.crash.conftest import City

pytestmark = pytest.mark.anyio

ACCOUNT = SandboxAccount()
KEY = {"authorization": f"Bearer {ACCOUNT.api_key}"}


async def test_provisioning_an_identity_of_its_own(city: City) -> None:
    for number in range(1, stories.MOST_IDENTITIES + 1):
        email = stories.user_of(f"connect-{number}")
        user = {"email": email, "password": "pw", "first_name": "A", "last_name": "B"}
        await city.signnow.post("/user", json=user, auth=(ACCOUNT.client_id, ACCOUNT.client_secret))
    fates = await city.kill_everywhere(stories.connect, prepared=True)
    assert len(fates) <= stories.MOST_IDENTITIES
    assert {
        "COMMIT",
        "POST /v1/customers",
        "POST /v2/organizations",
        "POST /v2/organizations/…/members",
        "POST /oauth2/token",
        "UPDATE tenant",
        "INSERT INTO signnow_token",
        "POST /user/folder",
    } <= set(fates.values())

    await city.go_on(stories.connect, list(fates), timedelta(days=2))
    listed = (await city.signnow.get("/v2/organizations?per_page=100", headers=KEY)).json()["data"]
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        assert (tenant.state, tenant.isolation) == (TenantState.ACTIVE, Isolation.ORGANIZATION), fate
        [organization] = [entry["id"] for entry in listed if str(tenant.public_id) in entry["name"]]
        assert organization == tenant.signnow_organization_id, fate
        [tokens] = await rows("SELECT access FROM signnow_token WHERE tenant_id = ?", tenant.id)
        headers = {"authorization": f"Bearer {tokens['access']}"}
        root = (await city.signnow.get("/folder", headers=headers)).json()
        folders = [entry["id"] for entry in root["folders"] if str(tenant.public_id) in entry["name"]]
        assert folders == [tenant.signnow_folder_id], fate
        assert [c["id"] for c in (await city.stripe_books(tenant))["customer"]] == [tenant.stripe_customer_id], fate
        steps = await rows("SELECT state FROM provisioning_step WHERE tenant_id = ?", tenant.id)
        assert [entry["state"] for entry in steps] == ["DONE"] * 6, fate
