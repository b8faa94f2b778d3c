"""Opening the database, transactions, and the few SQL idioms that everything above the ORM is made of.

SQL is written once, with `?` for parameters and in what SQLite and PostgreSQL both speak; `lock` is the one word that
differs: PostgreSQL locks rows, SQLite has one writer at a time and needs no more.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext, set_global_context
from tortoise.exceptions import BaseORMException
from tortoise.migrations.executor import MigrationExecutor
from tortoise.models import Model
from tortoise.transactions import in_transaction

from inkmeter.errors import ConfigurationError

APP: Final = "inkmeter"
MODEL_MODULES: Final = (
    "storage.discrepancies",
    "storage.documents",
    "storage.invoices",
    "storage.keys",
    "storage.operations",
    "storage.plans",
    "storage.subscriptions",
    "storage.tenants",
    "storage.usage",
    "storage.webhooks",
)
_MIGRATION_LOCK: Final = 0x696E6B6D65746572  # "inkmeter": two processes that start at once migrate one after the other


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. `dialect` is "sqlite" or "postgres"."""

    context: TortoiseContext
    dialect: str


def connection_config(url: str) -> dict[str, Any]:
    """Tortoise's connection settings for `sqlite:///file`, `sqlite:///:memory:` or `postgresql://…`.

    Raises ConfigurationError for anything else, without repeating a password.
    """
    scheme = urlsplit(url).scheme
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
        expanded = expand_db_url("asyncpg" + url.removeprefix(scheme))
        credentials = {"maxsize": 10, **expanded["credentials"]}
        return {"engine": "storage.backends.asyncpg", "credentials": credentials}
    raise ConfigurationError(
        f"INKMETER_DATABASE_URL: {scheme or 'no'} scheme is not known; use sqlite:///file.sqlite3 or postgresql://…"
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
    except (OSError, TimeoutError, BaseORMException, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        where = urlsplit(url)
        name = where.path if where.scheme == "sqlite" else f"{where.hostname}:{where.port or 5432}{where.path}"
        raise ConfigurationError(f"the {where.scheme} database {name} cannot be used: {error}") from error


async def migrate_database() -> list[str]:
    """Apply the migrations that are missing, and answer their names."""
    client = get_connection("default")
    applied: list[str] = []

    def note(event: str, _app: str, name: str) -> None:
        if event == "apply_done":
            applied.append(name)

    executor = MigrationExecutor(client, {APP: {"models": list(MODEL_MODULES), "migrations": "storage.migrations"}})
    async with _migration_turn(client):
        await executor.migrate(progress=note)
    return applied


@contextlib.asynccontextmanager
async def _migration_turn(client: BaseDBAsyncClient) -> AsyncIterator[None]:
    if client.capabilities.dialect != "postgres":
        yield  # SQLite's own write lock, and tables made only where they are missing
        return
    pool = client._pool
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _MIGRATION_LOCK)


def transaction() -> Any:
    """A transaction for the statements inside; never await the network in one. Nested ones are savepoints."""
    return in_transaction("default")


async def rows(sql: str, *values: Any) -> list[dict[str, Any]]:
    """Run one statement in the current transaction (or on its own) and answer its rows; `?` marks a parameter."""
    client = get_connection("default")
    return await client.execute_query_dict(_numbered(sql, client), list(values))


async def row(sql: str, *values: Any) -> dict[str, Any] | None:
    """The first row, or None."""
    found = await rows(sql, *values)
    return found[0] if found else None


def lock(strength: str = "UPDATE") -> str:
    """The end of a SELECT that keeps its rows until the transaction ends: UPDATE alone, SHARE with other readers."""
    return f" FOR {strength}" if get_connection("default").capabilities.dialect == "postgres" else ""


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


def raw_pool() -> Any:
    """asyncpg's pool of the open PostgreSQL database, for statements that the ORM should not touch."""
    return get_connection("default")._pool


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL, None for PostgreSQL."""
    return Path(connection_config(url)["credentials"]["file_path"]) if url.startswith("sqlite:") else None
