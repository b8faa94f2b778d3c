"""What differs between SignNow's accounts, plans and days, and can be set for a sandbox."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from integrations.signnow.sandbox.refusals import refusal


class HistoryShape(StrEnum):
    """How a history is answered: the live API, SignNow's MCP client and its PHP mocks each know another shape."""

    ARRAY = "array"
    OBJECT = "object"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Knobs:
    """`calls_per_hour` of 0 is no limit. An application in development mode marks documents, and is not charged.

    SignNow's docs: 50 organizations, 5 on a trial; a trial's have 50 members.
    """

    is_development: bool = False
    calls_per_hour: int = 0
    organizations: int = 50
    members: int = 50
    history: HistoryShape = HistoryShape.ARRAY

    def turned(self, wanted: dict[str, Any]) -> "Knobs":
        """These with others in place of some. Refuses what is no knob, or a value that does not fit."""
        if unknown := wanted.keys() - asdict(self).keys():
            raise refusal(f"no such knobs: {', '.join(sorted(unknown))}")
        fits = {
            "is_development": lambda value: isinstance(value, bool),
            "history": lambda value: value in set(HistoryShape),
        }
        for name, value in wanted.items():
            if not fits.get(name, lambda value: type(value) is int and value >= 0)(value):
                raise refusal(f"{name} cannot be {value!r}")
        if "history" in wanted:
            wanted = {**wanted, "history": HistoryShape(wanted["history"])}
        return replace(self, **wanted)
