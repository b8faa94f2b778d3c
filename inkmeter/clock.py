"""The only place where the time of day comes from. Everything else takes `now` as an argument."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Answers the present moment, aware and in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class TravelClock:
    """The machine's clock, moved: time goes on as usual, and `travel_to` jumps.

    For the demo, the sandboxes and tests: a month passes between two lines.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = timedelta()
        if start is not None:
            self.travel_to(start)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def travel_to(self, moment: datetime) -> None:
        """Make `moment` the present. Raises ValueError for a naive datetime."""
        if moment.tzinfo is None:
            raise ValueError("a naive datetime has no place in time; give it a zone")
        self._offset = moment - datetime.now(UTC)


class FrozenClock:
    """Stands still until told otherwise: for tests that compare instants."""

    def __init__(self, moment: datetime) -> None:
        self.travel_to(moment)

    def now(self) -> datetime:
        return self._moment

    def travel_to(self, moment: datetime) -> None:
        """Make `moment` the present. Raises ValueError for a naive datetime."""
        if moment.tzinfo is None:
            raise ValueError("a naive datetime has no place in time; give it a zone")
        self._moment = moment.astimezone(UTC)
