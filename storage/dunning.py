"""Cases of dunning: from the first payment of a tenant that failed until nothing is owed any more."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id
from storage.plans import DunningEnd


class DunningStep(StrEnum):
    """How far a case has come. It ends with DOWNGRADED or DEPROVISIONED, or stays RESTRICTED, as the plan says."""

    GRACE = "GRACE"
    RESTRICTED = "RESTRICTED"
    DOWNGRADED = "DOWNGRADED"
    DEPROVISIONED = "DEPROVISIONED"


class DunningCase(Model):
    """A tenant owes since `since`; it has one open case at most. The policy is the one that held when it began."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    since = InstantField()
    grace_days = BigIntField()
    restricted_days = BigIntField()
    dunning_end = CharEnumField(DunningEnd)
    downgrade_plan_id = UUIDField(null=True)
    left_plan_id = UUIDField(null=True)
    """The plan in force when the case began, which its end leaves."""
    step = CharEnumField(DunningStep)
    step_at = InstantField()
    closed_at = InstantField(null=True)

    class Meta:
        table = "dunning_case"
