"""Ways to play a year: in order, shuffled, in bad weather; each on a database of its own."""

import contextlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from enum import StrEnum

from tests.world import open_world
from tests.year.weather import Postman
from tests.year.year import Year

TAX_PERCENT = 20


class Play(StrEnum):
    """IN_ORDER hands webhooks on as Stripe sends them; SHUFFLED in any order, each twice; BAD_WEATHER late, too, with
    some lost, calls that fail, and taxes.
    """

    IN_ORDER = "in order"
    SHUFFLED = "shuffled"
    BAD_WEATHER = "bad weather"


@contextlib.asynccontextmanager
async def played(database_url: str, play: Play, seed: int, days: int) -> AsyncIterator[Year]:
    """The year at its end, with its world still there."""
    dice = random.Random(seed)  # noqa: S311 - trouble need not be secret
    is_bad = play is Play.BAD_WEATHER
    if play is Play.IN_ORDER:
        async with open_world(database_url) as world:
            year = Year(world, seed)
            await year.play(days)
            yield year
        return
    postman = Postman(dice, late=timedelta(minutes=20 if is_bad else 0))
    async with open_world(database_url, door=postman.stand_before, automatic_tax=is_bad) as world:
        (await world.stripe.post("/_sandbox/tax", json={"percent": TAX_PERCENT})).raise_for_status()
        year = Year(world, seed, postman, dice if is_bad else None)
        await year.play(days)
        yield year
