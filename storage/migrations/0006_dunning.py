"""What becomes of those who do not pay: policies of plans, cases, notices, and what Stripe says of subscriptions."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE plan ADD COLUMN grace_days {bigint};
ALTER TABLE plan ADD COLUMN restricted_days {bigint};
ALTER TABLE plan ADD COLUMN dunning_end TEXT NOT NULL DEFAULT 'RESTRICT';
ALTER TABLE plan ADD COLUMN downgrade_plan_id {uuid} REFERENCES plan (id);
ALTER TABLE subscription ADD COLUMN stripe_status TEXT;
ALTER TABLE subscription ADD COLUMN stripe_pause TEXT;
ALTER TABLE invoice ADD COLUMN failed_at {bigint};
ALTER TABLE invoice ADD COLUMN settled_at {bigint};
UPDATE invoice SET failed_at = COALESCE(pushed_at, finalized_at) WHERE state = 'PAST_DUE';
UPDATE invoice SET settled_at = paid_at WHERE state = 'PAID';
CREATE INDEX IF NOT EXISTS invoice_owed ON invoice (tenant_id) WHERE failed_at IS NOT NULL AND settled_at IS NULL;
CREATE TABLE IF NOT EXISTS dunning_case (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  since {bigint} NOT NULL,
  grace_days {bigint} NOT NULL CHECK (grace_days >= 0),
  restricted_days {bigint} NOT NULL CHECK (restricted_days >= 0),
  dunning_end TEXT NOT NULL,
  downgrade_plan_id {uuid} REFERENCES plan (id),
  left_plan_id {uuid} REFERENCES plan (id),
  step TEXT NOT NULL,
  step_at {bigint} NOT NULL,
  closed_at {bigint},
  PRIMARY KEY (tenant_id, id));
CREATE UNIQUE INDEX IF NOT EXISTS dunning_case_open ON dunning_case (tenant_id) WHERE closed_at IS NULL;
CREATE TABLE IF NOT EXISTS notice (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  invoice_id {uuid},
  plan_id {uuid},
  left_plan_id {uuid},
  until {bigint},
  url TEXT,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, kind, subject))
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0005_outbox")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
