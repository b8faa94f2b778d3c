from collections.abc import Iterable

import pytest

from inkmeter import BillingModel, ConfigurationError, Line, NotFound, Usage
from plugins.registry import BillingModels


class Zulu(BillingModel):
    """The last."""

    code = "zulu"

    def rate(self, usage: Usage) -> Iterable[Line]:
        return []


class Alpha(BillingModel):
    """The first."""

    code = "alpha"

    def rate(self, usage: Usage) -> Iterable[Line]:
        return []


def test_models_are_found_by_code_and_sorted() -> None:
    models = BillingModels([("one", Zulu), ("two", Alpha)])
    assert list(models) == [Alpha, Zulu]
    assert models.get("zulu") is Zulu
    assert "alpha" in models
    assert "beta" not in models
    assert len(models) == 2


def test_an_unknown_code_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"no billing model 'beta'; there are: alpha, zulu") as refused:
        BillingModels([("one", Zulu), ("two", Alpha)]).get("beta", path=("prices", "0", "model"))
    assert refused.value.path == ("prices", "0", "model")
    with pytest.raises(NotFound, match="none at all"):
        BillingModels([]).get("flat")


def test_a_code_taken_twice_is_refused_with_both_plugins() -> None:
    with pytest.raises(ConfigurationError, match="'alpha' is registered by both 'one' and 'two'"):
        BillingModels([("two", Alpha), ("one", Alpha)])


@pytest.mark.parametrize("thing", [Alpha(), BillingModel, "alpha", None, int])
def test_only_billing_models_are_registered(thing: object) -> None:
    with pytest.raises(ConfigurationError, match=r"plugin 'one' registers .* no billing model"):
        BillingModels([("one", thing)])
