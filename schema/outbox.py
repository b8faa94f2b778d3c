"""Calls that change Stripe."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import relay


@strawberry.enum(description="What is known of a call to Stripe.")
class StripeCallState(Enum):
    SENT = strawberry.enum_value("SENT", description="It is under way, or the process died before an answer.")
    CONFIRMED = strawberry.enum_value("CONFIRMED", description="Stripe has done it.")
    REFUSED = strawberry.enum_value("REFUSED", description="Stripe has not done it, and says why.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="No usable answer: it may have been done.")


CallFilter = Annotated[StripeCallState | None, strawberry.argument(description="Only those in this state.")]


@strawberry.type(description="A call that changes something at Stripe, stored before it was made.")
class StripeCall:
    id: relay.GlobalID = strawberry.field(description="Under which it is stored.")
    idempotency_key: str = strawberry.field(description="What makes repeats of it one.")
    method: str = strawberry.field(description="POST or DELETE.")
    path: str = strawberry.field(description="What of Stripe's API.")
    tenant_id: relay.GlobalID | None = strawberry.field(description="For whom; null where that is not known.")
    state: StripeCallState = strawberry.field(description="What is known of it.")
    request_id: str | None = strawberry.field(description="Stripe's id of the request (req_…), for its logs.")
    object_id: str | None = strawberry.field(description="The object that was made or changed.")
    attempts: int = strawberry.field(description="How often it was sent.")
    last_error: str | None = strawberry.field(description="What went wrong last.")
    created_at: datetime = strawberry.field(description="Since when Stripe may know the key.")
    sent_at: datetime = strawberry.field(description="When it was sent last.")
    settled_at: datetime | None = strawberry.field(description="When its outcome was certain.")
