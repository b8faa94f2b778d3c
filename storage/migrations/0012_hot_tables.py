"""What the ledger writes by the thousand refers to tenants without asking for each row whether they are there.

Whoever writes these tables holds the lock of the tenant's row, and tenants are never deleted; PostgreSQL would look the
row up and lock it once more for every event and operation, which takes a third of the time of writing them. SQLite
looks up a key in memory, and keeps its constraint.
"""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE operation DROP CONSTRAINT IF EXISTS operation_tenant_id_fkey;
ALTER TABLE usage_event DROP CONSTRAINT IF EXISTS usage_event_tenant_id_fkey;
ALTER TABLE document DROP CONSTRAINT IF EXISTS document_tenant_id_fkey
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0011_operations")]  # noqa: RUF012
    operations = [run_sql(TABLES, only="postgres")]  # noqa: RUF012 - Tortoise's own declaration
