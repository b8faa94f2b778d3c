"""Holding back: what SignNow's answers say, limits of our own, fair shares. Time is told, never spent."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.applications import Starlette

from inkmeter.clock import FrozenClock
from inkmeter.errors import UpstreamRateLimited
from integrations.signnow.auth import ApiKey
from integrations.signnow.client import SignNowClient
from integrations.signnow.limits import Limiter, Limits
from integrations.signnow.sandbox import SandboxAccount

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)


class Sleeper:
    """Sleeps by moving the clock."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock, self.slept = clock, list[float]()

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.travel_to(self.clock.now() + timedelta(seconds=seconds))


@pytest.fixture
def sleeper(clock: FrozenClock) -> Sleeper:
    return Sleeper(clock)


def limiter(sleeper: Sleeper, **limits: object) -> Limiter:
    return Limiter(Limits(**limits), sleeper.clock, sleeper)  # type: ignore[arg-type]


def answer(status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def spent(limits: Limiter, tenant: str | None = None) -> int:
    """How many calls are let through before one is refused."""
    count = 0
    while True:
        try:
            await limits.admit(tenant)
        except UpstreamRateLimited:
            return count
        count += 1


async def test_an_hours_calls_may_be_made_at_once_and_come_back_evenly(sleeper: Sleeper) -> None:
    limits = limiter(sleeper, calls=60)
    assert await spent(limits) == 60
    with pytest.raises(UpstreamRateLimited) as refused:
        await limits.admit(None)
    assert refused.value.retry_after == pytest.approx(60)
    await sleeper(120)
    assert await spent(limits) == 2
    await sleeper(7200)
    assert await spent(limits) == 60


async def test_a_busy_tenant_does_not_take_the_others_calls(sleeper: Sleeper) -> None:
    limits = limiter(sleeper, calls=60, tenant_share=0.5)
    assert await spent(limits, "busy") == 30
    assert await spent(limits, "quiet") == 30
    assert await spent(limits) == 0


async def test_who_has_to_wait_only_a_little_waits_in_turn(sleeper: Sleeper) -> None:
    limits = limiter(sleeper, calls=3600, patience=timedelta(seconds=2))
    assert await spent(limiter(sleeper, calls=3600), None) == 3600
    for _ in range(3601):
        await limits.admit(None)
    assert sleeper.slept == [pytest.approx(1)]


async def test_a_refused_call_takes_no_token(sleeper: Sleeper) -> None:
    limits = limiter(sleeper, calls=60)
    await spent(limits)
    for _ in range(100):
        with pytest.raises(UpstreamRateLimited):
            await limits.admit(None)
    await sleeper(60)
    await limits.admit(None)


async def test_a_429_holds_everybody_back_until_it_says(sleeper: Sleeper) -> None:
    limits = limiter(sleeper)
    limits.note(answer(429, retry_after="30"))
    with pytest.raises(UpstreamRateLimited) as refused:
        await limits.admit("anybody")
    assert refused.value.retry_after == 30
    await sleeper(30)
    await limits.admit("anybody")


async def test_what_is_left_is_heeded_before_signnow_refuses(sleeper: Sleeper) -> None:
    limits = limiter(sleeper, calls=60)
    limits.note(answer(x_ratelimit_remaining="5"))
    assert await spent(limits) == 5
    limits = limiter(sleeper)
    reset = str(int((sleeper.clock.now() + timedelta(minutes=10)).timestamp()))
    limits.note(answer(x_ratelimit_remaining="0", x_ratelimit_reset=reset))
    with pytest.raises(UpstreamRateLimited) as refused:
        await limits.admit(None)
    assert refused.value.retry_after == 600


@pytest.mark.parametrize("nonsense", ["", "-1", "soon", "1.5", "9" * 30])
async def test_headers_without_sense_are_left_aside(sleeper: Sleeper, nonsense: str) -> None:
    limits = limiter(sleeper)
    limits.note(answer(x_ratelimit_remaining="0", x_ratelimit_reset=nonsense))
    limits.note(answer(x_ratelimit_remaining=nonsense, x_ratelimit_reset="1"))
    await limits.admit(None)


async def test_a_storm_is_met_with_one_call(
    sandbox: Starlette, http: httpx.AsyncClient, clock: FrozenClock, sleeper: Sleeper
) -> None:
    passed: list[str] = []

    class Wire(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            passed.append(request.url.path)
            return await super().handle_async_request(request)

    client = SignNowClient(
        base_url="http://signnow.test",
        credentials=ApiKey(SandboxAccount().api_key),
        http=httpx.AsyncClient(transport=Wire(sandbox)),
        limits=Limits(),
        clock=clock,
        sleep=sleeper,
    )
    await http.post("/_sandbox/knobs", json={"calls_per_hour": 2})
    await client.counters()
    await client.counters()
    for _ in range(50):
        with pytest.raises(UpstreamRateLimited):
            await client.for_tenant("acme").counters()
    assert passed == ["/user", "/user"]
    await sleeper(3600)
    await client.counters()


async def test_the_sandbox_tells_and_keeps_its_limit(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    await http.post("/_sandbox/knobs", json={"calls_per_hour": 2})
    answers = [await http.get("/user") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.headers["x-ratelimit-remaining"] for each in answers] == ["1", "0", "0"]
    assert answers[2].headers["retry-after"] == "3600"
    assert answers[2].json()["errors"][0]["message"] == "Too Many Attempts"
    clock.travel_to(clock.now() + timedelta(hours=1))
    assert (await http.get("/user")).status_code == 200
