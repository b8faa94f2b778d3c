"""Templates: made of a document, and copied into documents."""

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.callbacks import Event
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.refusals import not_found


async def create(call: Call) -> Response:
    """The document stays; a template is not counted as a document that was uploaded."""
    body = await call.json()
    source = call.world.document_of(call.user, str(body.get("document_id") or ""))
    name = str(body.get("document_name") or source.name)
    folder = next(f for f in call.user.folders.values() if f.is_system and f.name == "Templates")
    template = source.copied(name=name, folder_id=folder.id, is_template=True, now=call.now)
    template.log("template_created", call.user.email, call.now)
    call.world.documents[template.id] = template
    return JSONResponse({"id": template.id})


async def copy(call: Call) -> Response:
    """Sources disagree on the key of the name: it is answered under both."""
    template = call.world.document_of(call.user, call.request.path_params["template_id"])
    if not template.is_template:
        raise not_found("the template")
    body = await call.json()
    folder_id = call.user.folder(str(body.get("folder_id") or call.user.inbox.id)).id
    name = str(body.get("document_name") or template.name)
    document = template.copied(name=name, folder_id=folder_id, is_template=False, now=call.now)
    call.world.add(document, "document_created_from_template", call.base_url)
    content = {"template_id": template.id, "document_id": document.id, "user_id": call.user.id}  # assumed
    call.world.tell(template, [Event("template.copy", content, call.user.id)], call.base_url)
    return JSONResponse({"id": document.id, "name": document.name, "document_name": document.name})


ROUTES = [
    bearer("POST", "/template", create),
    bearer("POST", "/template/{template_id}/copy", copy),
]
