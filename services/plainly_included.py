"""The short cut of most decisions: units that are plainly included, with nothing that follows from them."""

from collections.abc import Callable, Mapping
from uuid import UUID

from inkmeter.money import Money
from services.decisions import Decision, Reason
from services.included import included_units
from services.terms import PlanTerms


def free_units(terms: PlanTerms, meter: str, seats: int) -> int | None:
    """The total up to which units of a meter are INCLUDED and nothing else follows from them: no price, no credits, no
    purchase. None is without end.
    """
    quota = terms.quotas.get(meter)
    if quota is not None and quota.auto_top_up is not None:
        return 0
    included = included_units(terms, meter, seats)
    bounds = [included] if included is not None else []
    for entry, model in terms.prices:
        if entry.meter == meter and model.rates_usage():
            bounds.append(int(model.allowance(seats) or 0) * 10 ** terms.meters[meter].decimals)
    return min(bounds, default=None)


class Included:
    """Decisions on units that are plainly included, as most are: what `decide` comes to, without asking the prices
    again for each operation of a batch.
    """

    def __init__(self) -> None:
        self._bounds: dict[tuple[UUID, int, str], int | None] = {}
        self._decisions: dict[UUID, Decision] = {}

    def decision(
        self, terms: PlanTerms, seats: int, taken: Callable[[str], int], units: Mapping[str, int]
    ) -> Decision | None:
        """None if it must be looked at. `taken` answers the units of a meter that are used or reserved."""
        plan_id = terms.plan.id
        for meter, amount in units.items():
            key = (plan_id, seats, meter)
            if key not in self._bounds:
                self._bounds[key] = free_units(terms, meter, seats)
            bound = self._bounds[key]
            if bound is not None and taken(meter) + amount > bound:
                return None
        if plan_id not in self._decisions:
            self._decisions[plan_id] = Decision(Reason.INCLUDED, Money.zero(terms.plan.currency), terms)
        return self._decisions[plan_id]
