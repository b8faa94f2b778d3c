"""The commands about background work and webhooks: what was given up, and running it again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text
from strawberry import relay

from server.terminal import fail, out, with_platform
from services import callbacks, deliveries, retrying
from services.deliveries import CaughtUp, WebhookState
from services.platform import Platform
from services.retrying import JobState

work_app = typer.Typer()
SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class GivenUp:
    """One kind of work that was given up after too many attempts: `find` answers its rows, `again` runs one of them
    again and says which.
    """

    kind: str
    columns: tuple[str, ...]
    find: Callable[[], Awaitable[list[tuple[str, ...]]]]
    again: Callable[[Platform, UUID], Awaitable[str]]
    all_again: Callable[[Platform], Awaitable[str]]
    nothing: str

    def show_or_repeat(self, one: str | None, *, every: bool) -> None:
        """List what there is, or run one, or all of it, again with a fresh budget of attempts."""
        if one is not None:
            key = _uuid(one, self.kind)
            out.print(with_platform(lambda platform: self.again(platform, key)), markup=False, soft_wrap=True)
        elif every:
            out.print(with_platform(self.all_again))
        elif found := with_platform(lambda _: self.find()):
            table = Table(*self.columns, "Attempts", "Last error", box=None)
            for row in found:
                table.add_row(*map(Text, row))  # an error may look like rich's markup
            out.print(table)
        else:
            out.print(self.nothing)


async def _failed_jobs() -> list[tuple[str, ...]]:
    found = await retrying.list_jobs(JobState.FAILED, None, SHOWN)
    return [(str(job.id), job.topic, job.dedup, str(job.attempts), job.last_error or "") for job in found]


async def _retry_job(platform: Platform, job_id: UUID) -> str:
    job = await retrying.retry_job(platform, job_id)
    return f"{job.topic} {job.dedup} runs again"


async def _retry_all(platform: Platform) -> str:
    return f"{await retrying.retry_all(platform)} jobs run again"


JOBS: Final = GivenUp(
    "Job", ("Job", "What", "For what"), _failed_jobs, _retry_job, _retry_all, nothing="no job was given up"
)


@work_app.command("jobs")
def list_jobs(
    retry: Annotated[str | None, typer.Option(help="Run this one again, by its id.")] = None,
    retry_all: Annotated[bool, typer.Option("--retry-all", help="Run all of them again.")] = False,
) -> None:
    """List the jobs that were given up, or run them again with a fresh budget of attempts."""
    JOBS.show_or_repeat(retry, every=retry_all)


async def _failed_webhooks() -> list[tuple[str, ...]]:
    found = [(entry, entry.event) for entry in await deliveries.list_webhooks(WebhookState.FAILED, None, None, SHOWN)]
    return [(str(e.id), e.source, e.type, str(entry.attempts), entry.last_error or "") for entry, e in found]


async def _replay(platform: Platform, event_id: UUID) -> str:
    event = (await deliveries.replay_webhook(platform, event_id)).event
    return f"{event.type} {event.key} is applied again"


async def _replay_failed(platform: Platform) -> str:
    return f"{await deliveries.replay_failed(platform)} deliveries are applied again"


WEBHOOKS: Final = GivenUp(
    "WebhookEvent",
    ("Delivery", "From", "What"),
    _failed_webhooks,
    _replay,
    _replay_failed,
    nothing="every delivery was applied, or will be",
)


@work_app.command("webhooks")
def list_webhooks(
    replay: Annotated[str | None, typer.Option(help="Apply this one again, by its id.")] = None,
    replay_failed: Annotated[bool, typer.Option("--replay-failed", help="Apply all of them again.")] = False,
) -> None:
    """List the deliveries that could not be applied, or apply them again."""
    WEBHOOKS.show_or_repeat(replay, every=replay_failed)


class Sender(StrEnum):
    """Who has a log of what it sent."""

    STRIPE = "stripe"
    SIGNNOW = "signnow"


@work_app.command("catch-up")
def catch_up(
    sender: Annotated[Sender, typer.Argument(help="Whose events.")] = Sender.STRIPE,
    days: Annotated[int, typer.Option(help="How far to look back.", min=1, max=30)] = 30,
) -> None:
    """Fetch the events that Stripe, or SignNow, could not deliver, as the worker does every hour."""
    if sender is Sender.SIGNNOW:
        kept = with_platform(lambda platform: callbacks.catch_up(platform, platform.clock.now() - timedelta(days=days)))
        mended = f"{kept.mended} subscriptions were missing or wrong"
        out.print(f"{mended}; {kept.listed} callbacks are in SignNow's log, {kept.new} of them were missing here")
        return

    async def run(platform: Platform) -> CaughtUp:
        return await deliveries.catch_up(platform, platform.clock.now() - timedelta(days=days))

    found = with_platform(run)
    out.print(f"{found.listed} events were not delivered, {found.new} of them were missing here")


def _uuid(text: str, kind: str) -> UUID:
    """Read a global id or a bare UUID."""
    try:
        parsed = relay.GlobalID.from_id(text)
        text = parsed.node_id if parsed.type_name == kind else ""
    except ValueError:
        pass
    try:
        return UUID(text)
    except ValueError:
        fail("that is not an id of this list")
