"""Operations that change a document come one after the other; what is settled in vain makes room for others."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
DROP INDEX IF EXISTS operation_one_invite;
CREATE UNIQUE INDEX IF NOT EXISTS operation_one_change ON operation (tenant_id, document_id)
  WHERE kind IN ('INVITE', 'CANCEL', 'RESEND', 'REPLACE', 'DELETE') AND state IN ('RESERVED', 'UNKNOWN');
ALTER TABLE operation ADD COLUMN asked_at {bigint} NOT NULL DEFAULT 0
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0010_identity")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
