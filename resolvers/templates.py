"""Documents of a URL and of templates, and templates."""

from resolvers.context import Info
from resolvers.documents import decision_type, document_type
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant
from schema import templates as types
from schema.connections import uuid_of
from services import uploads
from services.uploads import MakeTemplate, UploadFromUrl, UseTemplate


@mutation("Let SignNow fetch a PDF for a tenant.")
async def upload_document_from_url(
    info: Info, input: types.UploadDocumentFromUrlInput
) -> types.UploadDocumentFromUrlPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    command = UploadFromUrl(tenant, input.name, input.url, input.idempotency_key)
    document, operation = await uploads.upload_from_url(info.context.platform, command)
    return types.UploadDocumentFromUrlPayload(
        document=document_type(document), decision=await decision_type(info, operation)
    )


@mutation("Make a template of a document.")
async def create_template(info: Info, input: types.CreateTemplateInput) -> types.CreateTemplatePayload:
    tenant = await acting_tenant(info, input.tenant_id)
    document_id = uuid_of(input.document_id, "Document", path=("documentId",))
    command = MakeTemplate(tenant, document_id, input.name, input.idempotency_key)
    template, operation = await uploads.create_template(info.context.platform, command)
    return types.CreateTemplatePayload(document=document_type(template), decision=await decision_type(info, operation))


@mutation("Make a document of a template.")
async def create_document_from_template(
    info: Info, input: types.CreateDocumentFromTemplateInput
) -> types.CreateDocumentFromTemplatePayload:
    tenant = await acting_tenant(info, input.tenant_id)
    template_id = uuid_of(input.template_id, "Document", path=("templateId",))
    command = UseTemplate(tenant, template_id, input.name, input.idempotency_key)
    document, operation = await uploads.use_template(info.context.platform, command)
    return types.CreateDocumentFromTemplatePayload(
        document=document_type(document), decision=await decision_type(info, operation)
    )
