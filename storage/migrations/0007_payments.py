"""Credits that are paid before they are granted, money that goes back, and an invoice for each of them."""

from typing import Any

from tortoise.migrations.migration import Migration as TortoiseMigration
from tortoise.migrations.operations import RunPython

from storage.ddl import run_sql

TABLES = """
CREATE TABLE IF NOT EXISTS top_up_order (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  idempotency_key TEXT NOT NULL,
  way TEXT NOT NULL,
  meter TEXT NOT NULL,
  period_id {uuid} NOT NULL,
  period_starts_at {bigint} NOT NULL,
  units {bigint} NOT NULL CHECK (units > 0),
  amount_minor {bigint} NOT NULL CHECK (amount_minor > 0),
  currency TEXT NOT NULL,
  state TEXT NOT NULL,
  is_holding {bool} NOT NULL,
  success_url TEXT,
  cancel_url TEXT,
  stripe_id TEXT UNIQUE,
  stripe_item_id TEXT,
  payment_intent_id TEXT,
  invoice_id {uuid},
  url TEXT,
  failure TEXT,
  created_at {bigint} NOT NULL,
  expires_at {bigint},
  paid_at {bigint},
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, idempotency_key));
CREATE UNIQUE INDEX IF NOT EXISTS top_up_order_open ON top_up_order (tenant_id, meter)
  WHERE state = 'OPEN' AND way = 'INVOICE';
CREATE INDEX IF NOT EXISTS top_up_order_holding ON top_up_order (tenant_id) WHERE is_holding;
CREATE INDEX IF NOT EXISTS top_up_order_payment ON top_up_order (payment_intent_id);
CREATE TABLE IF NOT EXISTS reversal (
  tenant_id {bigint} NOT NULL,
  id {uuid} NOT NULL,
  stripe_id TEXT NOT NULL,
  order_id {uuid} NOT NULL,
  entry_id {uuid},
  kind TEXT NOT NULL,
  amount_minor {bigint} NOT NULL,
  currency TEXT NOT NULL,
  units {bigint} NOT NULL CHECK (units >= 0),
  taken {bigint} NOT NULL CHECK (taken >= 0),
  is_standing {bool} NOT NULL,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, stripe_id),
  UNIQUE (tenant_id, entry_id),
  FOREIGN KEY (tenant_id, order_id) REFERENCES top_up_order (tenant_id, id))
"""

UNIQUE = "UNIQUE (tenant_id, period_id, kind)"
INDEX = (
    "CREATE UNIQUE INDEX IF NOT EXISTS invoice_of_period ON invoice (tenant_id, period_id, kind) WHERE kind <> 'TOP_UP'"
)


async def loosen_invoices(_apps: Any, editor: Any) -> None:
    """A period has any number of invoices of top-ups; SQLite drops a constraint only with its table."""
    run = editor.client.execute_query
    if editor.DIALECT == "postgres":
        await run("ALTER TABLE invoice DROP CONSTRAINT IF EXISTS invoice_tenant_id_period_id_kind_key")
    else:
        _, [[table]] = await _texts(run, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'invoice'")
        if UNIQUE in table:
            _, indexes = await _texts(
                run, "SELECT sql FROM sqlite_master WHERE tbl_name = 'invoice' AND type = 'index'"
            )
            await run("CREATE TABLE kept_invoice AS SELECT * FROM invoice")
            await run("CREATE TABLE kept_line AS SELECT * FROM line_item")
            await run("DELETE FROM line_item")
            await run("DROP TABLE invoice")
            await run(table.replace(f"{UNIQUE},", "").replace(f", {UNIQUE}", ""))
            await run("INSERT INTO invoice SELECT * FROM kept_invoice")
            await run("INSERT INTO line_item SELECT * FROM kept_line")
            await run("DROP TABLE kept_invoice")
            await run("DROP TABLE kept_line")
            for [index] in indexes:
                if index is not None:  # those of constraints come with the table
                    await run(index)
    await run(INDEX)


async def _texts(run: Any, sql: str) -> tuple[int, list[list[str]]]:
    count, found = await run(sql)
    return count, [list(dict(entry).values()) for entry in found]


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0006_dunning")]  # noqa: RUF012
    operations = [run_sql(TABLES), RunPython(loosen_invoices)]  # noqa: RUF012 - Tortoise's own declaration
