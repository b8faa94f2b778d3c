"""Documents: uploading, finding, reading, fields, templates."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

import orjson

from integrations.protocols import Content, HistoryEntry, SignatureField, SignNowDocument, TextTag
from integrations.signnow import errors
from integrations.signnow.objects import moment, objects, read_document, read_history
from integrations.signnow.requests import PAGE_SIZE, Requests, at, without_nothing
from integrations.signnow.uploads import upload_form


class Documents(Requests):
    """Part of `integrations.protocols.SignNow`."""

    async def upload_document(self, *, folder_id: str, name: str, file_name: str, content: Content) -> str:
        """Upload a PDF and answer its id."""
        return await self._upload("/document", {"name": name, "folder_id": folder_id}, file_name, content)

    async def upload_with_tags(self, *, file_name: str, content: Content, tags: Sequence[TextTag]) -> str:
        """Upload a PDF whose text says where the fields are. Beyond name and role a tag's keys are assumed."""
        said = [{"tag_name": t.name, "role": t.role, "type": t.type, "required": t.is_required} for t in tags]
        return await self._upload("/document/fieldextract", {"Tags": orjson.dumps(said).decode()}, file_name, content)

    async def upload_from_url(self, *, url: str, name: str) -> str:
        """Let SignNow fetch a PDF, and answer its id."""
        return await self._create("/v2/documents/url", {"url": url, "name": name, "check_fields": True})

    async def move_document(self, document_id: str, folder_id: str) -> None:
        """Move to a folder."""
        await self._session.send("POST", at("/document/{}/move", document_id), json={"folder_id": folder_id})

    async def find_document(self, *, folder_id: str | None, file_name: str) -> SignNowDocument | None:
        """The newest document that was uploaded under that file name, or None."""
        stem = PurePath(file_name).stem
        async for listed in self._listed(folder_id):
            if listed.get("original_filename") == file_name or listed.get("document_name") == stem:
                return await self.document(str(listed.get("id")))
        return None

    async def find_document_named(
        self, *, folder_id: str | None, name: str, since: datetime | None = None
    ) -> SignNowDocument | None:
        """The newest document or template of exactly that name, or None."""
        async for listed in self._listed(folder_id):
            if listed.get("document_name") == name:
                return await self.document(str(listed.get("id")))
            with errors.reading("the list of documents"):
                # Both lists are sorted, by when a document was made or changed: never after `updated`.
                if since is not None and moment(listed["updated"]) < since.replace(microsecond=0):
                    return None
        return None

    async def list_documents(
        self,
        folder_id: str,
        *,
        signing_status: str | None = None,
        updated_since: datetime | None = None,
        created_since: datetime | None = None,
    ) -> AsyncIterator[SignNowDocument]:
        """The documents of a folder, newest first."""
        chosen = {
            "signing-status": signing_status,
            "documents-updated": updated_since and str(int(updated_since.timestamp())),
            "documents-created": created_since and str(int(created_since.timestamp())),
        }
        filters = {
            key: value
            for name, wanted in chosen.items()
            if wanted
            for key, value in (("filters", name), ("filter-values", wanted))
        }
        async for listed in self._folder(folder_id, filters):
            with errors.reading("the list of documents"):
                document = read_document(listed)
            yield document

    async def document(self, document_id: str) -> SignNowDocument:
        """One document. Raises SignNowRefused for an unknown one."""
        data = await self._read(at("/document/{}", document_id))
        with errors.reading(f"document {document_id}"):
            return read_document(data)

    async def history(self, document_id: str) -> tuple[HistoryEntry, ...]:
        """The audit trail, oldest first."""
        answer = await self._session.send("GET", at("/document/{}/historyfull", document_id))
        with errors.reading(f"the history of {document_id}"):
            return read_history(answer.json())

    async def rename_document(self, document_id: str, name: str) -> None:
        """Give another name."""
        await self._session.send("PUT", at("/document/{}", document_id), json={"document_name": name})

    async def place_fields(self, document_id: str, fields: Sequence[SignatureField]) -> None:
        """Replace the document's fields; SignNow allows it only before the first invite."""
        placed = [
            {
                "type": field.type,
                "name": field.name or f"{field.type}_{number}",
                "role": field.role,
                "page_number": field.page,
                "x": field.x,
                "y": field.y,
                "width": field.width,
                "height": field.height,
                "required": field.is_required,
            }
            for number, field in enumerate(fields, 1)
        ]
        await self._session.send("PUT", at("/document/{}", document_id), json={"fields": placed})

    async def create_template(self, document_id: str, name: str) -> str:
        """Make a template of a document, and answer its id."""
        return await self._create("/template", {"document_id": document_id, "document_name": name})

    async def copy_template(self, template_id: str, *, name: str, folder_id: str | None = None) -> str:
        """Make a document of a template, and answer its id."""
        body = without_nothing(document_name=name, folder_id=folder_id)
        return await self._create(at("/template/{}/copy", template_id), body)

    async def _upload(self, path: str, texts: Mapping[str, str], file_name: str, content: Content) -> str:
        form = await upload_form(texts, file_name, content)
        return str(self._value(await self._session.send("POST", path, content=form, headers=form.headers), "id"))

    def _listed(self, folder_id: str | None) -> AsyncIterator[Mapping[str, Any]]:
        return self._mine() if folder_id is None else self._folder(folder_id, {})

    async def _folder(self, folder_id: str, filters: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        """All documents of a folder, newest first, to the page that brings none."""
        seen: set[object] = set()
        while True:
            params = {**filters, "sortby": "created", "order": "desc", "limit": PAGE_SIZE, "offset": len(seen)}
            page = await self._read(at("/folder/{}", folder_id), params=params)
            fresh = [listed for listed in objects(page.get("documents")) if listed.get("id") not in seen]
            if not fresh:
                return
            for listed in fresh:
                yield listed
            seen.update(listed.get("id") for listed in fresh)

    async def _mine(self) -> AsyncIterator[Mapping[str, Any]]:
        """All documents of the account, the last changed first."""
        seen: set[object] = set()
        page = 1
        while True:
            answer = await self._session.send("GET", "/user/documentsv2", params={"per_page": PAGE_SIZE, "page": page})
            with errors.reading("the list of documents"):
                fresh = [listed for listed in objects(answer.json()) if listed.get("id") not in seen]
            if not fresh:
                return
            for listed in fresh:
                yield listed
            seen.update(listed.get("id") for listed in fresh)
            page += 1
