"""Opening the database, transactions, and the few SQL idioms that everything above the ORM is made of.

SQL is written once, with `?` for parameters and in what SQLite and PostgreSQL both speak; `lock` and `lock_table` are
what differs: PostgreSQL locks rows, or a table; SQLite has one writer at a time and needs no more.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext, set_global_context
from tortoise.exceptions import BaseORMException
from tortoise.exceptions import ConfigurationError as BadUrl
from tortoise.migrations.executor import MigrationExecutor
from tortoise.models import Model
from tortoise.transactions import in_transaction

from inkmeter.errors import ConfigurationError

T = TypeVar("T")

APP: Final = "inkmeter"
MODEL_MODULES: Final = (
    "storage.alerts",
    "storage.charges",
    "storage.credits",
    "storage.discounts",
    "storage.discrepancies",
    "storage.documents",
    "storage.intents",
    "storage.dunning",
    "storage.invoices",
    "storage.keys",
    "storage.meters",
    "storage.notices",
    "storage.operations",
    "storage.orders",
    "storage.plans",
    "storage.subscriptions",
    "storage.tenants",
    "storage.upstream",
    "storage.transitions",
    "storage.usage",
    "storage.usage_reports",
    "storage.webhooks",
)
_MIGRATION_LOCK: Final = 0x696E6B6D65746572  # "inkmeter"


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. `dialect` is "sqlite" or "postgres"."""

    context: TortoiseContext
    dialect: str


def connection_config(url: str) -> dict[str, Any]:
    """Tortoise's connection settings for `sqlite:///file`, `sqlite:///:memory:` or `postgresql://…`.

    Raises ConfigurationError for anything else, without repeating a password.
    """
    scheme, separator, _ = url.partition("://")
    if scheme == "sqlite":
        path = url.removeprefix("sqlite://").removeprefix("/") if url.startswith("sqlite:///") else ""
        if not path:
            raise ConfigurationError("INKMETER_DATABASE_URL: write sqlite:///file.sqlite3, or sqlite:////absolute/path")
        return {
            "engine": "storage.backends.sqlite",
            # FULL: an acknowledged row survives a power cut.
            "credentials": {"file_path": path, "synchronous": "FULL", "busy_timeout": 10_000},
        }
    if scheme in ("postgresql", "postgres"):
        try:
            expanded = expand_db_url("asyncpg" + url.removeprefix(scheme))
        except (BadUrl, ValueError):  # whose messages may repeat the password
            raise ConfigurationError(
                "INKMETER_DATABASE_URL: write postgresql://user:password@host:port/database"
            ) from None
        credentials = {"maxsize": 10, **expanded["credentials"]}
        if "sslmode" in credentials:  # libpq's word for it, and so what most URLs say
            credentials["ssl"] = credentials.pop("sslmode")
        return {"engine": "storage.backends.asyncpg", "credentials": credentials}
    raise ConfigurationError(
        f"INKMETER_DATABASE_URL: {scheme if separator else 'no'} scheme is not known; "
        "use sqlite:///file.sqlite3 or postgresql://…"
    )


@contextlib.asynccontextmanager
async def open_database(url: str, *, migrate: bool = True) -> AsyncIterator[Database]:
    """Open the database, bring its tables up to date, and close it at the end.

    One database at a time in a process. Raises ConfigurationError if it cannot be reached or opened.
    """
    connection = connection_config(url)
    context = TortoiseContext()
    config = {
        "connections": {"default": connection},
        "apps": {APP: {"models": list(MODEL_MODULES), "migrations": "storage.migrations"}},
    }
    with context:
        with _clear_errors(url):
            if file := sqlite_file(url):
                sqlite3.connect(file).close()  # aiosqlite's thread outlives the loop if it cannot open the file
            await context.init(config=config)
        set_global_context(context)  # requests run in tasks that do not inherit ours
        try:
            with _clear_errors(url):
                client = get_connection("default")
                await client.execute_query("SELECT 1")
                if migrate:
                    await migrate_database()
            yield Database(context, client.capabilities.dialect)
        finally:
            await context.close_connections()


@contextlib.contextmanager
def _clear_errors(url: str) -> Any:
    try:
        yield
    except (
        OSError,
        BaseORMException,
        sqlite3.Error,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        TypeError,  # an option that the driver does not know
        ValueError,
    ) as error:
        where = urlsplit(url)
        name = sqlite_file(url) or f"{where.hostname}:{where.port or 5432}{where.path}"
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"the {where.scheme} database {name} cannot be used: {reason}") from error


async def migrate_database() -> list[str]:
    """Apply the migrations that are missing, and answer their names; all or none of them are applied.

    Processes that start at once migrate one after the other.
    """
    applied: list[str] = []

    def note(event: str, _app: str, name: str) -> None:
        if event == "apply_done":
            applied.append(name)

    async with transaction() as client:
        if client.capabilities.dialect == "postgres":
            await client.execute_query("SELECT pg_advisory_xact_lock($1)", [_MIGRATION_LOCK])
        executor = MigrationExecutor(client, {APP: {"models": list(MODEL_MODULES), "migrations": "storage.migrations"}})
        # Its list of what is applied comes first: asked for too late, it would break PostgreSQL's transaction.
        await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
        await executor.migrate(progress=note)
    return applied


def transaction() -> Any:
    """A transaction for the statements inside; never await the network in one. Nested ones are savepoints."""
    return in_transaction("default")


async def rows(sql: str, *values: Any) -> list[dict[str, Any]]:
    """Run one statement in the current transaction (or on its own) and answer its rows; `?` marks a parameter."""
    client = get_connection("default")
    return await client.execute_query_dict(_numbered(sql, client), list(values))


async def rows_unawaited(sql: str, *values: Any) -> list[dict[str, Any]]:
    """Like `rows`, for what is only a hint, such as a lease: on SQLite the disk is not waited for. Whoever acts on it
    outside of the database must have something written in between that is waited for, and takes this along.
    """
    client: Any = get_connection("default")
    if is_postgres() or not hasattr(client, "transact"):  # PostgreSQL's callers share waits; in a transaction it waits
        return await rows(sql, *values)

    def run(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        found = connection.execute(sql, values)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, entry, strict=True)) for entry in found.fetchall()]

    done: list[dict[str, Any]] = await client.transact(run, is_awaited=False)
    return done


def marks(values: Sized) -> str:
    """So many parameters, for a list after IN."""
    return ", ".join("?" * len(values))


def with_moments(asked: Sized) -> str:
    """The start of a statement that looks up so many moments of tenants: the table `asked (tenant_id, moment)`, whose
    rows are its first parameters. A list for each column would be looked up in every combination.
    """
    pair = "(CAST(? AS BIGINT), CAST(? AS BIGINT))"  # PostgreSQL would take them for text
    return f"WITH asked (tenant_id, moment) AS (VALUES {', '.join([pair] * len(asked))})"


async def row(sql: str, *values: Any) -> dict[str, Any] | None:
    """The first row, or None."""
    found = await rows(sql, *values)
    return found[0] if found else None


def lock(strength: str = "UPDATE") -> str:
    """The end of a SELECT that keeps its rows until the transaction ends: UPDATE alone, SHARE with other readers."""
    return f" FOR {strength}" if is_postgres() else ""


async def lock_table(name: str) -> None:
    """Let nobody else write to a table until the transaction ends: for rules that no unique key can keep."""
    client = get_connection("default")
    if client.capabilities.dialect == "postgres":
        await client.execute_query(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")


def _numbered(sql: str, client: BaseDBAsyncClient) -> str:
    if client.capabilities.dialect != "postgres":
        return sql
    first, *rest = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))


async def insert_new(instance: Model, conflict: Sequence[str] = ()) -> bool:
    """Insert a row unless its key is taken, and answer whether it was inserted.

    Insert-or-ignore on a unique key is the only idempotency there is: a read before a write is a race. `conflict`
    names the columns of that key; without it any unique key of the table counts.
    """
    meta = instance._meta
    columns = [field for field in meta.db_fields if field not in meta.generated_db_fields]
    if not columns:
        columns = list(meta.db_fields)
    values = []
    for name in columns:
        field = meta.fields_map[meta.fields_db_projection_reverse[name]]
        values.append(field.to_db_value(getattr(instance, field.model_field_name), instance))
    target = f"({', '.join(conflict)})" if conflict else ""
    inserted = await rows(
        f"INSERT INTO {meta.db_table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT {target} DO NOTHING RETURNING 1 AS inserted",
        *values,
    )
    if inserted:
        instance._saved_in_db = True
    return bool(inserted)


def is_postgres() -> bool:
    """Whether the open database is PostgreSQL."""
    return bool(get_connection("default").capabilities.dialect == "postgres")


async def transact_sqlite(work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` in a transaction of its own in the thread of the open SQLite database, in one hop."""
    client: Any = get_connection("default")
    done: T = await client.transact(work)
    return done


def raw_pool() -> Any:
    """asyncpg's pool of the open PostgreSQL database, for statements that the ORM should not touch."""
    return get_connection("default")._pool


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL, None for PostgreSQL."""
    return Path(connection_config(url)["credentials"]["file_path"]) if url.startswith("sqlite:") else None
