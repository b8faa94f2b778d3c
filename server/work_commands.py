"""The commands about background work and webhooks: what was given up, and running it again."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Table
from strawberry import relay

from server.terminal import fail, out, with_platform
from services import callbacks, deliveries, retrying
from services.deliveries import CaughtUp, Delivery, WebhookState
from services.platform import Platform
from services.retrying import JobState, ListedJob

work_app = typer.Typer()
SHOWN = 100


@work_app.command("jobs")
def list_jobs(
    retry: Annotated[str | None, typer.Option(help="Run this one again, by its id.")] = None,
    retry_all: Annotated[bool, typer.Option("--retry-all", help="Run all of them again.")] = False,
) -> None:
    """List the jobs that were given up, or run them again with a fresh budget of attempts."""
    if retry is not None:
        job_id = _uuid(retry, "Job")
        job = with_platform(lambda platform: retrying.retry_job(platform, job_id))
        out.print(f"{job.topic} {job.dedup} runs again", markup=False, soft_wrap=True)
        return
    if retry_all:
        out.print(f"{with_platform(retrying.retry_all)} jobs run again")
        return

    async def find(_: Platform) -> list[ListedJob]:
        return list(await retrying.list_jobs(JobState.FAILED, None, SHOWN))

    table = Table("Job", "What", "For what", "Attempts", "Last error", box=None)
    failed = with_platform(find)
    for job in failed:
        table.add_row(str(job.id), job.topic, job.dedup, str(job.attempts), job.last_error)
    out.print(table if failed else "no job was given up")


@work_app.command("webhooks")
def list_webhooks(
    replay: Annotated[str | None, typer.Option(help="Apply this one again, by its id.")] = None,
    replay_failed: Annotated[bool, typer.Option("--replay-failed", help="Apply all of them again.")] = False,
) -> None:
    """List the deliveries that could not be applied, or apply them again."""
    if replay is not None:
        event_id = _uuid(replay, "WebhookEvent")
        delivery = with_platform(lambda platform: deliveries.replay_webhook(platform, event_id))
        out.print(f"{delivery.event.type} {delivery.event.key} is applied again", markup=False, soft_wrap=True)
        return
    if replay_failed:
        out.print(f"{with_platform(deliveries.replay_failed)} deliveries are applied again")
        return

    async def find(_: Platform) -> list[Delivery]:
        return list(await deliveries.list_webhooks(WebhookState.FAILED, None, None, SHOWN))

    table = Table("Delivery", "From", "What", "Attempts", "Last error", box=None)
    failed = with_platform(find)
    for delivery in failed:
        event = delivery.event
        table.add_row(str(event.id), event.source, event.type, str(delivery.attempts), delivery.last_error)
    out.print(table if failed else "every delivery was applied, or will be")


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
