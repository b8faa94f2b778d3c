"""The parts of a billing cycle: which terms and how many seats its fees are due for, each by an exact fraction.

A change sits at a position in the cycle, 0 at its start and 1 at its end. SECOND: by exact time. DAY: by local days, of
which the day of a change counts as new and the day of a cancellation is still billed. NONE: the change leaves this
cycle's fees alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from inkmeter.periods import BillingPeriod, Proration, next_midnight
from services.terms import PlanTerms


@dataclass(frozen=True, slots=True)
class Stage:
    """Terms and seats that are in force from a moment until the next stage, or the end.

    `proration` is how the change that began it is charged. None is for a change of seats alone, which each billing
    model charges in its own way (`seat_changes`); of any other change it means SECOND. While paused, no fee is due.
    """

    starts_at: datetime
    terms: PlanTerms
    seats: int
    proration: Proration | None = None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """How a subscription went through a billing cycle.

    `stages` are in order; the first may have begun long before the cycle, or begin inside it. `ends_at` is a
    cancellation; with `end_proration` NONE the whole fee is due all the same. `zone` is where days begin.
    """

    cycle: BillingPeriod
    zone: str
    stages: tuple[Stage, ...]
    ends_at: datetime | None = None
    end_proration: Proration = Proration.SECOND

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a subscription has at least one stage")
        if any(one.starts_at > other.starts_at for one, other in pairwise(self.stages)):
            raise ValueError("stages are in the order of their start")
        if len({stage.terms.plan.currency for stage in self.stages}) > 1:
            raise ValueError("a subscription is billed in one currency")

    @property
    def currency(self) -> str:
        return self.stages[0].terms.plan.currency


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the cycle whose fees are due for one plan and number of seats; 0 is its start, 1 its end.

    Of a part that is paused none are.
    """

    terms: PlanTerms
    seats: int
    begins: Fraction
    ends: Fraction
    is_paused: bool = False

    @property
    def length(self) -> Fraction:
        return self.ends - self.begins


def stages_in_force(course: Course) -> tuple[Stage, ...]:
    """The stages that were in force for any time in the cycle, before a cancellation; one that changes nothing is
    no stage.
    """
    cycle = course.cycle
    stop = min(course.ends_at or cycle.end, cycle.end)
    stages = [course.stages[0], *(after for before, after in pairwise(course.stages) if _differ(before, after))]
    followed = [*(stage.starts_at for stage in stages[1:]), stop]
    return tuple(
        stage
        for stage, until in zip(stages, followed, strict=True)
        if max(stage.starts_at, cycle.start) < min(until, stop)
    )


def _differ(before: Stage, after: Stage) -> bool:
    return (before.terms.plan.id, before.seats, before.is_paused) != (
        after.terms.plan.id,
        after.seats,
        after.is_paused,
    )


def peak_seats(stages: Iterable[Stage]) -> int:
    """The most seats at any time that was not paused."""
    return max((stage.seats for stage in stages if not stage.is_paused), default=0)


def split_cycle(course: Course, seat_changes: Proration = Proration.SECOND) -> tuple[Segment, ...]:
    """The segments of the cycle, which touch; those of no length are left out.

    Without a start inside the cycle or a cancellation they are the whole cycle: their fractions sum to 1, with those
    that are paused.
    """
    cuts = [*_cuts(course, seat_changes)]
    if not cuts:
        return ()
    ends = [*(cut.begins for cut in cuts[1:]), max(_end(course), cuts[-1].begins)]
    return tuple(replace(cut, ends=until) for cut, until in zip(cuts, ends, strict=True) if cut.begins < until)


def _cuts(course: Course, seat_changes: Proration) -> Iterator[Segment]:
    """Where each segment begins; its end is where the next one does."""
    stages = stages_in_force(course)
    if not stages:
        return
    terms, seats = stages[0].terms, stages[0].seats
    at = _position(course, stages[0].starts_at, stages[0].proration or Proration.SECOND)
    is_paused = stages[0].is_paused
    yield Segment(terms, seats, at, at, is_paused)
    for before, stage in pairwise(stages):
        is_seats_alone = (stage.terms.plan.id, stage.is_paused) == (before.terms.plan.id, before.is_paused)
        how = stage.proration or (seat_changes if is_seats_alone else Proration.SECOND)
        if how is Proration.NONE:
            continue
        if not is_seats_alone:
            terms, is_paused = stage.terms, stage.is_paused
        # Days and seconds may be mixed: a change never reaches back before the one that it followed.
        at = max(at, _position(course, stage.starts_at, how))
        yield Segment(terms, stage.seats, at, at, is_paused)


def _position(course: Course, moment: datetime, how: Proration) -> Fraction:
    if how is Proration.NONE:  # only a start: the whole cycle is due
        return Fraction(0)
    return course.cycle.elapsed_days(moment, course.zone) if how is Proration.DAY else course.cycle.elapsed(moment)


def _end(course: Course) -> Fraction:
    if course.ends_at is None or course.end_proration is Proration.NONE:
        return Fraction(1)
    is_by_day = course.end_proration is Proration.DAY
    moment = next_midnight(course.ends_at, course.zone) if is_by_day else course.ends_at
    return _position(course, moment, course.end_proration)


def describe_share(course: Course, share: Fraction) -> str:
    """A part of the cycle in words: "10 of 30 days", or "12 d 3 h of 30 d" where it is no number of days."""
    days = course.cycle.local_days(course.zone)
    if (share * days).denominator == 1:
        return f"{share * days} of {days} days"
    seconds = int((course.cycle.end - course.cycle.start).total_seconds())
    return f"{_duration(int(share * seconds))} of {_duration(seconds)}"


def _duration(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    named = [(day, "d"), (hour, "h"), (minute, "min"), (0 if minutes else second, "s")]
    return " ".join(f"{count} {unit}" for count, unit in named if count) or "0 s"
