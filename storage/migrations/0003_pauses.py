"""Subscriptions that are paused."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

COLUMNS = """
ALTER TABLE phase ADD COLUMN is_paused {bool} NOT NULL DEFAULT {false}
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0002_terms_and_credits")]  # noqa: RUF012
    operations = [run_sql(COLUMNS)]  # noqa: RUF012 - Tortoise's own declaration
