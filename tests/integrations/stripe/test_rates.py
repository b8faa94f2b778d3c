"""The token buckets: never more than the rate, in the order of arrival, whoever gives up; by a clock of the test's."""

import asyncio
from itertools import pairwise

import httpx
import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.stripe.gateway import StripeGateway
from integrations.stripe.rates import BURST_SHARE, Bucket, RateLimiter, endpoint
from integrations.stripe.transport import HttpxClient

pytestmark = pytest.mark.anyio


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.now += seconds


async def passages(limiter: RateLimiter, time: Time, asked: list[tuple[str, str]]) -> list[tuple[int, float]]:
    """When each of the requests, made at once, was let through, in that order."""
    passed: list[tuple[int, float]] = []

    async def ask(number: int, method: str, path: str) -> None:
        await limiter.enter(method, path)
        passed.append((number, time.now))

    await asyncio.gather(*(ask(number, *one) for number, one in enumerate(asked)))
    return passed


@settings(max_examples=60, deadline=None)
@given(rate=st.integers(1, 30), count=st.integers(1, 80))
def test_no_second_has_more_than_the_rate_and_the_burst(rate: int, count: int) -> None:
    async def play() -> list[tuple[int, float]]:
        time = Time()
        limiter = RateLimiter(per_endpoint=rate, now=time, sleep=time.sleep)
        return await passages(limiter, time, [("POST", "/v1/invoices")] * count)

    passed = asyncio.run(play())
    assert [number for number, _ in passed] == list(range(count)), "first come, first served"
    at = [moment for _, moment in passed]
    most = max(1, rate * BURST_SHARE) + rate
    for moment in at:
        assert sum(moment <= other < moment + 1 for other in at) <= most + 1e-6
    free = max(1, int(rate * BURST_SHARE))
    assert at[-1] <= max(0, count - free + 1) / rate + 1e-6, "and no slower than the rate"


async def test_an_endpoint_that_is_busy_does_not_hold_another() -> None:
    time = Time()
    limiter = RateLimiter(per_endpoint=1, now=time, sleep=time.sleep)
    asked = [("POST", "/v1/invoices")] * 5 + [("GET", "/v1/invoices"), ("POST", "/v1/invoices/in_1a/finalize")]
    passed = dict(await passages(limiter, time, asked))
    assert (passed[0], passed[5], passed[6]) == (0, 0, 0)
    assert passed[4] == pytest.approx(4)


async def test_all_endpoints_share_one_bucket() -> None:
    time = Time()
    limiter = RateLimiter(in_all=4, now=time, sleep=time.sleep)
    passed = await passages(limiter, time, [("GET", f"/v1/{name}") for name in "abcdefghi"])
    assert passed[-1][1] == pytest.approx(2)
    assert all(later[1] >= sooner[1] for sooner, later in pairwise(passed))


async def test_who_gives_up_takes_nothing_along() -> None:
    time, gate = Time(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        await gate.wait()
        await time.sleep(seconds)

    bucket = Bucket(1, time, sleep)
    await bucket.take()
    waiting = [asyncio.create_task(bucket.take()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # asleep
    waiting[1].cancel()  # in the queue
    gate.set()
    await waiting[2]
    assert time.now == pytest.approx(1), "as if the others had never come"
    assert [task.cancelled() for task in waiting] == [True, True, False]


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v1/invoices", "/v1/invoices"),
        ("/v1/invoices/in_1NqXabc", "/v1/invoices/-"),
        ("/v1/invoices/in_1NqXabc/finalize", "/v1/invoices/-/finalize"),
        ("/v1/billing/meters/mtr_61Q/event_summaries", "/v1/billing/meters/-/event_summaries"),
        ("/v1/test_helpers/test_clocks/clock_1/advance", "/v1/test_helpers/test_clocks/-/advance"),
    ],
)
async def test_ids_are_not_endpoints(path: str, family: str) -> None:
    assert endpoint("post", path) == f"POST {family}"


async def test_a_pause_that_stripe_asks_for_is_kept() -> None:
    answers = [httpx.Response(429, json={"error": {"message": "slow down"}}, headers={"retry-after": "7"})]
    time = Time()

    def answer(_: httpx.Request) -> httpx.Response:
        return answers.pop() if answers else httpx.Response(200, json={"id": "cus_1", "object": "customer"})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    limiter = RateLimiter(per_endpoint=15, now=time, sleep=time.sleep)
    gateway = StripeGateway(api_key="sk_test_x", http_client=HttpxClient(http, limiter=limiter))
    with pytest.raises(stripe.RateLimitError):
        await gateway._v1.customers.retrieve_async("cus_1a")
    await gateway._v1.products.list_async()
    assert time.now == 0, "other endpoints are not held"
    await gateway._v1.customers.retrieve_async("cus_2b")
    assert time.now == 7
    await gateway.aclose()
