"""`inkmeter tenants check` and `inkmeter catch-up signnow` as processes, against sandboxes over HTTP."""

import asyncio
import subprocess

import pytest

from services.tenants import Tenant
from tests.bookkeeping import sign_up
from tests.crash.conftest import City
from tests.crash.conftest import city as city
from tests.server.command_line import complaint, run

pytestmark = pytest.mark.anyio


async def command(city: City, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        run,
        *arguments,
        database_url=city.place.database_url,
        stripe_api_base=city.place.stripe_url,
        stripe_api_key="sk_test_inkmeter",
        signnow_api_base=city.place.signnow_url,
        signnow_api_key="sandbox-api-key",
        signnow_webhook_secret="secret",
        public_url="http://127.0.0.1:9",
    )


async def test_what_is_lost_is_told_and_repaired(city: City) -> None:
    for reference in ("acme", "bolt"):
        await sign_up(city.platform, reference)
    await Tenant.filter(external_reference="acme").update(signnow_folder_id="f" * 40)
    for options in ((), ("--tenant", "acme")):
        told = await command(city, "tenants", "check", *options)
        assert told.returncode == 1, told
        assert told.stdout.count("FOLDER_GONE") == 1
    assert (await command(city, "tenants", "check", "--tenant", "bolt", "--repair")).returncode == 0
    assert (await command(city, "tenants", "check", "--repair")).returncode == 0
    clean = await command(city, "tenants", "check")
    assert (clean.returncode, clean.stdout) == (0, "everything is there\n")
    assert complaint(await command(city, "tenants", "check", "--tenant", "nobody")) == "no tenant is called 'nobody'"


async def test_a_signnow_that_does_not_answer_is_not_well(city: City) -> None:
    await sign_up(city.platform, "acme")
    order = {"kind": "500", "times": 20, "method": "GET", "path_prefix": "/folder"}
    (await city.signnow.post("/_sandbox/faults", json=order)).raise_for_status()
    told = await command(city, "tenants", "check")
    assert (told.returncode, told.stdout.count("NOT_CHECKED")) == (1, 1), told


async def test_catching_up_with_signnow(city: City) -> None:
    await sign_up(city.platform, "acme")
    told = await command(city, "catch-up", "signnow")
    text = "5 subscriptions were missing or wrong; 0 callbacks are in SignNow's log, 0 of them were missing here"
    assert (told.returncode, " ".join(told.stdout.split())) == (0, text), told
