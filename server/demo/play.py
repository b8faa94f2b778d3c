"""The demo: a month of five tenants through the real API, on local sandboxes, then the same server stays up."""

import asyncio
import contextlib
from datetime import UTC, datetime, time, timedelta

import httpx
from rich.console import Console

from inkmeter.clock import TravelClock
from inkmeter.periods import Anchor
from server.asgi import create_app
from server.demo.client import Api
from server.demo.report import checks, print_report
from server.demo.story import Story
from server.sandboxes import OPERATOR_KEY, open_sandboxes
from server.serving import running, stopping
from server.settings import Settings
from server.wiring import open_platform
from services import keys


async def play(*, port: int | None, stay: bool, console: Console) -> bool:
    """Play the month and print it; True if every check held. With `stay`, serve until the process is interrupted."""
    start, end = month_before(datetime.now(UTC))
    clock = TravelClock(start)
    given = {} if port is None else {"port": port}
    settings = Settings.load(**given)
    async with contextlib.AsyncExitStack() as stack:
        boxes = await stack.enter_async_context(open_sandboxes(settings, clock))
        platform = await stack.enter_async_context(open_platform(boxes.settings, clock=clock))
        await keys.ensure_key(platform, OPERATOR_KEY)
        app = create_app(boxes.settings, platform=lambda: contextlib.nullcontext(platform))
        url = await stack.enter_async_context(running(app, boxes.listener))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        console.print(f"\n[bold]One month, {start:%d %B} to {end:%d %B %Y}[/], through {url}/graphql\n")
        story = Story(Api(http, url, OPERATOR_KEY), http, clock, boxes.signnow_url, boxes.stripe_url)
        async for line in story.play(end):
            console.print(f"  [green]✓[/] {line}")
        console.print()
        print_report(console, story.tales)
        results = list(checks(story.tales))
        failed = [name for name, holds in results if not holds]
        for name in failed:
            console.print(f"  [red]✗ {name}")
        console.print(f"{len(results) - len(failed)} of {len(results)} checks held\n")
        if stay:
            clock.travel_to(datetime.now(UTC))
            await _stay(console, url)
    return not failed


def month_before(now: datetime) -> tuple[datetime, datetime]:
    """A billing month that has just ended: its first morning, and the midnight at which it ended."""
    day = now.date()
    anchor_on = (day.replace(day=1) - timedelta(days=1)).replace(day=min(day.day, 28))
    return datetime.combine(anchor_on, time(9), UTC), Anchor(anchor_on).boundary(1)


async def _stay(console: Console, url: str) -> None:
    console.print(f"The API stays up: [bold]{url}/graphql[/] (GraphiQL). Operator's key: [bold]{OPERATOR_KEY}[/]")
    console.print('Header: {"Authorization": "Bearer ' + OPERATOR_KEY + '"}   Ctrl-C to stop', markup=False)
    told = asyncio.Event()
    with stopping(told.set):
        await told.wait()
