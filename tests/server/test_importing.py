"""`inkmeter import`: files of usage, each line once, whatever happens in between."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from inkmeter.errors import InvalidInput
from server.cli import app
from server.importing import Format, Refusal, Source, Total, import_usage
from services.meters import CreateMeter, create_meter
from services.readings import read_usage
from services.tenants import Tenant
from storage.usage import UsageEvent
from tests.bookkeeping import sign_up
from tests.crash.importing import LINES, import_and_die
from tests.crash.places import Place
from tests.processes import run_and_die
from tests.world import START, World, open_world

pytestmark = pytest.mark.anyio


async def load(
    world: World, text: str | bytes, kind: Format, only: Tenant | None = None, batch: int = 3
) -> tuple[Total, dict[int, str]]:
    """Import a file; what became of it, and why lines were refused."""
    refused: dict[int, Refusal] = {}
    read: list[int] = []
    content = text.encode() if isinstance(text, str) else text

    def refuse(refusal: Refusal) -> None:
        assert refusal.line not in refused
        refused[refusal.line] = refusal

    source = Source(io.BytesIO(content), kind, read.append)
    total = await import_usage(world.platform, source, only, batch=batch, refuse=refuse)
    assert sum(read) == len(content)
    assert total.refused == len(refused)
    return total, {line: refusal.message for line, refusal in sorted(refused.items())}


async def used(world: World, tenant: Tenant) -> dict[str, int]:
    reading = await read_usage(world.platform, tenant)
    return {m.meter.code: m.used for m in reading.meters if m.used and m.meter.code != "seats"}


def written(*records: dict[str, Any]) -> str:
    """As CSV."""
    names = list(dict.fromkeys(name for record in records for name in record))
    file = io.StringIO()
    writer = csv.DictWriter(file, names)
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


async def test_both_formats_of_several_tenants(world: World) -> None:
    acme, bolt = await sign_up(world.platform, "acme"), await sign_up(world.platform, "bolt")
    await create_meter(world.platform, CreateMeter("gb", "gigabyte", "Stored.", decimals=2))
    records = [
        {"meter": "api_calls", "quantity": n, "idempotencyKey": f"k-{n}", "tenant": name, "property.a,b": "x\ny"[:1]}
        for n, name in enumerate(("acme", str(bolt.public_id), "acme", "bolt", "acme"), start=1)
    ]
    records.append(
        {
            "meter": "gb",
            "quantity": "1.25",
            "idempotencyKey": 'storage, "all"',
            "tenant": "acme",
            "occurredAt": "2026-03-10T01:00:00+01:00",
        }
    )
    total, refused = await load(world, written(*records), Format.CSV)
    assert (total, refused) == (Total(recorded=6), {})
    assert await used(world, acme) == {"api_calls": 9, "gb": 125}
    assert await used(world, bolt) == {"api_calls": 6}
    stored = await UsageEvent.get(tenant_id=acme.id, idempotency_key='storage, "all"')
    assert stored.occurred_at == datetime(2026, 3, 10, tzinfo=UTC)
    lines = []
    for record in records:
        record.pop("property.a,b", None)
        properties = {} if record["meter"] == "gb" else {"properties": {"a,b": "x"}}
        lines.append(orjson.dumps({**record, **properties}))
    assert await load(world, b"\n\n".join(lines), Format.NDJSON) == (Total(duplicates=6), {})


async def test_each_refused_line_is_told_and_the_others_count(world: World) -> None:
    acme = await sign_up(world.platform, "acme")
    await world.provision("bare")
    text = "\ufeff" + "\r\n".join(
        [
            "meter,quantity,idempotencyKey,occurredAt,tenant,property.size",
            "api_calls,1,good-1,,acme,big",
            "api_calls,1.5,bad-1,,acme,",
            "nothing,1,bad-2,,acme,",
            "api_calls,1,bad-3,yesterday,acme,",
            "api_calls,1,bad-4,,nobody,",
            "api_calls,1,bad-5,,,",
            "api_calls,1,bad-6,,acme",
            "api_calls,,bad-7,,acme,",
            ",1,,,acme,",
            ",,,,,",
            '"api_calls",2,"good\n2",,acme,',
            'api_calls,"2"x,bad-8,,acme,',
            "api_calls,1,bad-9,,bare,",
            "api_calls,3,good-3,,acme,",
            "api_calls,4,good-1,,acme,big",
            "api_calls,1,bad-\udcff,,acme,",
        ]
    )
    total, refused = await load(world, text.encode("utf-8", "surrogateescape"), Format.CSV)
    assert (total.recorded, total.duplicates) == (2, 0)
    assert {line: message.split(":")[0][:24] for line, message in refused.items()} == {
        3: "quantity",
        4: "meter",
        5: "occurredAt is an RFC 333",
        6: "there is no tenant 'nobo",
        7: "needs tenant, as there i",
        8: "has 5 columns, the heade",
        9: "needs quantity",
        10: "needs meter, idempotency",
        13: "idempotencyKey",
        14: "is not CSV",
        15: "the tenant has no runnin",
        17: "this idempotency key was",
        18: "idempotencyKey",
    }
    assert await used(world, acme) == {"api_calls": 4}


async def test_lines_of_json_that_are_refused(world: World) -> None:
    acme = await sign_up(world.platform, "acme")
    good = {"meter": "api_calls", "quantity": 1, "idempotencyKey": "a"}
    lines = [
        orjson.dumps(good),
        b"{nonsense",
        b"[1]",
        orjson.dumps({**good, "quantity": 1.5}),
        orjson.dumps({"meter": "api_calls", "idempotencyKey": "b"}),
        orjson.dumps({**good, "tenant": "acme"}),
        orjson.dumps({**good, "colour": "red"}),
        orjson.dumps({**good, "properties": "red"}),
        orjson.dumps({**good, "properties": {"a": 1.5}}),
        b"\xff\xfe",
        orjson.dumps({**good, "idempotencyKey": "c"}),
    ]
    total, refused = await load(world, b"\n".join(lines), Format.NDJSON, acme)
    assert (total.recorded, list(refused)) == (2, [2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert refused[9] == "properties.a: a float is not exact: write it as a string"


@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        ("meter,quantity", {"idempotencyKey", "tenant"}),
        ("", {"meter", "quantity", "idempotencyKey", "tenant"}),
        ("meter,quantity,idempotencyKey,tenant,colour", {"colour"}),
        ("meter,quantity,idempotencyKey,tenant,property.", {"property."}),
        ("meter,meter,quantity,idempotencyKey,tenant", {"meter"}),
        (
            "meter;quantity;idempotencyKey",
            {"meter;quantity;idempotencyKey", "meter", "quantity", "idempotencyKey", "tenant"},
        ),
        ('"meter', {"header"}),
    ],
)
async def test_a_header_that_does_not_fit(world: World, header: str, wrong: set[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        await load(world, f"{header}\napi_calls,1,a,acme\n", Format.CSV)
    assert {problem.path[0] for problem in refused.value.problems} == wrong


@pytest.mark.parametrize("commit", [1, 2, 3, 5])
async def test_killed_and_run_again(world: World, database_url: str, commit: int, tmp_path: Path) -> None:
    """kill -9 before a commit: whole batches stand, and the next run counts the rest."""
    acme = await sign_up(world.platform, "acme")
    note = tmp_path / "note"
    code = await run_and_die(import_and_die, Place(database_url, START), commit, note)
    assert (code, note.read_text()) == (-9, "COMMIT")
    count = await UsageEvent.filter(tenant_id=acme.id).count()
    assert count in (max(commit - 2, 0) * 10, (commit - 1) * 10)  # a new process may have to read the plan first
    assert await used(world, acme) == ({"api_calls": count} if count > 0 else {})
    total, refused = await load(world, LINES, Format.NDJSON, batch=10)
    assert (total, refused) == (Total(recorded=50 - count, duplicates=count), {})
    assert await load(world, LINES, Format.NDJSON, batch=7) == (Total(duplicates=50), {})
    assert await used(world, acme) == {"api_calls": 50}


class TestCommand:
    """As it is typed, on a database in the current folder."""

    @pytest.fixture
    def tenant(self) -> str:
        """The id of a tenant that has a subscription."""

        async def make() -> str:
            async with open_world("sqlite:///inkmeter.sqlite3") as world:
                return str((await sign_up(world.platform, "acme")).public_id)

        return asyncio.run(make())

    def test_a_file_twice_and_stdin(self, tenant: str, tmp_path: Path) -> None:
        file = tmp_path / "usage.csv"
        file.write_text(
            "meter,quantity,idempotencyKey,occurredAt\napi_calls,2,a,2026-03-10T10:00:00Z\napi_calls,x,b,\n"
        )
        runner = CliRunner()
        told = tmp_path / "refused.ndjson"
        for outcome in ("1 recorded, 0 duplicates, 1 refused", "0 recorded, 1 duplicates, 1 refused"):
            result = runner.invoke(app, ["import", str(file), "--tenant", tenant, "--refused", str(told)])
            assert (result.exit_code, result.stdout.strip()) == (1, outcome), result.output
            assert [orjson.loads(line)["line"] for line in told.read_bytes().splitlines()] == [3]
        result = runner.invoke(app, ["import", str(file), "--tenant", tenant])
        assert "inkmeter: line 3: a quantity is a whole number" in result.stderr
        line = orjson.dumps({"meter": "api_calls", "quantity": 1, "idempotencyKey": "c", "tenant": "acme"})
        result = runner.invoke(app, ["import", "-", "--format", "ndjson"], input=line)
        assert (result.exit_code, result.stdout.strip()) == (0, "1 recorded, 0 duplicates, 0 refused"), result.output
        result = runner.invoke(app, ["rebuild-counters", "--check", "--tenant", tenant])
        assert (result.exit_code, result.stdout.strip().endswith("periods looked at, 0 differences")) == (0, True)
        listed = runner.invoke(app, ["meters"])
        assert listed.exit_code == 0
        assert " api_calls " in listed.stdout

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["no.csv"], "no.csv cannot be read (No such file or directory)"),
            (["usage.xlsx"], "is it csv or ndjson?"),
            (["-"], "is it csv or ndjson?"),
            ([".", "--format", "csv"], "cannot be read (Is a directory)"),
            (["usage.csv", "--tenant", "acme"], "'acme' is not a tenant's id"),
            (["usage.csv", "--refused", "no/such/folder"], "cannot be written"),
        ],
    )
    def test_what_cannot_be_is_one_clear_line(self, arguments: list[str], told: str) -> None:
        Path("usage.csv").write_text("meter,quantity,idempotencyKey,tenant\n")
        result = CliRunner().invoke(app, ["import", *arguments])
        assert result.exit_code == 1
        [line] = result.stderr.splitlines()
        assert told in line
