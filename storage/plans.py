"""Plans: versioned, named sets of prices with quotas. Rows never change, save for the ids of their Stripe mirror."""

from enum import StrEnum
from typing import Any

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.periods import Interval
from storage.fields import InstantField
from storage.ids import new_id


class LimitPolicy(StrEnum):
    """What happens at a quota, once credits are used up: SOFT goes on and bills overage, HARD refuses until the period
    resets, TOP_UP refuses until credits are bought, AUTO_UPGRADE goes on on the plan's successor.
    """

    SOFT = "SOFT"
    HARD = "HARD"
    TOP_UP = "TOP_UP"
    AUTO_UPGRADE = "AUTO_UPGRADE"


class TopUpPayment(StrEnum):
    """When credits of a plan's own rule are paid: on the NEXT_INVOICE, or FIRST, before they are granted."""

    NEXT_INVOICE = "NEXT_INVOICE"
    FIRST = "FIRST"


class FeesDue(StrEnum):
    """When fees are billed: with the usage of their own period, or before it begins."""

    ARREARS = "ARREARS"
    ADVANCE = "ADVANCE"


class StripeMode(StrEnum):
    """Who makes the amounts: we (COMPUTED), or Stripe from the usage that we report to its meters (METERED)."""

    COMPUTED = "COMPUTED"
    METERED = "METERED"


class DunningEnd(StrEnum):
    """What becomes of a tenant that has not paid when its days under restriction are over: RESTRICT leaves it so."""

    RESTRICT = "RESTRICT"
    DOWNGRADE = "DOWNGRADE"
    DEPROVISION = "DEPROVISION"


class Plan(Model):
    """One version of a plan. Without days of its own, those of the settings hold."""

    id = UUIDField(primary_key=True, default=new_id)
    code = TextField()
    version = BigIntField()
    name = TextField()
    currency = TextField()
    interval = CharEnumField(Interval)
    fees = CharEnumField(FeesDue, default=FeesDue.ARREARS)
    minimum_minor = BigIntField(null=True)
    successor_id = UUIDField(null=True)
    stripe_mode = CharEnumField(StripeMode, default=StripeMode.COMPUTED)
    grace_days = BigIntField(null=True)
    restricted_days = BigIntField(null=True)
    dunning_end = CharEnumField(DunningEnd, default=DunningEnd.RESTRICT)
    downgrade_plan_id = UUIDField(null=True)
    content_hash = TextField()
    stripe_product_id = TextField(null=True)
    stripe_price_id = TextField(null=True)
    created_at = InstantField()

    class Meta:
        table = "plan"


class Price(Model):
    """A billing model with its configuration, for one meter of a plan."""

    id = UUIDField(primary_key=True, default=new_id)
    plan_id = UUIDField()
    position = BigIntField()
    meter = TextField()
    model = TextField()
    config: JSONField[dict[str, object]] = JSONField()
    stripe_fee_id = TextField(null=True)
    stripe_usage_id = TextField(null=True)

    class Meta:
        table = "price"


class Quota(Model):
    """The limit of a meter in a period, in 10^-decimals units, and what happens there; credits are in whole units."""

    id = UUIDField(primary_key=True, default=new_id)
    plan_id = UUIDField()
    meter = TextField()
    units = BigIntField()
    policy = CharEnumField(LimitPolicy)
    spend_cap_minor = BigIntField(null=True)
    packs: JSONField[list[dict[str, int]]] = JSONField(default=list)
    """Top-ups on offer: [{units, price_minor}]."""
    auto_top_up: JSONField[dict[str, Any] | None] = JSONField(null=True)
    """{below, pack, monthly_cap_minor}: buy pack number `pack` whenever fewer units than `below` are left; with
    `payment` FIRST among them they are paid before.
    """
    alerts_at: JSONField[list[int]] = JSONField(default=list)
    """Percentages of the quota, ascending."""

    @property
    def is_paid_first(self) -> bool:
        """Whether the plan's rule orders credits, to be granted once they are paid."""
        return self.auto_top_up is not None and self.auto_top_up.get("payment") == TopUpPayment.FIRST

    class Meta:
        table = "quota"
