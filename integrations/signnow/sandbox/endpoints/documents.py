"""`/document`: reading, fields, moving, deleting, history."""

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.knobs import HistoryShape
from integrations.signnow.sandbox.refusals import refusal
from integrations.signnow.sandbox.views import document_json, history_json
from integrations.signnow.sandbox.world import document_event


async def show(call: Call) -> Response:
    return JSONResponse(document_json(call.document, call.user, call.base_url))


async def change(call: Call) -> Response:
    """Replace the fields, or rename."""
    document, body = call.document, await call.json()
    if "fields" in body:
        if document.field_invites or document.free_form_invites:
            raise refusal("the document has been sent for signature; its fields cannot change")
        if not isinstance(body["fields"], list) or not all(isinstance(entry, dict) for entry in body["fields"]):
            raise refusal("fields must be an array of objects")
        document.place(body["fields"])
    if "document_name" in body:
        document.name = str(body["document_name"])
    document.log("document_updated", call.user.email, call.now)
    call.world.tell(document, [document_event("update", document, call.user.id)], call.base_url)
    return JSONResponse({"id": document.id})


async def list_fields(call: Call) -> Response:
    """Signers type nothing here: no field has a value."""
    shown = [
        {"id": field.id, "name": str(field.attributes.get("name") or ""), "type": field.type, "value": None}
        for field in call.document.fields
    ]
    return JSONResponse({"data": shown})


async def move(call: Call) -> Response:
    document, body = call.document, await call.json()
    document.folder_id = call.user.folder(str(body.get("folder_id") or "")).id
    return JSONResponse({"result": "success"})


async def delete(call: Call) -> Response:
    """Refused while an invite is pending: of two reports on SignNow, the stricter."""
    document = call.document
    if any(status in ("created", "pending") for status in document.invite_statuses):
        raise refusal("the document has a pending invite; cancel it first")
    del call.world.documents[document.id]
    call.world.tell(document, [document_event("delete", document, call.user.id)], call.base_url)
    return JSONResponse({"status": "success"})


async def show_history(call: Call) -> Response:
    """In the shape that the knob says: sources on SignNow disagree."""
    document = call.document
    entries = [history_json(document, entry) for entry in document.history]
    match call.world.knobs.history:
        case HistoryShape.ARRAY:
            return JSONResponse(entries)
        case HistoryShape.OBJECT:
            numbered = [{**entry, "created": int(entry["created"])} for entry in entries]
            return JSONResponse({"document_history": numbered, "email_history_events": []})
        case HistoryShape.SINGLE:
            return JSONResponse(entries[-1])


async def list_documents(call: Call) -> Response:
    """All of the user's documents, the last changed first."""
    page, size = call.page(50)
    mine = [document for document in call.world.documents.values() if document.user_id == call.user.id]
    mine.sort(key=lambda document: document.updated_at, reverse=True)
    shown = mine[(page - 1) * size : page * size]
    return JSONResponse([document_json(document, call.user, call.base_url) for document in shown])


ROUTES = [
    bearer("GET", "/document/{document_id}", show),
    bearer("PUT", "/document/{document_id}", change),
    bearer("DELETE", "/document/{document_id}", delete),
    bearer("GET", "/v2/documents/{document_id}/fields", list_fields),
    bearer("POST", "/document/{document_id}/move", move),
    bearer("GET", "/document/{document_id}/historyfull", show_history),
    bearer("GET", "/user/documents", list_documents),
    bearer("GET", "/user/documentsv2", list_documents),
]
