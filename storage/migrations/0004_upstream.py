"""What SignNow charges: cost table, kinds of upstream units, its own figures and bills, invite pools."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE usage_event ADD COLUMN upstream_kind TEXT;
UPDATE usage_event SET upstream_kind = CASE WHEN EXISTS (
    SELECT 1 FROM operation o WHERE o.tenant_id = usage_event.tenant_id AND o.kind = 'INVITE'
    AND o.document_id = usage_event.document_id AND o.state = 'SUCCEEDED' AND o.request LIKE '%"FREE_FORM"%')
  THEN 'FREE_FORM_SIGNER' ELSE 'FIELD_INVITE' END WHERE upstream_units > 0;
CREATE INDEX IF NOT EXISTS usage_event_upstream ON usage_event (occurred_at, tenant_id)
  WHERE upstream_kind IS NOT NULL;
CREATE TABLE IF NOT EXISTS upstream_rate (
  kind TEXT NOT NULL,
  starts_at {bigint} NOT NULL,
  id {uuid} NOT NULL UNIQUE,
  unit_cost_minor {bigint} NOT NULL CHECK (unit_cost_minor >= 0),
  currency TEXT NOT NULL,
  updated_at {bigint} NOT NULL,
  PRIMARY KEY (kind, starts_at));
CREATE TABLE IF NOT EXISTS upstream_figure (
  source TEXT NOT NULL,
  starts_on TEXT NOT NULL,
  ends_on TEXT NOT NULL,
  kind TEXT NOT NULL,
  folder TEXT NOT NULL,
  account TEXT NOT NULL,
  version {bigint} NOT NULL,
  id {uuid} NOT NULL UNIQUE,
  units {bigint} NOT NULL CHECK (units >= 0),
  recorded_at {bigint} NOT NULL,
  PRIMARY KEY (source, starts_on, ends_on, kind, folder, account, version));
CREATE TABLE IF NOT EXISTS upstream_bill (
  number TEXT NOT NULL,
  version {bigint} NOT NULL,
  id {uuid} NOT NULL UNIQUE,
  starts_on TEXT NOT NULL,
  ends_on TEXT NOT NULL,
  amount_minor {bigint} NOT NULL,
  currency TEXT NOT NULL,
  source TEXT NOT NULL,
  recorded_at {bigint} NOT NULL,
  PRIMARY KEY (number, version));
CREATE TABLE IF NOT EXISTS invite_pool (
  starts_on TEXT NOT NULL PRIMARY KEY,
  ends_on TEXT NOT NULL,
  id {uuid} NOT NULL UNIQUE,
  units {bigint} NOT NULL CHECK (units > 0),
  updated_at {bigint} NOT NULL,
  CHECK (starts_on < ends_on))
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0003_pauses")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
