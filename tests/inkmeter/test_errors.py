import re
from datetime import UTC, datetime

import pytest

from inkmeter import errors
from inkmeter.errors import (
    InkmeterError,
    InvalidConfig,
    InvalidInput,
    NextPlan,
    PluginError,
    Problem,
    QuotaExceeded,
    Refused,
    SpendCapReached,
    TopUpPack,
    TopUpRequired,
    UpstreamError,
)
from inkmeter.money import Money


def subclasses(base: type[InkmeterError]) -> set[type[InkmeterError]]:
    return {base}.union(*(subclasses(child) for child in base.__subclasses__()))


def public(base: type[InkmeterError]) -> set[type[InkmeterError]]:
    return {e for e in subclasses(base) if e.__module__ == errors.__name__ and not e.__name__.startswith("_")}


def test_codes_are_unique_and_say_the_name() -> None:
    for error in public(InkmeterError):
        assert error.code.replace("_", "") == error.__name__.upper()
    assert len({error.code for error in public(InkmeterError)}) == len(public(InkmeterError))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^(?:│ {3})?(?:[├└]── )?([A-Z]\w+) {2}", errors.__doc__ or "", re.MULTILINE)
    assert set(drawn) == {error.__name__ for error in public(InkmeterError)}
    under = re.findall(r"│ {3}[├└]── (\w+)", errors.__doc__ or "")
    assert set(under) == {e.__name__ for e in public(Refused) | public(UpstreamError) - {UpstreamError}} - {"Refused"}


def test_every_error_has_a_docstring() -> None:
    assert all(error.__doc__ for error in public(InkmeterError))


def test_a_problem_of_all_of_it_has_no_path_in_front() -> None:
    assert InvalidInput([Problem((), "needs a line")]).message == "needs a line"


def test_problems_are_all_in_the_message() -> None:
    error = InvalidConfig([Problem(("tiers", "0", "upTo"), "is needed"), Problem(("fee",), "no such setting")])
    assert error.message == "tiers.0.upTo: is needed; fee: no such setting"
    with pytest.raises(ValueError, match="at least one"):
        InvalidConfig([])


def test_refusals_say_what_would_help() -> None:
    resets_at = datetime(2026, 2, 1, tzinfo=UTC)
    quota = QuotaExceeded(meter="downloads", limit=10, used=9, requested=2, resets_at=resets_at)
    assert "limit of 10 (9 used)" in quota.message
    assert "2026-02-01" in quota.message
    assert (quota.limit, quota.used, quota.requested, quota.resets_at) == (10, 9, 2, resets_at)
    assert "Upgrade the plan or wait." in quota.message
    assert "Buy a top-up." in TopUpRequired(meter="downloads", balance=1, requested=2).message
    spent = SpendCapReached(
        meter="downloads", cap=Money(500, "USD"), spent=Money(450, "USD"), price=Money(51, "USD"), resets_at=resets_at
    )
    assert "0.51 USD more for downloads would pass the spend cap of 5.00 USD (4.50 USD spent)" in spent.message


def test_refusals_name_the_ways_on() -> None:
    pack, scale = TopUpPack(10, Money(900, "USD")), NextPlan("0", "scale", "Scale")
    resets_at = datetime(2026, 2, 1, tzinfo=UTC)
    quota = QuotaExceeded(
        meter="downloads", limit=10, used=9, requested=2, resets_at=resets_at, packs=[pack], next_plan=scale
    )
    assert "Buy a top-up or change to the plan scale or wait." in quota.message
    assert (quota.packs, quota.next_plan) == ((pack,), scale)
    needed = TopUpRequired(meter="downloads", balance=1, requested=2, next_plan=scale, resets_at=resets_at)
    assert needed.message.endswith("Change to the plan scale.")
    assert (needed.packs, needed.resets_at) == ((), resets_at)


def test_a_plugin_error_names_plugin_and_hook() -> None:
    error = PluginError("KeyError: 'x'", plugin="acme", hook="extra_lines")
    assert (error.plugin, error.hook) == ("acme", "extra_lines")
    assert error.message == "plugin 'acme', extra_lines: KeyError: 'x'"
