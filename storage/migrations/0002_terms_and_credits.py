"""Terms that change over time, meters of the operator, credits, charges, discounts and alerts."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
CREATE TABLE IF NOT EXISTS meter (
  id {uuid} PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  position {bigint} NOT NULL UNIQUE,
  source TEXT,
  unit TEXT NOT NULL,
  description TEXT NOT NULL,
  aggregation TEXT NOT NULL,
  property TEXT,
  decimals {bigint} NOT NULL,
  rounding TEXT NOT NULL,
  filters TEXT NOT NULL,
  created_at {bigint} NOT NULL);
CREATE TABLE IF NOT EXISTS phase (
  tenant_id {bigint} NOT NULL,
  id {uuid} NOT NULL,
  subscription_id {uuid} NOT NULL,
  starts_at {bigint} NOT NULL,
  plan_id {uuid} NOT NULL REFERENCES plan (id),
  seats {bigint} NOT NULL CHECK (seats >= 0),
  reason TEXT NOT NULL,
  proration TEXT,
  idempotency_key TEXT,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, idempotency_key),
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id));
CREATE INDEX IF NOT EXISTS phase_in_order ON phase (tenant_id, subscription_id, starts_at, id);
CREATE INDEX IF NOT EXISTS usage_counter_pledged ON usage_counter (tenant_id) WHERE pledged > 0;
CREATE TABLE IF NOT EXISTS usage_value (
  tenant_id {bigint} NOT NULL,
  period_starts_at {bigint} NOT NULL,
  meter TEXT NOT NULL,
  value TEXT NOT NULL,
  events {bigint} NOT NULL CHECK (events >= 0),
  PRIMARY KEY (tenant_id, period_starts_at, meter, value));
CREATE TABLE IF NOT EXISTS credit_grant (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  idempotency_key TEXT NOT NULL,
  meter TEXT NOT NULL,
  source TEXT NOT NULL,
  units {bigint} NOT NULL CHECK (units > 0),
  remaining {bigint} NOT NULL CHECK (remaining >= 0 AND remaining <= units),
  priority {bigint} NOT NULL,
  expires_at {bigint},
  note TEXT,
  created_at {bigint} NOT NULL,
  balance {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, idempotency_key));
CREATE INDEX IF NOT EXISTS credit_grant_open ON credit_grant (tenant_id, meter) WHERE remaining > 0;
CREATE INDEX IF NOT EXISTS credit_grant_last ON credit_grant (tenant_id, meter, created_at);
CREATE INDEX IF NOT EXISTS credit_grant_expiring ON credit_grant (expires_at)
  WHERE remaining > 0 AND expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS credit_entry (
  tenant_id {bigint} NOT NULL,
  id {uuid} NOT NULL,
  grant_id {uuid} NOT NULL,
  meter TEXT NOT NULL,
  kind TEXT NOT NULL,
  units {bigint} NOT NULL,
  period_starts_at {bigint},
  event_id {uuid},
  note TEXT,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, grant_id) REFERENCES credit_grant (tenant_id, id));
CREATE UNIQUE INDEX IF NOT EXISTS credit_entry_taken_once ON credit_entry (tenant_id, note)
  WHERE kind IN ('REVOKED', 'REFUNDED');
CREATE INDEX IF NOT EXISTS credit_entry_ended ON credit_entry (tenant_id, grant_id)
  WHERE kind IN ('EXPIRED', 'REVOKED', 'REFUNDED');
CREATE INDEX IF NOT EXISTS credit_entry_period ON credit_entry (tenant_id, meter, period_starts_at);
CREATE TABLE IF NOT EXISTS charge (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  idempotency_key TEXT NOT NULL,
  kind TEXT NOT NULL,
  meter TEXT NOT NULL,
  period_starts_at {bigint} NOT NULL,
  label TEXT NOT NULL,
  amount_minor {bigint} NOT NULL,
  currency TEXT NOT NULL,
  invoice_id {uuid},
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, idempotency_key));
CREATE INDEX IF NOT EXISTS charge_open ON charge (tenant_id) WHERE invoice_id IS NULL;
CREATE TABLE IF NOT EXISTS discount (
  tenant_id {bigint} NOT NULL,
  id {uuid} NOT NULL,
  idempotency_key TEXT NOT NULL,
  subscription_id {uuid} NOT NULL,
  label TEXT NOT NULL,
  percent TEXT,
  amount_minor {bigint},
  periods {bigint} CHECK (periods > 0),
  starts_at {bigint} NOT NULL,
  ended_at {bigint},
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, idempotency_key),
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id),
  CHECK ((percent IS NULL) <> (amount_minor IS NULL)));
CREATE TABLE IF NOT EXISTS alert (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  kind TEXT NOT NULL,
  meter TEXT NOT NULL,
  since {bigint} NOT NULL,
  percent {bigint} NOT NULL,
  value {bigint} NOT NULL,
  bound {bigint} NOT NULL,
  currency TEXT,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, kind, meter, since, percent))
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0001_initial")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
