"""Commands that serve: they say where, answer, and end when they are told to, with status 0."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.command_line import run, running

VIEWER = "{ viewer { role tenant { name } } }"


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
        port = served.wait_for(r"Uvicorn running on socket \('127.0.0.1', (\d+)\)")
        url = f"http://127.0.0.1:{port}"
        assert ask(url, key, VIEWER) == {"viewer": {"role": "OPERATOR", "tenant": None}}
        unknown = httpx.post(f"{url}/graphql", json={"query": VIEWER}, headers={"authorization": "Bearer ink_op_no"})
        assert unknown.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        sandbox = httpx.post(
            f"{url}/graphql", json={"query": VIEWER}, headers={"authorization": "Bearer ink_op_sandbox"}
        )
        assert sandbox.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        page = httpx.get(f"{url}/graphql", headers={"accept": "text/html"})
        assert page.status_code == 405
        served.stop(signal.SIGTERM)
        assert key not in served.output


def test_serve_with_sandboxes(tmp_path: Path) -> None:
    with running(tmp_path, "serve", "--sandbox", "--port", "0") as served:
        url = served.wait_for(r"GraphiQL +(http://127\.0\.0\.1:\d+)/graphql")
        key = served.wait_for(r"Operator's key +(ink_op_\w+)")
        stripe = served.wait_for(r"Stripe sandbox +(\S+)")
        served.wait_for(r"(Uvicorn running)")
        health = httpx.get(f"{url}/health")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        page = httpx.get(f"{url}/graphql", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "graphiql" in page.text.lower()
        provision = (
            "mutation ($input: ProvisionTenantInput!) { provisionTenant(input: $input) { tenant { id state } } }"
        )
        tenant = {"externalReference": "a", "name": "Acme", "email": "a@acme.test", "currency": "USD"}
        made = ask(url, key, provision, input=tenant)["provisionTenant"]["tenant"]
        assert made["state"] == "ACTIVE"
        customers = httpx.get(f"{stripe}/v1/customers", headers={"authorization": "Bearer sk_test_inkmeter"})
        assert [customer["name"] for customer in customers.json()["data"]] == ["Acme"]
        served.stop(signal.SIGINT)
    assert not Path("inkmeter.sqlite3").exists(), "a sandbox has a database of its own"


def test_a_sandbox_alone(tmp_path: Path) -> None:
    with running(tmp_path, "sandbox", "stripe") as stripe, running(tmp_path, "sandbox", "signnow") as signnow:
        url = stripe.wait_for(r"stripe sandbox on (\S+)")
        assert (
            httpx.get(f"{url}/v1/customers", headers={"authorization": "Bearer sk_test_inkmeter"}).json()["data"] == []
        )
        url = signnow.wait_for(r"signnow sandbox on (\S+)")
        user = httpx.get(f"{url}/user", headers={"authorization": "Bearer sandbox-api-key"})
        assert user.json()["primary_email"] == "owner@sandbox.test"
        stripe.wait_for(r"(Uvicorn running)")
        stripe.stop(signal.SIGTERM)
        signnow.wait_for(r"(Uvicorn running)")
        signnow.stop(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_worker_ends_when_it_is_told(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "worker") as worker:
        worker.wait_for(r"(working; Ctrl-C to stop)")
        worker.stop(number)


def test_the_demo_s_month(tmp_path: Path) -> None:
    ran = run("demo", "--exit", "--port", "0")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for name in ("Juniper Notary", "Quartz People", "Tern Realty", "Oriole Health", "Basalt Legal"):
        assert name in ran.stdout
    assert "✗" not in ran.stdout
    assert ran.stderr == ""


def test_the_demo_stays_until_it_is_told(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--port", "0") as demo:
        url = demo.wait_for(r"The API stays up:\s+(http://127\.0\.0\.1:\d+)/graphql")
        invoices = "query { tenants { edges { node { name state } } } }"
        assert len(ask(url, "ink_op_sandbox", invoices)["tenants"]["edges"]) == 5
        demo.stop(signal.SIGTERM)
