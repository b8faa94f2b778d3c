"""Whose SignNow account a tenant signs through, the tokens of those that have their own, and provisioning by steps."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE tenant ADD COLUMN isolation TEXT NOT NULL DEFAULT 'SHARED_ACCOUNT';
ALTER TABLE tenant ADD COLUMN signnow_user_id TEXT;
ALTER TABLE tenant ADD COLUMN signnow_organization_id TEXT;
CREATE UNIQUE INDEX IF NOT EXISTS tenant_signnow_user ON tenant (signnow_user_id);
CREATE UNIQUE INDEX IF NOT EXISTS tenant_signnow_organization ON tenant (signnow_organization_id);
CREATE TABLE IF NOT EXISTS signnow_token (
  tenant_id {bigint} NOT NULL PRIMARY KEY REFERENCES tenant (id),
  access TEXT NOT NULL,
  refresh TEXT,
  updated_at {bigint} NOT NULL);
CREATE TABLE IF NOT EXISTS provisioning_step (
  tenant_id {bigint} NOT NULL REFERENCES tenant (id),
  step TEXT NOT NULL,
  state TEXT NOT NULL,
  error TEXT,
  updated_at {bigint} NOT NULL,
  PRIMARY KEY (tenant_id, step))
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0009_reconcile")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
