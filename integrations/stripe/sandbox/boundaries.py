"""When the cycles of a subscription end: counted from its anchor in UTC, as Stripe's docs describe it."""

import calendar
from datetime import datetime, timedelta
from itertools import count

from integrations.stripe.sandbox.books import Object, moment


def next_boundary(anchor: int, after: int, recurring: Object) -> int:
    """The first end of a cycle later than `after`. A month without the anchor's day ends on its last day."""
    start = moment(anchor)
    boundaries = (int(_shifted(start, n, recurring).timestamp()) for n in count())
    return next(boundary for boundary in boundaries if boundary > after)


def _shifted(anchor: datetime, cycles: int, recurring: Object) -> datetime:
    steps = cycles * recurring["interval_count"]
    match recurring["interval"]:
        case "day":
            return anchor + timedelta(days=steps)
        case "week":
            return anchor + timedelta(weeks=steps)
        case "month":
            months = steps
        case _:
            months = steps * 12
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)
