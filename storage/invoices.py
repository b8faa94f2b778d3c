"""Invoices and their lines. An invoice is finalized the moment it is stored; only its way through Stripe changes."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import DecimalTextField, InstantField
from storage.ids import new_id


class InvoiceState(StrEnum):
    """FINALIZED here, PUSHED to Stripe, then what Stripe says of the payment. A VOID invoice is not owed."""

    FINALIZED = "FINALIZED"
    PUSHED = "PUSHED"
    PAST_DUE = "PAST_DUE"
    PAID = "PAID"
    UNCOLLECTIBLE = "UNCOLLECTIBLE"
    VOID = "VOID"


class InvoiceKind(StrEnum):
    """PERIOD bills a period that is over; OPENING bills the first period's fees in advance; TOP_UP stands for credits
    that were paid before they were granted, any number of them in a period.
    """

    PERIOD = "PERIOD"
    OPENING = "OPENING"
    TOP_UP = "TOP_UP"


class LineKind(StrEnum):
    """FEE and USAGE are a period's, a DISCOUNT is off them and a COMMITMENT fills them up; an ADJUSTMENT corrects an
    earlier period; a CHARGE is something bought; EXTRA was added by a plugin.
    """

    FEE = "FEE"
    USAGE = "USAGE"
    DISCOUNT = "DISCOUNT"
    COMMITMENT = "COMMITMENT"
    CHARGE = "CHARGE"
    ADJUSTMENT = "ADJUSTMENT"
    EXTRA = "EXTRA"


class Invoice(Model):
    """What a tenant owes for a period, and what that period cost the operator upstream."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    subscription_id = UUIDField()
    period_id = UUIDField()
    kind = CharEnumField(InvoiceKind, default=InvoiceKind.PERIOD)
    currency = TextField()
    total_minor = BigIntField()
    upstream_cost_minor = BigIntField()
    upstream_cost_currency = TextField()
    upstream_units = BigIntField()
    state = CharEnumField(InvoiceState)
    stripe_invoice_id = TextField(null=True)
    number = TextField(null=True)
    hosted_url = TextField(null=True)
    pdf_url = TextField(null=True)
    links_at = InstantField(null=True)
    """When Stripe was last asked for these three: its links do not last for ever."""
    stripe_total_minor = BigIntField(null=True)
    """With taxes, since Stripe has finalized it."""
    amount_due_minor = BigIntField(null=True)
    """With taxes, less what was credited, whatever of it is paid."""
    amount_paid_minor = BigIntField(null=True)
    finalized_at = InstantField()
    pushed_at = InstantField(null=True)
    paid_at = InstantField(null=True)
    failed_at = InstantField(null=True)
    """When we learned of the first failed payment, and told it."""
    settled_at = InstantField(null=True)
    """When, by Stripe's clock, it ceased to be owed: paid, void or forgiven."""

    class Meta:
        table = "invoice"


class LineItem(Model):
    """One line; `service_period_id` is the period whose usage it bills."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    invoice_id = UUIDField()
    position = BigIntField()
    kind = CharEnumField(LineKind)
    service_period_id = UUIDField()
    meter = TextField()
    model = TextField()
    price_id = UUIDField(null=True)
    label = TextField()
    quantity = DecimalTextField()
    unit_price = DecimalTextField()
    amount_minor = BigIntField()
    adjusts = TextField(null=True)
    """The kind of line that an ADJUSTMENT corrects."""
    explanation: JSONField[dict[str, object] | None] = JSONField(null=True)
    """Of an ADJUSTMENT: what was billed, what it is now, and why."""
    stripe_item_id = TextField(null=True)

    class Meta:
        table = "line_item"
