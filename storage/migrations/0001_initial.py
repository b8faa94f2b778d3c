"""The first tables.

Every table of a tenant begins its primary key and its unique keys with `tenant_id`, so that the same tables can be
distributed by tenant. Instants are microseconds since 1970, amounts of money minor units, quantities units of their
meter: all BIGINT. Written by hand, since the ORM knows neither keys of several columns nor partial indexes; a test
holds tables and models together.
"""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
CREATE TABLE IF NOT EXISTS tenant (
  id {id},
  public_id {uuid} NOT NULL UNIQUE,
  external_reference TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  currency TEXT NOT NULL,
  state TEXT NOT NULL,
  grace_until {bigint},
  stripe_customer_id TEXT UNIQUE,
  signnow_folder_id TEXT UNIQUE,
  provisioning_problem TEXT,
  created_at {bigint} NOT NULL);
CREATE TABLE IF NOT EXISTS api_key (
  id {uuid} PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  prefix TEXT NOT NULL,
  role TEXT NOT NULL,
  tenant_id {bigint} REFERENCES tenant (id),
  created_at {bigint} NOT NULL,
  revoked_at {bigint},
  CHECK ((role = 'TENANT') = (tenant_id IS NOT NULL)));
CREATE TABLE IF NOT EXISTS plan (
  id {uuid} PRIMARY KEY,
  code TEXT NOT NULL,
  version {bigint} NOT NULL,
  name TEXT NOT NULL,
  currency TEXT NOT NULL,
  interval TEXT NOT NULL,
  fees TEXT NOT NULL,
  minimum_minor {bigint} CHECK (minimum_minor >= 0),
  successor_id {uuid} REFERENCES plan (id),
  content_hash TEXT NOT NULL,
  stripe_product_id TEXT,
  stripe_price_id TEXT,
  created_at {bigint} NOT NULL,
  UNIQUE (code, version));
CREATE TABLE IF NOT EXISTS price (
  id {uuid} PRIMARY KEY,
  plan_id {uuid} NOT NULL REFERENCES plan (id),
  position {bigint} NOT NULL,
  meter TEXT NOT NULL,
  model TEXT NOT NULL,
  config TEXT NOT NULL,
  UNIQUE (plan_id, position));
CREATE TABLE IF NOT EXISTS quota (
  id {uuid} PRIMARY KEY,
  plan_id {uuid} NOT NULL REFERENCES plan (id),
  meter TEXT NOT NULL,
  units {bigint} NOT NULL CHECK (units >= 0),
  policy TEXT NOT NULL,
  spend_cap_minor {bigint} CHECK (spend_cap_minor >= 0),
  packs TEXT NOT NULL,
  auto_top_up TEXT,
  alerts_at TEXT NOT NULL,
  UNIQUE (plan_id, meter));
CREATE TABLE IF NOT EXISTS subscription (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  interval TEXT NOT NULL,
  anchor_on TEXT NOT NULL,
  zone TEXT NOT NULL,
  state TEXT NOT NULL,
  started_at {bigint} NOT NULL,
  trial_ends_at {bigint},
  ended_at {bigint},
  end_proration TEXT NOT NULL,
  budget_minor {bigint} CHECK (budget_minor > 0),
  budget_alerts_at TEXT NOT NULL,
  stripe_subscription_id TEXT,
  PRIMARY KEY (tenant_id, id));
CREATE UNIQUE INDEX IF NOT EXISTS subscription_running ON subscription (tenant_id) WHERE state = 'ACTIVE';
CREATE INDEX IF NOT EXISTS subscription_stripe ON subscription (stripe_subscription_id);
CREATE TABLE IF NOT EXISTS billing_period (
  tenant_id {bigint} NOT NULL,
  id {uuid} NOT NULL,
  subscription_id {uuid} NOT NULL,
  starts_at {bigint} NOT NULL,
  ends_at {bigint} NOT NULL,
  is_trial {bool} NOT NULL,
  state TEXT NOT NULL,
  closed_at {bigint},
  stripe_invoice_id TEXT,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, starts_at),
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id),
  CHECK (starts_at < ends_at));
CREATE TABLE IF NOT EXISTS document (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  signnow_document_id TEXT NOT NULL,
  created_at {bigint} NOT NULL,
  sent_at {bigint},
  completed_at {bigint},
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, signnow_document_id));
CREATE INDEX IF NOT EXISTS document_signnow ON document (signnow_document_id);
CREATE TABLE IF NOT EXISTS operation (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  idempotency_key TEXT NOT NULL,
  kind TEXT NOT NULL,
  request TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  state TEXT NOT NULL,
  period_starts_at {bigint} NOT NULL,
  reserved TEXT NOT NULL,
  decision TEXT NOT NULL,
  document_id {uuid},
  refusal TEXT,
  created_at {bigint} NOT NULL,
  ended_at {bigint},
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, idempotency_key));
CREATE INDEX IF NOT EXISTS operation_open ON operation (tenant_id, period_starts_at)
  WHERE state IN ('RESERVED', 'UNKNOWN');
CREATE UNIQUE INDEX IF NOT EXISTS operation_one_invite ON operation (tenant_id, document_id)
  WHERE kind = 'INVITE' AND state IN ('RESERVED', 'UNKNOWN');
CREATE TABLE IF NOT EXISTS usage_event (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  idempotency_key TEXT NOT NULL,
  meter TEXT NOT NULL,
  quantity {bigint} NOT NULL,
  occurred_at {bigint} NOT NULL,
  recorded_at {bigint} NOT NULL,
  is_late {bool} NOT NULL,
  source TEXT NOT NULL,
  document_id {uuid},
  upstream_units {bigint} NOT NULL,
  properties TEXT,
  reverses {uuid},
  note TEXT,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, idempotency_key),
  CHECK (quantity >= 0 OR reverses IS NOT NULL));
CREATE UNIQUE INDEX IF NOT EXISTS usage_event_reversed ON usage_event (tenant_id, reverses)
  WHERE reverses IS NOT NULL;
CREATE INDEX IF NOT EXISTS usage_event_sum ON usage_event (tenant_id, meter, occurred_at, quantity, upstream_units);
CREATE INDEX IF NOT EXISTS usage_event_late ON usage_event (tenant_id, occurred_at) WHERE is_late;
CREATE TABLE IF NOT EXISTS usage_counter (
  tenant_id {bigint} NOT NULL,
  period_starts_at {bigint} NOT NULL,
  meter TEXT NOT NULL,
  used {bigint} NOT NULL DEFAULT 0 CHECK (used >= 0),
  reserved {bigint} NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  credited {bigint} NOT NULL DEFAULT 0 CHECK (credited >= 0),
  pledged {bigint} NOT NULL DEFAULT 0 CHECK (pledged >= 0),
  PRIMARY KEY (tenant_id, period_starts_at, meter));
CREATE TABLE IF NOT EXISTS invoice (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  subscription_id {uuid} NOT NULL,
  period_id {uuid} NOT NULL,
  kind TEXT NOT NULL,
  currency TEXT NOT NULL,
  total_minor {bigint} NOT NULL,
  upstream_cost_minor {bigint} NOT NULL,
  upstream_cost_currency TEXT NOT NULL,
  upstream_units {bigint} NOT NULL,
  state TEXT NOT NULL,
  stripe_invoice_id TEXT UNIQUE,
  hosted_url TEXT,
  finalized_at {bigint} NOT NULL,
  pushed_at {bigint},
  paid_at {bigint},
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, period_id, kind),
  FOREIGN KEY (tenant_id, period_id) REFERENCES billing_period (tenant_id, id));
CREATE TABLE IF NOT EXISTS line_item (
  tenant_id {bigint} NOT NULL,
  id {uuid} NOT NULL,
  invoice_id {uuid} NOT NULL,
  position {bigint} NOT NULL,
  kind TEXT NOT NULL,
  service_period_id {uuid} NOT NULL,
  meter TEXT NOT NULL,
  model TEXT NOT NULL,
  price_id {uuid},
  label TEXT NOT NULL,
  quantity TEXT NOT NULL,
  unit_price TEXT NOT NULL,
  amount_minor {bigint} NOT NULL,
  adjusts TEXT,
  explanation TEXT,
  stripe_item_id TEXT,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, invoice_id, position),
  FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoice (tenant_id, id));
CREATE INDEX IF NOT EXISTS line_item_service ON line_item (tenant_id, service_period_id);
CREATE TABLE IF NOT EXISTS webhook_event (
  source TEXT NOT NULL,
  key TEXT NOT NULL,
  id {uuid} NOT NULL UNIQUE,
  type TEXT NOT NULL,
  payload TEXT NOT NULL,
  state TEXT NOT NULL,
  note TEXT,
  received_at {bigint} NOT NULL,
  applied_at {bigint},
  PRIMARY KEY (source, key));
CREATE TABLE IF NOT EXISTS discrepancy (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  id {uuid} NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  ours_minor {bigint} NOT NULL,
  theirs_minor {bigint} NOT NULL,
  currency TEXT NOT NULL,
  evidence TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, kind, subject));
CREATE TABLE IF NOT EXISTS job (
  tenant_id {bigint} NOT NULL,
  id {uuid} NOT NULL,
  topic TEXT NOT NULL,
  dedup TEXT NOT NULL,
  payload TEXT NOT NULL,
  state TEXT NOT NULL,
  run_at {bigint} NOT NULL,
  created_at {bigint} NOT NULL,
  attempts {bigint} NOT NULL DEFAULT 0,
  lease_token TEXT,
  lease_until {bigint},
  last_error TEXT,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, topic, dedup));
CREATE INDEX IF NOT EXISTS job_due ON job (run_at) WHERE state = 'WAITING'
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    initial = True
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
