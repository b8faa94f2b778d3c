"""The sandbox's own ledger: what happened and what SignNow would charge for, to hold other books against."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Fact(StrEnum):
    """What is counted. SignNow charges for invites alone: a field invite once, a free-form invite per signer,
    and in development mode for none.
    """

    UPLOADS = "uploads"
    INVITES_SENT = "invites_sent"
    INVITES_CHARGED = "invites_charged"
    SIGNATURES = "signatures"
    COMPLETIONS = "completions"
    DOWNLOADS = "downloads"


@dataclass(frozen=True, slots=True)
class Entry:
    fact: Fact
    document_id: str
    folder_id: str
    user_id: str
    at: datetime


@dataclass(slots=True)
class Books:
    """Entries are only ever added: a deleted document stays in the books."""

    entries: list[Entry] = field(default_factory=list)

    def enter(self, fact: Fact, document_id: str, folder_id: str, user_id: str, now: datetime) -> None:
        self.entries.append(Entry(fact, document_id, folder_id, user_id, now))

    def of(self, user_id: str, fact: Fact) -> int:
        """How often that happened in a user's account, ever."""
        return sum(entry.user_id == user_id and entry.fact is fact for entry in self.entries)

    def summary(self, since: datetime | None, until: datetime | None) -> dict[str, Any]:
        """Totals, and the same per user, folder and document, of the entries in [since, until)."""
        chosen = [
            entry
            for entry in self.entries
            if (since is None or entry.at >= since) and (until is None or entry.at < until)
        ]
        return {
            "totals": _count(chosen),
            "users": _grouped(chosen, "user_id"),
            "folders": _grouped(chosen, "folder_id"),
            "documents": _grouped(chosen, "document_id"),
        }


def _grouped(entries: Iterable[Entry], key: str) -> dict[str, dict[str, int]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(getattr(entry, key), []).append(entry)
    return {name: _count(group) for name, group in groups.items()}


def _count(entries: Iterable[Entry]) -> dict[str, int]:
    counts = Counter(entry.fact for entry in entries)
    return {fact.value: counts[fact] for fact in Fact}
