"""Document groups, without HTTP. Steps are turns over all documents: the second begins when the first is signed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations.signnow.sandbox.accounts import new_id
from integrations.signnow.sandbox.documents import Document, FieldInvite


@dataclass(frozen=True, slots=True)
class Action:
    """What one signer does with one document: sign, view or approve. Only signing is played here."""

    email: str
    document_id: str
    role: str
    action: str


@dataclass(frozen=True, slots=True)
class Step:
    order: int
    actions: tuple[Action, ...]
    id: str = field(default_factory=new_id)


@dataclass(slots=True)
class Group:
    """Documents of one user under one name; `steps` while an invite is out, and after it was fulfilled."""

    user_id: str
    name: str
    document_ids: list[str]
    updated_at: datetime
    invite_id: str | None = None
    steps: list[Step] = field(default_factory=list)
    is_told: bool = False
    id: str = field(default_factory=new_id)

    def present(self, documents: Mapping[str, Document]) -> list[Document]:
        return [documents[id_] for id_ in self.document_ids if id_ in documents]

    def invites(self, documents: Mapping[str, Document]) -> Iterator[FieldInvite]:
        return (invite for document in self.present(documents) for invite in document.field_invites)

    def turn(self, documents: Mapping[str, Document]) -> int | None:
        """The order of those who are asked now; None when nobody is."""
        return min((i.order for i in self.invites(documents) if i.status != "fulfilled"), default=None)

    def status(self, documents: Mapping[str, Document]) -> str:
        return "fulfilled" if self.turn(documents) is None else "pending"

    def step_status(self, step: Step, documents: Mapping[str, Document]) -> str:
        """Who only views or approves is taken to have done so with the step's signers: it is not played."""
        turn = self.turn(documents)
        if turn is None or step.order < turn:
            return "fulfilled"
        return "pending" if step.order == turn else "created"

    def action_status(self, step: Step, action: Action, documents: Mapping[str, Document]) -> str:
        document = documents.get(action.document_id)
        invite = document.invite_of(action.role) if document and action.action == "sign" else None
        return invite.status if invite else self.step_status(step, documents)

    def shown_invite(self, documents: Mapping[str, Document]) -> dict[str, Any]:
        """The answer to `GET …/groupinvite/{id}`."""
        steps = [
            {
                "id": step.id,
                "status": self.step_status(step, documents),
                "order": step.order,
                "actions": [
                    {
                        "action": action.action,
                        "email": action.email,
                        "document_id": action.document_id,
                        "status": self.action_status(step, action, documents),
                        "role_name": action.role,
                    }
                    for action in step.actions
                ],
            }
            for step in self.steps
        ]
        return {"invite": {"id": self.invite_id, "status": self.status(documents), "steps": steps}}
