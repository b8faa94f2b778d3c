"""What Stripe asks for an invoice, with taxes and less what was credited: what is left of it is what a tenant owes."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
ALTER TABLE invoice ADD COLUMN amount_due_minor {bigint}
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0014_groups")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
