"""SignNow for one account, over HTTP: what `integrations.protocols.SignNow` promises."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

import httpx

from inkmeter.errors import SignNowRefused, UpstreamError
from integrations.protocols import SignatureField, Signer, SignNowAccount, SignNowDocument
from integrations.signnow import errors
from integrations.signnow.auth import ApiKey, PasswordGrant, Session
from integrations.signnow.documents import objects, read_document

CALLBACK_EVENTS: Final = (
    "user.document.create",
    "user.document.fieldinvite.signed",
    "user.document.fieldinvite.decline",
    "user.document.freeform.signed",
    "user.document.complete",
)
"""What SignNow is asked to call us for: the facts that are metered, and a decline, after which none comes."""

PAGE_SIZE: Final = 100
"""The most documents that a page of a folder holds (SignNow's docs)."""


class SignNowClient:
    """One SignNow account. The caller owns `http`, and so its time-outs, its pool and its end.

    `read_backoff` is the wait in seconds before a failed read is repeated, doubled for the second time.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: ApiKey | PasswordGrant,
        http: httpx.AsyncClient,
        read_backoff: float = 0.25,
    ) -> None:
        self._session = Session(base_url, credentials, http, read_backoff=read_backoff)
        self._account: SignNowAccount | None = None

    async def account(self) -> SignNowAccount:
        """Whose token this is. Asked once."""
        if self._account is None:
            user = await self._read("/user")
            with errors.reading("the account"):
                self._account = SignNowAccount(user_id=str(user["id"]), email=str(user["primary_email"]))
        return self._account

    async def ensure_folder(self, name: str) -> str:
        """The id of the folder with that name right below the account's root, made if there is none.

        SignNow's docs tell how folders are read, not how one is made: `POST /user/folder` is our assumption.
        """
        root = await self._read("/folder")
        with errors.reading("the root folder"):
            root_id = str(root["id"])
            ids = [str(folder["id"]) for folder in objects(root.get("folders")) if folder.get("name") == name]
        if ids:
            return ids[0]
        return _id(await self._session.send("POST", "/user/folder", json={"name": name, "parent_id": root_id}))

    async def ensure_callbacks(self, callback_url: str, secret: str) -> None:
        """Make sure that SignNow calls `callback_url` for all `CALLBACK_EVENTS`, signed with `secret`.

        One subscription per event; those of other urls are left alone.
        """
        account = await self.account()
        existing = {
            str(subscription.get("event")): subscription
            for subscription in await self._subscriptions()
            if _attributes(subscription).get("callback_url") == callback_url and subscription.get("active", True)
        }
        attributes = {
            "callback": callback_url,
            "secret_key": secret,
            "delete_access_token": True,  # or every callback carries a token that opens the account
            "use_tls_12": True,
            "docid_queryparam": False,
            "include_metadata": False,
            "retry_count": 10,
        }
        for event in CALLBACK_EVENTS:
            body = {"event": event, "entity_id": account.user_id, "action": "callback", "attributes": attributes}
            subscription = existing.get(event)
            if subscription is None:
                await self._session.send("POST", "/v2/event-subscriptions", json=body)
            elif not _is_current(subscription, secret):
                await self._session.send("PUT", f"/v2/event-subscriptions/{subscription.get('id')}", json=body)

    async def upload_document(self, *, folder_id: str, name: str, file_name: str, content: bytes) -> str:
        """Upload a PDF and answer its id."""
        form = {"name": name, "folder_id": folder_id}
        files = {"file": (file_name, content, "application/pdf")}
        return _id(await self._session.send("POST", "/document", data=form, files=files))

    async def find_document(self, *, folder_id: str, file_name: str) -> SignNowDocument | None:
        """The newest document in the folder that was uploaded under that file name, or None."""
        stem = PurePath(file_name).stem
        async for listed in self._documents(folder_id):
            if listed.get("original_filename") == file_name or listed.get("document_name") == stem:
                return await self.document(str(listed.get("id")))
        return None

    async def document(self, document_id: str) -> SignNowDocument:
        """One document. Raises SignNowRefused for an unknown one."""
        data = await self._read(f"/document/{document_id}")
        with errors.reading(f"document {document_id}"):
            return read_document(data)

    async def place_fields(self, document_id: str, fields: Sequence[SignatureField]) -> None:
        """Replace the document's fields; SignNow allows it only before the first invite."""
        placed = [
            {
                "type": "signature",
                "name": f"signature_{number}",
                "role": field.role,
                "page_number": field.page,
                "x": field.x,
                "y": field.y,
                "width": field.width,
                "height": field.height,
                "required": True,
            }
            for number, field in enumerate(fields, 1)
        ]
        await self._session.send("PUT", f"/document/{document_id}", json={"fields": placed})

    async def send_field_invite(
        self,
        document_id: str,
        *,
        signers: Sequence[Signer],
        roles: Mapping[str, str],
        subject: str | None,
        message: str | None,
    ) -> None:
        """Invite signers by role. SignNow answers no ids: read the document for them."""
        for signer in signers:
            if signer.role not in roles:
                raise SignNowRefused(f"the document has no fields for the role {signer.role!r}")
        to = [{"email": s.email, "role": s.role, "role_id": roles[s.role], "order": s.order} for s in signers]
        await self._invite(document_id, to=to, subject=subject, message=message)

    async def send_free_form_invite(
        self, document_id: str, *, email: str, subject: str | None, message: str | None
    ) -> str:
        """Invite one signer to a document without fields, and answer the invite's id."""
        return _id(await self._invite(document_id, to=email, subject=subject, message=message))

    async def download_signed(self, document_id: str) -> bytes:
        """The collapsed PDF: the document with all that was filled in."""
        answer = await self._session.send("GET", f"/document/{document_id}/download", params={"type": "collapsed"})
        if not answer.content.startswith(b"%PDF-"):
            raise UpstreamError(f"SignNow's download of {document_id} is not a PDF")
        return answer.content

    async def _invite(
        self, document_id: str, *, to: str | list[dict[str, object]], subject: str | None, message: str | None
    ) -> httpx.Response:
        account = await self.account()
        texts = {"subject": subject, "message": message}
        body = {
            "to": to,
            "from": account.email,
            **{key: text for key, text in texts.items() if text is not None},
        }
        return await self._session.send("POST", f"/document/{document_id}/invite", json=body)

    async def _documents(self, folder_id: str) -> AsyncIterator[Mapping[str, Any]]:
        """All documents of a folder, newest first, to the page that brings none."""
        seen: set[object] = set()
        while True:
            params = {"sortby": "created", "order": "desc", "limit": PAGE_SIZE, "offset": len(seen)}
            page = await self._read(f"/folder/{folder_id}", params=params)
            fresh = [listed for listed in objects(page.get("documents")) if listed.get("id") not in seen]
            if not fresh:
                return
            for listed in fresh:
                yield listed
            seen.update(listed.get("id") for listed in fresh)

    async def _subscriptions(self) -> list[Mapping[str, Any]]:
        subscriptions: list[Mapping[str, Any]] = []
        page, last = 1, 1
        while page <= last:
            answer = await self._read("/v2/event-subscriptions", params={"page": page})
            with errors.reading("the event subscriptions"):
                subscriptions += objects(answer["data"])
                last = int(answer.get("meta", {}).get("pagination", {}).get("total_pages", 1))
            page += 1
        return subscriptions

    async def _read(self, path: str, **content: Any) -> dict[str, Any]:
        answer = await self._session.send("GET", path, **content)
        with errors.reading(path):
            return dict(answer.json())


def _id(created: httpx.Response) -> str:
    with errors.reading("the new id", is_read=False):
        return str(created.json()["id"])


def _attributes(subscription: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes = subscription.get("json_attributes")
    return attributes if isinstance(attributes, Mapping) else {}


def _is_current(subscription: Mapping[str, Any], secret: str) -> bool:
    attributes = _attributes(subscription)
    return attributes.get("secret_key") == secret and bool(attributes.get("delete_access_token"))
