"""Deliveries about one object take turns; a look serves those that were there before it began, and nobody else."""

import asyncio

import pytest

from services.turns import Turns

pytestmark = pytest.mark.anyio


class Stripe:
    """An object whose version grows; `go_on` lets a fetch that has begun end."""

    def __init__(self) -> None:
        self.version, self.fetched = 0, 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def fetch(self) -> int:
        self.fetched += 1
        version = self.version
        self.begun.set()
        await self.go_on.wait()
        return version


async def deliver(turns: Turns, stripe: Stripe, object_id: str = "in_1") -> int:
    async with turns.take(object_id):
        return await turns.look(object_id, stripe.fetch)


async def test_who_came_before_the_look_began_shares_it_and_who_came_later_does_not() -> None:
    turns, stripe = Turns(), Stripe()
    first = asyncio.create_task(deliver(turns, stripe))
    await stripe.begun.wait()
    stripe.version = 1  # what the next ones speak of: the look that has begun cannot know it
    later = [asyncio.create_task(deliver(turns, stripe)) for _ in range(5)]
    await asyncio.sleep(0)
    stripe.go_on.set()
    assert await first == 0
    assert await asyncio.gather(*later) == [1] * 5
    assert stripe.fetched == 2, "one look for all that waited together"


async def test_a_look_that_fails_is_nobody_elses() -> None:
    turns, calls = Turns(), 0

    async def fetch() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls == 1:
            raise TimeoutError
        return calls

    async def one() -> int:
        async with turns.take("in_1"):
            return await turns.look("in_1", fetch)

    answers = await asyncio.gather(one(), one(), one(), return_exceptions=True)
    assert isinstance(answers[0], TimeoutError)
    assert list(answers[1:]) == [2, 2]


async def test_objects_do_not_wait_for_each_other_and_nothing_is_kept() -> None:
    turns, slow, quick = Turns(), Stripe(), Stripe()
    quick.go_on.set()
    waiting = asyncio.create_task(deliver(turns, slow))
    await slow.begun.wait()
    assert await deliver(turns, quick, "in_2") == 0
    quick.version = 7
    assert await deliver(turns, quick, "in_2") == 7
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slow.go_on.set()
    assert await deliver(turns, slow) == 0, "one that was cancelled has given up its turn"
    assert await turns.look("in_1", quick.fetch) == 7, "without a turn it is fetched"
    assert not turns._objects
