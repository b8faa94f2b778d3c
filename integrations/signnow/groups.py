"""Document groups: several documents under one invite."""

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from integrations.protocols import GroupAction, GroupSigner, SignNowGroup, SignNowGroupInvite
from integrations.signnow import errors
from integrations.signnow.objects import clean_email, objects
from integrations.signnow.requests import Requests, at, without_nothing

_PAGE = 50


class Groups(Requests):
    """Part of `integrations.protocols.SignNow`."""

    async def create_group(self, name: str, document_ids: Sequence[str]) -> str:
        """Group documents, and answer the group's id."""
        return await self._create("/documentgroup", {"document_ids": list(document_ids), "group_name": name})

    async def find_group(self, name: str, document_ids: Sequence[str] | None = None) -> SignNowGroup | None:
        """The newest group of that name, and with just these documents if they are named; or None. The newest is the
        one that changed last.
        """
        found: list[Mapping[str, Any]] = []
        seen = 0
        while True:
            page = await self._read("/user/documentgroups", params={"limit": _PAGE, "offset": seen})
            listed = list(objects(page.get("document_groups")))
            if not listed:
                break
            found += [entry for entry in listed if entry.get("group_name") == name]
            seen += len(listed)
        with errors.reading("the document groups"):
            found.sort(key=lambda entry: int(entry["last_updated"]), reverse=True)
            groups = (_group(entry, str(entry["group_id"])) for entry in found)
            fits = (g for g in groups if document_ids is None or set(g.document_ids) == set(document_ids))
            return next(fits, None)

    async def group(self, group_id: str) -> SignNowGroup:
        """One group. Raises SignNowRefused for an unknown one."""
        data = await self._read(at("/documentgroup/{}", group_id))
        with errors.reading(f"group {group_id}"):
            return _group(data, str(data["id"]))

    async def send_group_invite(
        self, group_id: str, *, signers: Sequence[GroupSigner], subject: str | None, message: str | None
    ) -> str:
        """Invite the signers: a step for each `order`."""
        ordered = sorted(signers, key=attrgetter("order"))
        steps = [_step(order, list(them), subject, message) for order, them in groupby(ordered, attrgetter("order"))]
        body = {"invite_steps": steps, "sign_as_merged": True, "client_timestamp": int(time.time())}
        return await self._create(at("/documentgroup/{}/groupinvite", group_id), body)

    async def group_invite(self, group_id: str, invite_id: str) -> SignNowGroupInvite:
        """How far the signers are."""
        data = await self._read(at("/documentgroup/{}/groupinvite/{}", group_id, invite_id))
        with errors.reading(f"invite {invite_id}"):
            invite = data["invite"]
            actions = [
                GroupAction(
                    email=clean_email(action.get("email")),
                    document_id=str(action["document_id"]),
                    role=str(action.get("role_name") or ""),
                    action=str(action.get("action") or "sign"),
                    status=str(action["status"]),
                    order=int(step["order"]),
                )
                for step in objects(invite["steps"])
                for action in objects(step.get("actions"))
            ]
            return SignNowGroupInvite(str(invite["id"]), str(invite["status"]), tuple(actions))

    async def cancel_group_invite(self, group_id: str, invite_id: str) -> None:
        """Cancel for all signers."""
        if (await self.group(group_id)).invite_id == invite_id:
            path = at("/documentgroup/{}/groupinvite/{}/cancelinvite", group_id, invite_id)
            await self._session.send("POST", path, json={})

    async def resend_group_invite(self, group_id: str, invite_id: str, *, email: str) -> None:
        """Mail it again to one signer."""
        path = at("/documentgroup/{}/groupinvite/{}/resendinvites", group_id, invite_id)
        await self._session.send("POST", path, json={"email": email, "client_timestamp": int(time.time())})

    async def delete_group(self, group_id: str) -> None:
        """Delete the group, not its documents."""
        await self._session.send("DELETE", at("/documentgroup/{}", group_id))


def _step(order: int, signers: Sequence[GroupSigner], subject: str | None, message: str | None) -> dict[str, Any]:
    mails = {
        signer.email: without_nothing(
            email=signer.email, subject=subject, message=message, expiration_days=signer.expiration_days
        )
        for signer in signers
    }
    actions = [
        {"email": s.email, "role_name": s.role, "action": s.action, "document_id": s.document_id} for s in signers
    ]
    return {"order": order, "invite_emails": list(mails.values()), "invite_actions": actions}


def _group(data: Mapping[str, Any], group_id: str) -> SignNowGroup:
    return SignNowGroup(
        id=group_id,
        name=str(data["group_name"]),
        document_ids=tuple(str(document["id"]) for document in objects(data.get("documents"))),
        invite_id=str(data["invite_id"]) if data.get("invite_id") else None,
    )
