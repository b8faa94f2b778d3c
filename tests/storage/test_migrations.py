"""Tables: made once, whoever comes first and whatever dies meanwhile, and as the models say."""

import inspect
import sqlite3
from importlib import import_module
from pathlib import Path

import pytest
from tortoise.exceptions import IntegrityError
from tortoise.fields import BigIntField, BooleanField, UUIDField
from tortoise.fields.base import Field
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.models import Model

from inkmeter.errors import ConfigurationError
from storage import migrations
from storage.database import MODEL_MODULES, Database, insert_new, migrate_database, open_database, rows, sqlite_file
from storage.fields import InstantField
from storage.tenants import Tenant
from tests.processes import run_at_once
from tests.storage.conftest import Look

pytestmark = pytest.mark.anyio

WITHOUT_MODEL = {
    "usage_counter",
    "usage_value",
    "job",
    "provisioning_step",
    "signnow_token",
    "tortoise_migrations",
}
TYPES: dict[type[Field], set[str]] = {  # type: ignore[type-arg]
    BigIntField: {"integer", "bigint"},
    InstantField: {"integer", "bigint"},
    BooleanField: {"integer", "boolean"},
    UUIDField: {"text", "uuid"},
}

MIGRATIONS = sorted(path.stem for path in Path(migrations.__file__).parent.glob("0*.py"))
PAYMENTS = next(name for name in MIGRATIONS if name.endswith("_payments"))
MONTH_END = next(name for name in MIGRATIONS if name.endswith("_month_end"))
MODELS = [
    found
    for name in MODEL_MODULES
    for _, found in inspect.getmembers(import_module(name), inspect.isclass)
    if issubclass(found, Model) and found.__module__ == name
]


async def columns(dialect: str, table: str) -> dict[str, tuple[str, bool]]:
    """The type of each column, in small letters, and whether it may be empty."""
    if dialect == "sqlite":
        found = await rows(f"SELECT name, type, \"notnull\" = 0 AND pk = 0 AS empty FROM pragma_table_info('{table}')")  # noqa: S608
    else:
        found = await rows(
            "SELECT column_name AS name, data_type AS type, is_nullable = 'YES' AS empty "
            "FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ?",
            table,
        )
    return {entry["name"]: (entry["type"].lower(), bool(entry["empty"])) for entry in found}


async def tables(dialect: str) -> set[str]:
    sql = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        "postgres": "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
    }
    return {entry["name"] for entry in await rows(sql[dialect])}


async def test_each_table_has_exactly_the_columns_of_its_model(database: Database) -> None:
    for model in MODELS:
        meta = model._meta
        fields = {column: meta.fields_map[name] for column, name in meta.fields_db_projection_reverse.items()}
        expected = {
            column: (next((types for kind, types in TYPES.items() if isinstance(field, kind)), {"text"}), field.null)
            for column, field in fields.items()
        }
        stored = await columns(database.dialect, meta.db_table)
        assert stored.keys() == expected.keys(), meta.db_table
        for column, (type_, may_be_empty) in stored.items():
            assert type_ in expected[column][0], f"{meta.db_table}.{column} is {type_}"
            assert may_be_empty == expected[column][1], f"{meta.db_table}.{column}"


async def test_each_table_has_a_model(database: Database) -> None:
    assert await tables(database.dialect) == {model._meta.db_table for model in MODELS} | WITHOUT_MODEL


async def test_migrating_again_changes_nothing(database: Database, look: Look) -> None:
    assert await migrate_database() == []
    assert len(await look("SELECT name FROM tortoise_migrations")) == len(MIGRATIONS)


def a_tenant() -> Tenant:
    return Tenant(
        public_id="0195f000-0000-7000-8000-000000000001",
        external_reference="acme",
        name="Acme",
        email="billing@acme.test",
        currency="USD",
        state="ACTIVE",
        created_at=0,
    )


async def test_a_lost_record_of_a_migration_is_written_again(database_url: str) -> None:
    async with open_database(database_url):
        await insert_new(a_tenant())
        await rows("DELETE FROM tortoise_migrations")
    async with open_database(database_url):
        assert [entry["name"] for entry in await rows("SELECT name FROM tortoise_migrations ORDER BY id")] == MIGRATIONS
        assert await Tenant.all().count() == 1


async def test_a_migration_that_is_interrupted_leaves_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(self: MigrationRecorder, app: str, name: str) -> None:
        raise OSError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(MigrationRecorder, "record_applied", interrupted)
        with pytest.raises(ConfigurationError, match="the power went out"):
            async with open_database(database_url):
                pass
    async with open_database(database_url, migrate=False) as database:
        assert await tables(database.dialect) == set()
        assert await migrate_database() == MIGRATIONS


async def migrate(database_url: str) -> int:
    async with open_database(database_url):
        return await Tenant.all().count()


async def test_processes_that_start_at_once_migrate_once(database_url: str, look: Look) -> None:
    assert await run_at_once(migrate, [(database_url,)] * 4) == [0] * 4
    assert await look("SELECT name FROM tortoise_migrations ORDER BY id") == [(name,) for name in MIGRATIONS]


async def refusal(url: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        async with open_database(url):
            pass
    return raised.value.message


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no scheme"),
        ("mysql://root:s3cret@localhost/x", "mysql"),
        ("sqlite://", "sqlite:///"),
        ("sqlite:///", "sqlite:///"),
        ("sqlite://file.sqlite3", "sqlite:///"),
        ("postgresql://ink:s3cret@127.0.0.1:1/ink", "127.0.0.1:1/ink"),
        ("postgresql://ink:s3cret@127.0.0.1:port/ink", "postgresql://user:password@host:port/database"),
        ("postgresql://ink:s3cret@127.0.0.1:99999/ink", "postgresql://user:password@host:port/database"),
        ("postgresql://ink:s3cret@[::1/ink", "postgresql://"),
        ("postgresql://ink:s3cret@127.0.0.1:1/ink?colour=red", "colour"),
        ("postgresql://ink:s3cret@127.0.0.1:1/ink?sslmode=require", "127.0.0.1:1/ink"),
        ("postgresql://ink:s3cret@127.0.0.1:1/ink?maxsize=many", "many"),
        ("postgresql://ink:s3cret@no-such-host.invalid/ink", "no-such-host.invalid:5432/ink"),
    ],
)
async def test_a_database_that_cannot_be_used_is_named_in_one_line(url: str, says: str) -> None:
    message = await refusal(url)
    assert says in message
    assert "\n" not in message
    assert "s3cret" not in message
    assert not message.endswith(": "), "the reason is missing"


async def test_a_place_that_does_not_exist(database_url: str) -> None:
    place, _, name = database_url.rpartition("/")
    message = await refusal(f"{place}/missing/{name}")
    assert "missing" in message
    assert "\n" not in message


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("buy milk, " * 100)
    message = await refusal(f"sqlite:///{file}")
    assert str(file) in message
    assert "\n" not in message


async def test_a_database_in_memory() -> None:
    async with open_database("sqlite:///:memory:"):
        assert await Tenant.all().count() == 0


async def test_a_relative_path_lies_in_the_working_folder(tmp_path: Path) -> None:
    async with open_database("sqlite:///here.sqlite3"):
        pass
    assert sqlite_file("sqlite:///here.sqlite3") == Path("here.sqlite3")
    assert sqlite3.connect(tmp_path / "here.sqlite3").execute("SELECT COUNT(*) FROM tenant").fetchone() == (0,)


async def test_stored_invoices_survive_that_a_period_may_have_several(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite drops a constraint only with its table: the rows must come back, and their lines."""
    key, other = (f"0195f000-0000-7000-8000-00000000000{number}" for number in (2, 3))
    invoice = (
        "INSERT INTO invoice (tenant_id, id, subscription_id, period_id, kind, currency, total_minor, "
        "upstream_cost_minor, upstream_cost_currency, upstream_units, state, finalized_at) "
        "VALUES (1, ?, ?, ?, 'TOP_UP', 'USD', 900, 0, 'USD', 0, 'PAID', 1)"
    )
    with monkeypatch.context() as patch:
        payments = import_module(f"storage.migrations.{PAYMENTS}")
        patch.setattr(payments.Migration, "operations", [])
        # It has an index on a table of that one's.
        patch.setattr(import_module(f"storage.migrations.{MONTH_END}").Migration, "operations", [])
        async with open_database(database_url):
            await insert_new(a_tenant())
            await rows(
                "INSERT INTO subscription (tenant_id, id, interval, anchor_on, zone, state, started_at, "
                "end_proration, budget_alerts_at) "
                "VALUES (1, ?, 'MONTH', '2026-03-10', 'UTC', 'ACTIVE', 0, 'NONE', '[]')",
                key,
            )
            await rows(
                "INSERT INTO billing_period (tenant_id, id, subscription_id, starts_at, ends_at, is_trial, state) "
                "VALUES (1, ?, ?, 0, 1, false, 'OPEN')",
                key,
                key,
            )
            await rows(invoice, key, key, key)
            await rows(
                "INSERT INTO line_item (tenant_id, id, invoice_id, position, kind, service_period_id, meter, model, "
                "label, quantity, unit_price, amount_minor) "
                "VALUES (1, ?, ?, 0, 'CHARGE', ?, '', '', 'Top-up', '1', '9', 900)",
                key,
                key,
                key,
            )
            with pytest.raises(IntegrityError):
                await rows(invoice, other, key, key)
            await rows("DELETE FROM tortoise_migrations WHERE name >= ?", PAYMENTS)
    for _ in range(2):  # a lost record does no harm here either
        async with open_database(database_url):
            await rows("DELETE FROM tortoise_migrations WHERE name >= ?", PAYMENTS)
    async with open_database(database_url):
        await rows(invoice, other, key, key)
        found = await rows("SELECT i.id FROM invoice i JOIN line_item l ON l.invoice_id = i.id")
        assert [str(entry["id"]) for entry in found] == [key]
        assert len(await rows("SELECT id FROM invoice")) == 2
        period = invoice.replace("TOP_UP", "PERIOD")
        await rows(period, "0195f000-0000-7000-8000-000000000004", key, key)
        with pytest.raises(IntegrityError):
            await rows(period, "0195f000-0000-7000-8000-000000000005", key, key)
