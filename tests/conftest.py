"""What all tests share: the event loop, and a fresh database of either kind for each test that wants one."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from tests.databases import own_database
from tests.world import World, open_world

# How long an example takes says nothing about whether it holds, least of all on a busy machine.
hypothesis.settings.register_profile("inkmeter", deadline=None)
hypothesis.settings.load_profile("inkmeter")

DEFAULT_POSTGRES = "postgresql://localhost/postgres"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database", choices=("sqlite", "postgres"), default="sqlite", help="the database that tests run on"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL only tests that use a database are run: the others have run on SQLite."""
    if config.getoption("--database") == "postgres":
        uses = [item for item in items if "database_url" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in uses])
        items[:] = uses


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """A URL of the server on which tests make databases of their own."""
    return os.environ.get("INKMETER_TEST_POSTGRES_URL", DEFAULT_POSTGRES)


@pytest.fixture
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database, gone after the test."""
    async with _empty_database(request, tmp_path / "test.sqlite3") as url:
        yield url


@pytest.fixture
async def other_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Another, for what is done twice and compared."""
    async with _empty_database(request, tmp_path / "other.sqlite3") as url:
        yield url


@contextlib.asynccontextmanager
async def _empty_database(request: pytest.FixtureRequest, file: Path) -> AsyncIterator[str]:
    if request.config.getoption("--database") == "sqlite":
        yield f"sqlite:///{file}"
        return
    async with own_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """Inkmeter with both sandboxes, in one process, over HTTP."""
    async with open_world(database_url) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of the machine, or a .env file of the folder, do not change what is tested."""
    for name in [name for name in os.environ if name.startswith("INKMETER_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
