"""Plans whose usage Stripe bills: their prices and meters there, and what was reported."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE plan ADD COLUMN stripe_mode TEXT NOT NULL DEFAULT 'COMPUTED';
ALTER TABLE price ADD COLUMN stripe_fee_id TEXT;
ALTER TABLE price ADD COLUMN stripe_usage_id TEXT;
ALTER TABLE billing_period ADD COLUMN stripe_usage TEXT;
CREATE TABLE IF NOT EXISTS stripe_meter (
  id {uuid} PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  event_name TEXT NOT NULL,
  stripe_meter_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS usage_report (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  period_id {uuid} NOT NULL,
  meter TEXT NOT NULL,
  number {bigint} NOT NULL,
  units {bigint} NOT NULL CHECK (units > 0),
  at {bigint} NOT NULL,
  state TEXT NOT NULL,
  first_tried_at {bigint},
  last_tried_at {bigint},
  reason TEXT,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, period_id, meter, number),
  FOREIGN KEY (tenant_id, period_id) REFERENCES billing_period (tenant_id, id));
CREATE INDEX IF NOT EXISTS usage_report_at ON usage_report (at)
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0007_payments")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
