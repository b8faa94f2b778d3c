"""Who does what when in the year."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tests.year.cast import EVERYBODY, ROLES, START, Role

MONTH: Final = 30


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that somebody does at a certain time; `dice` are of its own, so that nothing else changes it."""

    at: datetime
    role: Role
    kind: str
    key: str

    @property
    def dice(self) -> random.Random:
        return random.Random(self.key)  # noqa: S311 - deeds need not be secret


def agenda(seed: int, days: int) -> list[Deed]:
    """All deeds of so many days, in order."""
    dice = random.Random(seed)  # noqa: S311
    deeds: list[Deed] = []
    for role in ROLES:
        for day in range(role.joins_on + 1, days):
            for habit in (*EVERYBODY, *role.habits):
                if dice.random() < 1 / MONTH:
                    at = START + timedelta(days=day)
                    deeds.append(Deed(at, role, habit, f"{seed}-{role.reference}-{day}-{len(deeds)}"))
    return sorted(deeds, key=lambda deed: (deed.at, deed.key))
