"""Links that are credentials: whoever has one signs."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SigningLink:
    """For one invited signer, or, without an address, for anyone. One without an end does not expire."""

    document_id: str
    email: str | None
    expires_at: datetime | None
