"""Why two counts of invites differ: the causes that are known, and what none of them explains. Pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from services.upstream_costs import next_month
from storage.upstream import UnitKind, UpstreamFigure

_LIVE: Final = (UnitKind.FIELD_INVITE, UnitKind.FREE_FORM_SIGNER)


class GapReason(StrEnum):
    """Why SignNow's count is not ours."""

    DEVELOPMENT = "DEVELOPMENT"
    UNKNOWN_OUTCOME = "UNKNOWN_OUTCOME"
    WEB_APP = "WEB_APP"
    RESENT = "RESENT"
    CANCELLED = "CANCELLED"
    GONE = "GONE"
    LATE = "LATE"


TOLD: Final = {
    GapReason.DEVELOPMENT: "sent in development mode: they are there, and are charged nothing",
    GapReason.UNKNOWN_OUTCOME: "operations without an answer yet: SignNow may have sent them",
    GapReason.WEB_APP: "sent in SignNow's web app or by another program: they are no operations of ours",
    GapReason.RESENT: "resent: whether SignNow charges them again is not documented",
    GapReason.CANCELLED: "the document has no invite any more: cancelled, and counted when it was sent",
    GapReason.GONE: "the document is not in SignNow any more: deleted, and counted when it was sent",
    GapReason.LATE: "used after SignNow's figure was taken",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why SignNow has `units` more than we, or fewer where they are negative. One that is not certain may explain
    any part of them.
    """

    reason: GapReason
    units: int
    is_certain: bool = True


def explain(gap: int, causes: Iterable[Cause]) -> tuple[list[Cause], int]:
    """The causes with the units that each explains of a gap (theirs less ours), and what is left unexplained.

    What is certain counts in full; what may be takes of the rest as much as it can, in its order.
    """
    known = [cause for cause in causes if cause.units]
    told = [cause for cause in known if cause.is_certain]
    left = gap - sum(cause.units for cause in told)
    for cause in known:
        if not cause.is_certain and left * cause.units > 0:
            taken = min(abs(left), abs(cause.units)) * (1 if left > 0 else -1)
            told.append(Cause(cause.reason, taken, is_certain=False))
            left -= taken
    return told, left


@dataclass(frozen=True, slots=True)
class Figure:
    """What SignNow says of a month, as it was on a day."""

    units: int
    rows: Sequence[UpstreamFigure]


def figure_of(figures: Iterable[UpstreamFigure], month: str, folder: str) -> Figure | None:
    """The live invites of a month in a folder, of the account where the folder is "", as the source that spoke last
    has them: its figure of the whole month, or else the sum of the days and parts that it has.
    """
    sources: dict[str, list[UpstreamFigure]] = {}
    for figure in figures:
        if figure.folder == folder and not figure.account and figure.kind != UnitKind.DEVELOPMENT:
            sources.setdefault(figure.source, []).append(figure)
    found = [chosen for rows in sources.values() if (chosen := _choose(rows, month))]
    if not found:
        return None
    rows = max(found, key=lambda rows: (max(figure.recorded_at for figure in rows), rows[0].source))
    return Figure(sum(figure.units for figure in rows), rows)


def _choose(rows: Sequence[UpstreamFigure], month: str) -> list[UpstreamFigure]:
    """Without counting anything twice: all kinds before each kind, the month before its days."""
    whole = (date.fromisoformat(f"{month}-01").isoformat(), f"{next_month(month)}-01")
    for kinds in (("",), _LIVE):
        of_kind = [figure for figure in rows if figure.kind in kinds]
        months = [figure for figure in of_kind if (figure.starts_on, figure.ends_on) == whole]
        if months or of_kind:
            return months or _apart(of_kind)
    return []


def _apart(rows: Sequence[UpstreamFigure]) -> list[UpstreamFigure]:
    """The longest spans first, without those that overlap one of the same kind."""
    taken: list[UpstreamFigure] = []
    for figure in sorted(rows, key=lambda f: (f.starts_on, -date.fromisoformat(f.ends_on).toordinal())):
        if not any(f.kind == figure.kind and f.ends_on > figure.starts_on for f in taken):
            taken.append(figure)
    return taken
