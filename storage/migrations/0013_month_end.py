"""What a month end looks for again and again: the next due job beside many others, and whose draft Stripe speaks of."""

from tortoise.migrations.migration import Migration as TortoiseMigration

from storage.ddl import run_sql

TABLES = """
CREATE INDEX IF NOT EXISTS billing_period_stripe ON billing_period (stripe_invoice_id)
  WHERE stripe_invoice_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS top_up_order_stripe ON top_up_order (stripe_id);
CREATE INDEX IF NOT EXISTS job_due_delivery ON job (run_at) WHERE state = 'WAITING' AND topic = 'webhook.apply';
CREATE INDEX IF NOT EXISTS job_due_other ON job (run_at) WHERE state = 'WAITING' AND topic <> 'webhook.apply'
"""


class Migration(TortoiseMigration):
    """Applied once, in a transaction."""

    dependencies = [("inkmeter", "0012_hot_tables")]  # noqa: RUF012
    operations = [run_sql(TABLES)]  # noqa: RUF012 - Tortoise's own declaration
