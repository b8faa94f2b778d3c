"""An invoice in the making, as plugins see it."""

from dataclasses import dataclass

from inkmeter.billing_model import RatedLine
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A rated line and where it comes from: the meter and the billing model, or a plugin's name as
    `model`.
    """

    meter: str
    model: str
    line: RatedLine


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """Everything known about an invoice before it is finalized. Plugins may add lines; they never change
    these.
    """

    tenant_id: str
    tenant_name: str
    plan_code: str
    period: BillingPeriod
    currency: str
    lines: tuple[DraftLine, ...]
    kind: str = "PERIOD"
    """PERIOD bills a period that is over, OPENING the first fees of a plan whose fees are due in advance."""

    @property
    def total(self) -> Money:
        return Money.sum((entry.line.total for entry in self.lines), self.currency)
