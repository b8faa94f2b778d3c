"""Organizations, without HTTP. What SignNow documents: their number is capped, a user is a member of one only."""

from dataclasses import dataclass, field

from integrations.signnow.sandbox.accounts import new_id


@dataclass(slots=True)
class Organization:
    """`members` maps an address to `pending` or `active`; the words are our assumption."""

    owner_id: str
    name: str
    members: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=new_id)
