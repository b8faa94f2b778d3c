"""What a change would cost: it is made, priced by the code of the close, and undone."""

from dataclasses import dataclass
from datetime import datetime

from inkmeter.money import Money
from services import billing, changes, period_facts, rating, upcoming
from services.changes import Change, ChangePlan, ChangeSeats
from services.platform import Platform
from services.upcoming import UpcomingInvoice


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """The running period's invoice without and with a change, and what a whole period's fees are afterwards."""

    takes_effect_at: datetime
    unchanged: UpcomingInvoice
    changed: UpcomingInvoice
    next_fees: Money | None
    """Of the period that follows the running one, with discounts; None if the subscription ends before it."""

    @property
    def difference(self) -> Money:
        return self.changed.total - self.unchanged.total


class _Undone(Exception):
    """Leaves the transaction with the preview, and nothing else."""

    def __init__(self, preview: ChangePreview) -> None:
        super().__init__("a preview is not kept")
        self.preview = preview


async def preview_change(platform: Platform, command: ChangeSeats | ChangePlan) -> ChangePreview:
    """What a change would cost, as known now. Raises what the change would raise.

    It is really made, within a transaction that is then rolled back: a preview cannot differ from the change.
    """
    unchanged = await upcoming.preview_invoice(platform, command.tenant)
    try:
        async with changes.changing(platform, command.tenant) as change:
            if isinstance(command, ChangeSeats):
                placed = await changes.place_seats(platform, change, command)
            else:
                placed = await changes.place_plan(platform, change, command)
            changed = await upcoming.preview_invoice(platform, command.tenant)
            raise _Undone(ChangePreview(placed.moment, unchanged, changed, await _next_fees(platform, change)))
    except _Undone as undone:
        return undone.preview


async def _next_fees(platform: Platform, change: Change) -> Money | None:
    following = upcoming.following_period(change.subscription, change.current)
    if following is None:
        return None
    facts = await period_facts.facts_of(platform, change.subscription, following)
    return rating.sum_of((entry.line for entry in billing.bill_fees(facts)), facts.currency)
