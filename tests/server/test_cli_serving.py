"""Commands that serve: they say where, answer, and end when they are told to, with status 0."""

import signal
from pathlib import Path
from typing import Any

import httpx

from tests.server.command_line import run, running

VIEWER = "{ viewer { role tenant { name } } }"
PROVISION = "mutation ($input: ProvisionTenantInput!) { provisionTenant(input: $input) { tenant { id state } } }"
CONSENT = """query ($tenantId: ID) {
    signNowAuthorizationUrl(tenantId: $tenantId, redirectUri: "https://app.test/back", state: "s")
}"""
POOL = "mutation ($input: SetInvitePoolInput!) { setInvitePool(input: $input) { userErrors { message } } }"
TODAYS_POOL = "{ invitePool { units } }"
SERVING = r"Serving (http://127\.0\.0\.1:\d+)/graphql, "


def ask(url: str, key: str, query: str, **variables: Any) -> Any:
    """Ask the API and answer its data."""
    response = httpx.post(
        f"{url}/graphql",
        json={"query": query, "variables": variables},
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert response.status_code == 200
    answer = response.json()
    assert "errors" not in answer, answer
    return answer["data"]


def test_serve_with_a_key_from_the_command_line(tmp_path: Path) -> None:
    key = run("keys", "create", "--role", "operator").stdout.strip()
    with running(tmp_path, "serve", "--port", "0") as served:
        url = served.wait_for(SERVING)
        assert ask(url, key, VIEWER) == {"viewer": {"role": "OPERATOR", "tenant": None}}
        for wrong in ("ink_op_unknown", "ink_op_sandbox"):
            headers = {"authorization": f"Bearer {wrong}"}
            refused = httpx.post(f"{url}/graphql", json={"query": VIEWER}, headers=headers)
            assert refused.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        page = httpx.get(f"{url}/graphql", headers={"accept": "text/html"})
        assert page.status_code == 405
        served.stop(signal.SIGTERM)
        assert key not in served.output


def test_serve_with_sandboxes(tmp_path: Path) -> None:
    with running(tmp_path, "serve", "--sandbox", "--port", "0") as served:
        url = served.wait_for(SERVING)
        key = served.wait_for(r"Operator's key +(ink_op_\w+)")
        stripe = served.wait_for(r"Stripe sandbox +(\S+)")
        health = httpx.get(f"{url}/health")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        page = httpx.get(f"{url}/graphql", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "graphiql" in page.text.lower()
        tenant = {"externalReference": "a", "name": "Acme", "email": "a@acme.test", "currency": "USD"}
        made = ask(url, key, PROVISION, input=tenant)["provisionTenant"]["tenant"]
        assert made["state"] == "ACTIVE"
        database = served.wait_for(r"Database +(sqlite:\S+)")
        for_tenant = run("keys", "create", "--role", "tenant", "--tenant", made["id"], database_url=database)
        seen = ask(url, for_tenant.stdout.strip(), VIEWER)
        assert seen == {"viewer": {"role": "TENANT", "tenant": {"name": "Acme"}}}
        customers = httpx.get(f"{stripe}/v1/customers", headers={"authorization": "Bearer sk_test_inkmeter"})
        assert [customer["name"] for customer in customers.json()["data"]] == ["Acme"]
        own = {**tenant, "externalReference": "b", "isolation": "DEDICATED_USER"}
        waiting = ask(url, key, PROVISION, input=own)["provisionTenant"]["tenant"]
        assert "client_id=" in ask(url, key, CONSENT, tenantId=waiting["id"])["signNowAuthorizationUrl"]
        in_2031 = {"units": "5", "from": "2031-01-01", "to": "2032-01-01"}
        assert ask(url, key, POOL, input=in_2031)["setInvitePool"]["userErrors"] == []
        assert ask(url, key, TODAYS_POOL)["invitePool"] is None
        assert httpx.post(f"{stripe}/_sandbox/clock", json={"now": "2031-02-01T00:00:00Z"}).status_code == 200
        signnow = served.wait_for(r"SignNow sandbox +(\S+)")
        assert httpx.get(f"{signnow}/_sandbox/clock").json()["now"].startswith("2031-02-01")
        assert ask(url, key, TODAYS_POOL)["invitePool"] == {"units": "5"}, "one clock for all three"
        served.stop(signal.SIGINT)
    assert not Path("inkmeter.sqlite3").exists(), "a sandbox has a database of its own"


def test_a_sandbox_alone(tmp_path: Path) -> None:
    with running(tmp_path, "sandbox", "stripe") as stripe, running(tmp_path, "sandbox", "signnow") as signnow:
        url = stripe.wait_for(r"stripe sandbox on (\S+)")
        customers = httpx.get(f"{url}/v1/customers", headers={"authorization": "Bearer sk_test_inkmeter"})
        assert customers.json()["data"] == []
        url = signnow.wait_for(r"signnow sandbox on (\S+)")
        user = httpx.get(f"{url}/user", headers={"authorization": "Bearer sandbox-api-key"})
        assert user.json()["primary_email"] == "owner@sandbox.test"
        stripe.wait_for(r"(startup complete)")
        stripe.stop(signal.SIGTERM)
        signnow.wait_for(r"(startup complete)")
        signnow.stop(signal.SIGINT)


def test_a_worker_ends_when_it_is_told(tmp_path: Path) -> None:
    with running(tmp_path, "worker") as worker:
        worker.wait_for(r"(working; Ctrl-C to stop)")
        worker.stop(signal.SIGINT)


def test_the_demo_s_month() -> None:
    ran = run("demo", "--exit", "--port", "0")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for name in ("Juniper Notary", "Quartz People", "Tern Realty", "Oriole Health", "Basalt Legal"):
        assert name in ran.stdout
    assert "✗" not in ran.stdout
    assert ran.stderr == ""
