"""What a handler of an event answers."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from inkmeter.events import Event
from services.platform import Platform


@dataclass(frozen=True, slots=True)
class Applied:
    """What an effect has done: what to tell the plugins after the commit, or why the event does not concern us."""

    events: Sequence[Event] = ()
    why_ignored: str | None = None


Effect = Callable[[], Awaitable[Applied]]
Handler = Callable[[Platform, str], Awaitable[Effect]]
"""Takes the id of the object that the event speaks of."""
