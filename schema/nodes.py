"""What has a global id."""

from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import relay

Id = Annotated[relay.GlobalID, strawberry.argument(description="Its global id.")]
TenantId = Annotated[
    relay.GlobalID | None,
    strawberry.argument(description="Whose; needed with an operator's key, the key's own tenant otherwise."),
]


@strawberry.interface(description="Anything that has a global id.")
class Node:
    id: relay.GlobalID = strawberry.field(description="Opaque, and unique over all types.")


def global_id(kind: str, key: UUID) -> relay.GlobalID:
    """The global id of a row: the name of its type in the API, and its UUID."""
    return relay.GlobalID(kind, str(key))
