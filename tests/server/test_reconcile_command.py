"""`inkmeter reconcile stripe` as a process, against a sandbox over HTTP."""

import asyncio
import subprocess

import pytest

from services.tenants import Tenant
from tests.crash.conftest import City
from tests.crash.conftest import city as city
from tests.crash.test_repair import open_and_spoil
from tests.server.command_line import complaint, run

pytestmark = pytest.mark.anyio


async def reconcile(city: City, *options: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        run,
        *("reconcile", "stripe", "--since", "2026-01-01", *options),
        database_url=city.place.database_url,
        stripe_api_base=city.place.stripe_url,
        stripe_api_key="sk_test_inkmeter",
    )


async def test_differences_are_told_and_repaired(city: City) -> None:
    await open_and_spoil(city, ["acme", "bolt"])
    for options in (["--dry-run", "--repair"], []):
        told = await reconcile(city, *options)
        assert told.returncode == 1, told
        lines = " ".join(told.stdout.split())
        assert "2 tenants, 4 comparisons, 4 differences open" in lines
        assert lines.count("CREDIT_NOTE: possible") == 2
        assert lines.count("CHARGE: possible") == 2
    tenant = await Tenant.get(external_reference="acme")
    one = await reconcile(city, "--tenant", str(tenant.public_id), "--repair")
    assert (one.returncode, one.stdout.count(": done")) == (0, 2), one
    assert "1 tenants, 2 comparisons, 0 differences open" in one.stdout
    assert (await reconcile(city)).returncode == 1, "bolt's are open"
    await reconcile(city, "--repair")
    clean = await reconcile(city)
    assert (clean.returncode, clean.stdout.splitlines()) == (
        0,
        ["2 tenants, 4 comparisons, 0 differences open"],
    )


async def test_a_tenant_that_is_none(city: City) -> None:
    assert complaint(await reconcile(city, "--tenant", "x")) == "'x' is not a tenant's id"
    unknown = await reconcile(city, "--tenant", "01940000-0000-7000-8000-000000000000")
    assert complaint(unknown) == "no such tenant"


async def test_a_stripe_that_does_not_answer(city: City) -> None:
    await open_and_spoil(city, ["acme"])
    order = {"kind": "429", "times": 20, "method": "GET"}
    (await city.stripe.post("/_sandbox/faults", json=order)).raise_for_status()
    told = await reconcile(city)
    assert told.returncode == 1
    assert "could not be compared: Too many requests." in " ".join(told.stderr.split())
