"""How a discrepancy goes on after it was found, an invoice's links at Stripe, and a tenant's address."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE discrepancy ADD COLUMN times {bigint} NOT NULL DEFAULT 1;
ALTER TABLE discrepancy ADD COLUMN explanation TEXT;
ALTER TABLE discrepancy ADD COLUMN note TEXT;
ALTER TABLE discrepancy ADD COLUMN repair TEXT;
ALTER TABLE discrepancy ADD COLUMN repaired_at {bigint};
ALTER TABLE discrepancy ADD COLUMN settled_at {bigint};
CREATE INDEX IF NOT EXISTS discrepancy_in_order ON discrepancy (state, id);
ALTER TABLE invoice ADD COLUMN pdf_url TEXT;
ALTER TABLE invoice ADD COLUMN links_at {bigint};
ALTER TABLE tenant ADD COLUMN address TEXT
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0008_metered")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
