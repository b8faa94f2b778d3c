"""A levy on every invoice, as some countries ask for on trust services. It adds a line and changes none."""

from decimal import Decimal

from inkmeter import InvoiceDraft, Line, hookimpl

LEVY = Decimal("0.02")


@hookimpl
def extra_lines(draft: InvoiceDraft) -> list[Line]:
    if draft.total.minor <= 0:
        return []
    return [Line(f"Trust service levy, {LEVY:.0%} of {draft.total}", draft.total.amount, LEVY)]
