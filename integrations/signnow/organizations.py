"""Organizations. SignNow documents the search and where members are listed; bodies and answers are our assumption."""

import json
from collections.abc import AsyncIterator

from integrations.protocols import FoundDocument, SignNowMember, SignNowOrganization
from integrations.signnow import errors
from integrations.signnow.objects import moment
from integrations.signnow.requests import Requests, at


class Organizations(Requests):
    """Part of `integrations.protocols.SignNow`."""

    async def create_organization(self, name: str) -> SignNowOrganization:
        """A new organization: `{"name"}`, answered with its id, is our assumption."""
        return SignNowOrganization(await self._create("/v2/organizations", {"name": name}), name)

    async def organizations(self) -> tuple[SignNowOrganization, ...]:
        """Those of the account: that they are listed where they are made is our assumption."""
        listed = [entry async for entry in self._pages("/v2/organizations")]
        with errors.reading("the organizations"):
            return tuple(SignNowOrganization(str(entry["id"]), str(entry.get("name") or "")) for entry in listed)

    async def add_member(self, organization_id: str, email: str) -> None:
        """Mail an invite to join: `{"email"}` is our assumption."""
        await self._session.send("POST", at("/v2/organizations/{}/members", organization_id), json={"email": email})

    async def members(self, organization_id: str) -> tuple[SignNowMember, ...]:
        """Who belongs to an organization."""
        listed = [entry async for entry in self._pages(at("/v2/organizations/{}/members", organization_id))]
        with errors.reading("the members"):
            return tuple(
                SignNowMember(
                    user_id=str(entry.get("user_id") or entry.get("id") or "") or None,
                    email=str(entry["email"]),
                    status=str(entry.get("status") or ""),
                )
                for entry in listed
            )

    async def search_organization(
        self, organization_id: str, *, owner: str | None = None, signing_status: str | None = None
    ) -> AsyncIterator[FoundDocument]:
        """All members' documents, the last changed first."""
        wanted = {"owner": owner, "status": signing_status}
        filters = [{name: {"type": "=", "value": value}} for name, value in wanted.items() if value]
        params: dict[str, str | int] = {"sort[changed]": "desc", "per_page": 100}
        if filters:
            params["filters"] = json.dumps(filters, separators=(",", ":"))
        path = at("/v2/organizations/{}/documents/search", organization_id)
        async for entry in self._pages(path, **params):
            with errors.reading("the search of the organization"):
                found = FoundDocument(
                    id=str(entry["id"]),
                    user_id=str(entry.get("user_id") or ""),
                    owner=str(entry.get("owner") or ""),
                    name=str(entry.get("document_name") or ""),
                    file_name=str(entry.get("original_filename") or ""),
                    created_at=moment(entry["created"]),
                    updated_at=moment(entry["updated"]),
                )
            yield found
