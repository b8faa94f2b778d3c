"""What an object of Stripe's went through and was told of, once each."""

from collections.abc import Collection
from datetime import datetime

from tortoise.fields import TextField, UUIDField
from tortoise.models import Model

from storage.database import insert_new
from storage.fields import InstantField
from storage.ids import new_id


class Transition(Model):
    """The object (in_…, cus_…) and the transition's name, such as `action_required:1`."""

    object_id = TextField()
    name = TextField()
    id = UUIDField(primary_key=True, default=new_id)
    created_at = InstantField()

    class Meta:
        table = "transition"


async def passed(names: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these transitions, by object and name, were noted."""
    found = await Transition.filter(object_id__in=sorted({object_id for object_id, _ in names}))
    return {(one.object_id, one.name) for one in found} & set(names)


async def pass_once(object_id: str, name: str, now: datetime) -> bool:
    """Note the transition in the caller's transaction; False if it was noted before, by whichever event."""
    return await insert_new(Transition(object_id=object_id, name=name, created_at=now), ["object_id", "name"])
