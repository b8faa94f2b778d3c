"""Calls to Stripe noted before they are made, transitions that are told once, and what Stripe says of invoices."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
CREATE TABLE IF NOT EXISTS intent (
  idempotency_key TEXT PRIMARY KEY,
  id {uuid} NOT NULL UNIQUE,
  tenant_id {bigint} NOT NULL,
  method TEXT NOT NULL,
  path TEXT NOT NULL,
  parameters TEXT NOT NULL,
  state TEXT NOT NULL,
  request_id TEXT,
  object_id TEXT,
  attempts {bigint} NOT NULL,
  last_error TEXT,
  created_at {bigint} NOT NULL,
  sent_at {bigint} NOT NULL,
  settled_at {bigint});
CREATE INDEX IF NOT EXISTS intent_open ON intent (id) WHERE state <> 'CONFIRMED';
CREATE INDEX IF NOT EXISTS intent_settled ON intent (settled_at) WHERE settled_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS transition (
  object_id TEXT NOT NULL,
  name TEXT NOT NULL,
  id {uuid} NOT NULL UNIQUE,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (object_id, name));
CREATE INDEX IF NOT EXISTS webhook_event_open ON webhook_event (id) WHERE state = 'RECEIVED';
CREATE INDEX IF NOT EXISTS job_failed ON job (id) WHERE state = 'FAILED';
ALTER TABLE webhook_event ADD COLUMN api_version TEXT;
ALTER TABLE invoice ADD COLUMN number TEXT;
ALTER TABLE invoice ADD COLUMN stripe_total_minor {bigint};
ALTER TABLE invoice ADD COLUMN amount_paid_minor {bigint}
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0004_upstream")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
