"""What has a global id."""

from uuid import UUID

import strawberry
from strawberry import relay


@strawberry.interface(description="Anything that has a global id.")
class Node:
    id: relay.GlobalID = strawberry.field(description="Opaque, and unique over all types.")


def global_id(kind: str, key: UUID) -> relay.GlobalID:
    """The global id of a row: the name of its type in the API, and its UUID."""
    return relay.GlobalID(kind, str(key))
