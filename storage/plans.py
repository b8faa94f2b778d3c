"""Plans: versioned, named sets of prices with quotas. Rows never change, save for the ids of their Stripe mirror."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.periods import Interval
from storage.fields import InstantField
from storage.ids import new_id


class LimitPolicy(StrEnum):
    """What happens at a quota: SOFT goes on and bills overage, HARD refuses until the period resets."""

    SOFT = "SOFT"
    HARD = "HARD"


class Plan(Model):
    """One version of a plan."""

    id = UUIDField(primary_key=True, default=new_id)
    code = TextField()
    version = BigIntField()
    name = TextField()
    currency = TextField()
    interval = CharEnumField(Interval)
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

    class Meta:
        table = "price"


class Quota(Model):
    """The limit of a meter in a period, in units, and what happens there."""

    id = UUIDField(primary_key=True, default=new_id)
    plan_id = UUIDField()
    meter = TextField()
    units = BigIntField()
    policy = CharEnumField(LimitPolicy)

    class Meta:
        table = "quota"
