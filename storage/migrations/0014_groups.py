"""Document groups: a group stands among the documents, with its own id as its group; its members name it."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE document ADD COLUMN group_id {uuid};
CREATE INDEX IF NOT EXISTS document_of_group ON document (tenant_id, group_id) WHERE group_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS operation_one_group_change ON operation (tenant_id, document_id)
  WHERE kind IN ('GROUP_INVITE', 'GROUP_CANCEL', 'GROUP_RESEND', 'GROUP_DELETE') AND state IN ('RESERVED', 'UNKNOWN')
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0013_month_end")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
