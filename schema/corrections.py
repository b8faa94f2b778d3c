"""Corrections of usage."""

from enum import Enum

import strawberry
from strawberry import relay

from schema.refusals import UserError
from schema.scalars import Json, Quantity


@strawberry.input(description="What an event should have been.")
class CorrectionInput:
    event_key: str = strawberry.field(description="The idempotency key of the event, as `usageEvents` shows it.")
    idempotency_key: str = strawberry.field(description="Yours; the same correction is made once.")
    quantity: Quantity | None = strawberry.field(
        default=None, description="How many it should have been; zero or null if it never happened."
    )
    properties: Json | None = strawberry.field(
        default=None, description="All that it should have had; as they were if missing."
    )
    reason: str | None = strawberry.field(default=None, description="Why, for whoever looks at it later.")


@strawberry.input(description="Up to 1,000 corrections.")
class CorrectUsageInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    corrections: list[CorrectionInput] = strawberry.field(description="Each is answered by itself.")


@strawberry.enum(description="What became of a correction.")
class CorrectStatus(Enum):
    CORRECTED = strawberry.enum_value("CORRECTED", description="The event was taken back, and replaced if wanted.")
    DUPLICATE = strawberry.enum_value("DUPLICATE", description="The same correction was made before.")
    REFUSED = strawberry.enum_value("REFUSED", description="Nothing changed; `userError` says why.")


@strawberry.type(description="What became of one correction.")
class CorrectResult:
    idempotency_key: str = strawberry.field(description="The correction's.")
    status: CorrectStatus = strawberry.field(description="What became of it.")
    user_error: UserError | None = strawberry.field(description="Why it was refused.")


@strawberry.type(description="What became of `correctUsage`.")
class CorrectUsagePayload:
    results: list[CorrectResult] = strawberry.field(
        default_factory=list, description="In the order of the corrections."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why all of it was refused.")
