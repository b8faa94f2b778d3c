import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from inkmeter import BillingPeriod, DraftLine, InvoiceDraft, Money, RatedLine

JANUARY = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def draft() -> InvoiceDraft:
    fee = RatedLine("Fee", Decimal(1), Decimal("49.99"), Money(4999, "USD"))
    return InvoiceDraft("t-1", "Acme", "team", JANUARY, "USD", (DraftLine("documents_created", "tiered", fee),))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, Path], None]]:
    """Leaves what pip would leave of a package: `install("acme-envelopes", "name = module", folder_of_modules)`."""
    before = set(sys.modules)

    def install(package: str, entry_points: str, folder: Path) -> None:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[inkmeter]\n{entry_points}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.syspath_prepend(folder)

    yield install
    for name in [name for name in sys.modules if name not in before and "acme" in name]:
        del sys.modules[name]
