"""Background work as the operator sees it."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import relay

from schema.refusals import UserError


@strawberry.enum(description="How far a job has come.")
class JobState(Enum):
    WAITING = strawberry.enum_value("WAITING", description="It runs at its time, or runs now.")
    DONE = strawberry.enum_value("DONE", description="Done.")
    FAILED = strawberry.enum_value("FAILED", description="Given up after many attempts; `retryJob` runs it again.")


JobFilter = Annotated[JobState | None, strawberry.argument(description="Only those in this state.")]


@strawberry.type(description="Something that Inkmeter does by itself: a push, a close, a delivery.")
class Job:
    id: relay.GlobalID = strawberry.field(description="For `retryJob`.")
    topic: str = strawberry.field(description="What is done, such as `invoice.push`.")
    subject: str = strawberry.field(description="For what: its name within the topic.")
    tenant_id: relay.GlobalID | None = strawberry.field(description="For whom; null if it is no tenant's.")
    state: JobState = strawberry.field(description="How far it has come.")
    attempts: int = strawberry.field(description="How often it was tried, since it was last given a fresh budget.")
    last_error: str | None = strawberry.field(description="What went wrong last, or what it waits for.")
    created_at: datetime = strawberry.field(description="When it was added.")
    run_at: datetime = strawberry.field(description="When it is run next, or was to be run last.")


@strawberry.input(description="A job that was given up.")
class RetryJobInput:
    job_id: relay.GlobalID = strawberry.field(description="Which.")


@strawberry.type(description="What became of `retryJob`.")
class RetryJobPayload:
    job: Job | None = strawberry.field(default=None, description="It runs again, with a fresh budget of attempts.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
