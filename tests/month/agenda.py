"""What is still to be done in the random month, what was heard of it, and what may therefore be relied on."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.month.cast import LATER_METERS, ROLES, START, Role
from tests.month.deeds import Deed

Line = Mapping[str, Any]
REPEATED = {"upload", "invite", "download"}
"""A key whose call never arrived is spent: these go on with another one."""


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that somebody has tried to record."""

    tenant: str
    meter: str
    quantity: int | Decimal
    occurred_at: datetime
    properties: Mapping[str, str]


@dataclass(slots=True)
class Paper:
    """A document that SignNow has. `open` are the signers who were invited and have not signed."""

    tenant: str
    document: str
    signnow: str
    open: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Agenda:
    """`plans` are their ids by code."""

    dice: random.Random
    plans: Mapping[str, UUID]
    pending: dict[str, Deed] = field(default_factory=dict)
    done: dict[str, Line] = field(default_factory=dict)
    deeds: dict[str, Deed] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    """Keys of events of which it was heard that they are counted."""
    corrections: dict[str, tuple[str, int | Decimal | None]] = field(default_factory=dict)
    """By key: the event that is taken back, and the quantity in its place."""
    corrected: set[str] = field(default_factory=set)
    papers: dict[str, Paper] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    number: int = 0

    def add(self, tenant: str, kind: str, *, key: str | None = None, **args: Any) -> Deed:
        self.number += 1
        deed = Deed(key or f"{tenant}-{kind}-{self.number}", tenant, kind, args)
        self.pending[deed.key] = self.deeds[deed.key] = deed
        return deed

    # What is wanted

    def want_more(self, now: datetime) -> None:
        """New deeds of some tenants, by chance."""
        for role in ROLES:
            if role.documents and self.dice.random() < 0.5:
                for _ in range(self.dice.randint(1, role.documents)):
                    self.add(role.reference, "upload")
            if role.counted and self.dice.random() < 0.6:
                self._want_facts(role, now)
            if self.dice.random() < 0.35:
                self._want_corrections(role)
            if role.credited and self.dice.random() < 0.25:
                self._want_credits(role, now)
            if self.dice.random() < 0.25:
                self._want_change(role)
        if self.dice.random() < 0.05:
            self.add(ROLES[0].reference, "meter", number=self.dice.randrange(len(LATER_METERS)))

    def _want_facts(self, role: Role, now: datetime) -> None:
        dice, events = self.dice, list[Any]()
        for _ in range(dice.randint(1, 8)):
            self.number += 1
            key, meter = f"{role.reference}-event-{self.number}", dice.choice(role.counted)
            hours = dice.choice((0.0, 1.0, 30.0, 500.0)) * dice.random()
            at = max(now - timedelta(hours=hours), START + timedelta(minutes=1)).replace(microsecond=0)
            quantity: int | Decimal = dice.randint(1, 4)
            properties: dict[str, str] = {}
            if meter == "pages":
                quantity = Decimal(dice.randint(1, 900)) / 100
                properties = {"user": f"u{dice.randint(1, 9)}", "region": dice.choice(("eu", "eu", "us"))}
            self.facts[key] = Fact(role.reference, meter, quantity, at, properties)
            events.append((meter, quantity, key, at.isoformat(), properties))
        events += [event for event in events if dice.random() < 0.1]
        for key in self._some(sorted(k for k in self.counted if self.facts[k].tenant == role.reference), 0.3, 3):
            known = self.facts[key]
            wrong = 1 if dice.random() < 0.3 else 0
            at_text = known.occurred_at.isoformat()
            events.append((known.meter, known.quantity + wrong, key, at_text, dict(known.properties)))
        dice.shuffle(events)
        self.add(role.reference, "record", events=events)

    def _some(self, keys: list[str], chance: float, most: int) -> list[str]:
        if not keys or self.dice.random() >= chance:
            return []
        return self.dice.sample(keys, min(len(keys), self.dice.randint(1, most)))

    def _want_corrections(self, role: Role) -> None:
        mine = [k for k in self.counted if self.facts[k].tenant == role.reference and k not in self.corrected]
        mine += [f"replacement:{key}" for key, (was, quantity) in self._corrected_of(role.reference) if quantity]
        found = []
        for was in self._some(sorted(set(mine) - self.corrected), 1.0, 3):
            self.number += 1
            key = f"{role.reference}-fix-{self.number}"
            quantity = self.dice.choice((None, 1, 2, 5))
            self.corrections[key] = (was, quantity)
            if self.dice.random() < 0.9:  # else somebody else will try the same
                self.corrected.add(was)
            found.append((was, key, quantity))
        if found:
            self.add(role.reference, "correct", corrections=found)

    def _corrected_of(self, tenant: str) -> list[tuple[str, tuple[str, int | Decimal | None]]]:
        return [(k, c) for k, c in self.corrections.items() if k in self.done and k.startswith(f"{tenant}-")]

    def _want_credits(self, role: Role, now: datetime) -> None:
        dice, mine = self.dice, self._grants_of(role.reference)
        kind = dice.choice(("give", "buy", "revoke", "refund"))
        if kind == "give" or (kind == "buy" and not role.packs):
            hours = dice.choice((None, 5, 60, 400))
            ends = (now + timedelta(hours=hours)).isoformat() if hours else None
            meter, priority = dice.choice(role.credited), dice.randint(0, 2)
            self.add(role.reference, "give", meter=meter, units=dice.randint(1, 6), priority=priority, expires_at=ends)
        elif kind == "buy" and role.packs:
            meter = dice.choice(sorted(role.packs))
            self.add(role.reference, "buy", meter=meter, units=dice.choice(role.packs[meter]))
        else:
            which = [g for g, deed in mine if deed.kind == "buy" or kind == "revoke"]
            if which:
                self.add(role.reference, kind, grant=dice.choice(which), units=dice.choice((None, 1, 2)))

    def _grants_of(self, tenant: str) -> list[tuple[str, Deed]]:
        made = [deed for deed in self.deeds.values() if deed.tenant == tenant and deed.kind in ("give", "buy")]
        return [(self.done[d.key]["grant"], d) for d in made if d.key in self.done and self.done[d.key].get("grant")]

    def _want_change(self, role: Role) -> None:
        dice, at = self.dice, self.dice.choice(("NOW", "PERIOD_END"))
        if role.plans and dice.random() < 0.6:
            self.add(role.reference, "seats", seats=dice.randint(1, 10), at=at)
        elif role.plans:
            how = dice.choice(("SECOND", "DAY", "NONE"))
            self.add(role.reference, "plan", plan=str(self.plans[dice.choice(role.plans)]), at=at, proration=how)
        if role.is_leaving and not self._waits(role.reference, "cancel", "resume") and dice.random() < 0.5:
            if self.outcomes["cancel"] > self.outcomes["resume"]:
                self.add(role.reference, "resume", plan=str(self.plans[role.plan]), seats=dice.randint(1, 4))
            else:
                self.add(role.reference, "cancel", at=at, proration=dice.choice(("SECOND", "NONE")), subscription=None)
        if role.is_discounted and dice.random() < 0.25:
            made = [self.done[d.key]["discount"] for d in self._of(role.reference, "discount") if d.key in self.done]
            if made and dice.random() < 0.3:
                self.add(role.reference, "end_discount", discount=dice.choice(made))
            elif len(made) < 3:
                percent = dice.choice((None, Decimal(10), Decimal("12.5")))
                amount = None if percent else Decimal("3.50")
                self.add(role.reference, "discount", percent=percent, amount=amount, periods=dice.choice((1, 2, None)))

    def _of(self, tenant: str, kind: str) -> list[Deed]:
        return [deed for deed in self.deeds.values() if (deed.tenant, deed.kind) == (tenant, kind)]

    def _waits(self, tenant: str, *kinds: str) -> bool:
        return any(deed.tenant == tenant and deed.kind in kinds for deed in self.pending.values())

    # What was heard

    def hear(self, lines: Iterable[Line]) -> None:
        """Take in what the processes of one round have heard."""
        before = set(self.counted)
        for line in lines:
            deed = self.deeds[line["key"]]
            match line["outcome"]:
                case "done":
                    self._done(deed, line, before)
                case "refused" if deed.key not in self.done:
                    self.outcomes[f"{deed.kind} refused"] += 1
                    self.pending.pop(deed.key, None)
                case "spent" if deed.key in self.pending:
                    assert deed.kind in REPEATED, line
                    del self.pending[deed.key]
                    self.outcomes[f"{deed.kind} spent"] += 1
                    self.add(deed.tenant, deed.kind, key=f"{deed.key}+", **deed.args)

    def _done(self, deed: Deed, line: Line, before: set[str]) -> None:
        first = self.done.get(deed.key)
        if first is not None and deed.kind == "give" and None in (first["grant"], line["grant"]):
            # By the clock of one it had expired already; the other made it.
            self.done[deed.key] = line if first["grant"] is None else first
            return
        if first is not None:
            same = [name for name in ("document", "grant", "discount") if first.get(name) != line.get(name)]
            assert not same, f"two answers to one key: {first}, {line}"
        self.done[deed.key] = first or line
        self.pending.pop(deed.key, None)
        if first is None:
            self.outcomes[deed.kind] += 1
        match deed.kind:
            case "upload" if first is None:
                paper = Paper(deed.tenant, line["document"], line["signnow"])
                self.papers[paper.document] = paper
                emails = ["ann@x.test", "bob@x.test"][: self.dice.randint(1, 2)]
                if self.dice.random() < 0.9:
                    self.add(deed.tenant, "invite", document=paper.document, emails=emails)
            case "invite" if first is None:
                self.papers[deed.args["document"]].open = [*deed.args["emails"]]
            case "record":
                self._counted(deed, line, before)
            case "correct":
                self._corrected(deed, line)

    def _counted(self, deed: Deed, line: Line, before: set[str]) -> None:
        for (meter, quantity, key, at, properties), (_, status, why) in zip(
            deed.args["events"], line["results"], strict=True
        ):
            known = self.facts[key]
            is_same = (meter, quantity, at) == (known.meter, known.quantity, known.occurred_at.isoformat())
            self.outcomes[f"event {status}"] += 1
            if status == "REFUSED":
                assert "no subscription" in why or (not is_same and "another event" in why), (key, why)
                continue
            assert is_same, f"another event was taken for the same: {key} {meter} {quantity} {at} {properties}"
            if status == "RECORDED":
                self.outcomes[f"recorded {key}"] += 1
                assert self.outcomes[f"recorded {key}"] == 1, f"{key} was counted twice"
                assert key not in before, f"{key} was counted already"
            self.counted.add(key)

    def _corrected(self, deed: Deed, line: Line) -> None:
        for (was, key, _), (_, status, why) in zip(deed.args["corrections"], line["results"], strict=True):
            self.outcomes[f"correction {status}"] += 1
            if status == "REFUSED":
                assert "corrected already" in why, (was, key, why)
                continue
            if status == "CORRECTED":
                self.outcomes[f"corrected {key}"] += 1
                assert self.outcomes[f"corrected {key}"] == 1, f"{key} was corrected twice"
            self.done[key] = line
            self.corrected.add(was)
