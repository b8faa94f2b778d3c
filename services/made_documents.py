"""Documents that SignNow makes under the operation's id, by which they are found again: of a URL, of text tags, of a
template; and templates. Their name and place they get afterwards, by a job that starts at once.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from services import identities, jobs, operations
from services.commands import Uploaded
from services.operations import StoredOperation
from services.platform import Platform
from storage.documents import Document, DocumentState
from storage.jobs import Job
from storage.operations import Operation, OperationKind
from storage.tenants import Tenant

TIDY: Final = "document.tidy"
UNITS: Final = {"documents_created": 1, "api_calls": 3}
"""The call that makes the document, the move and the name."""
TEMPLATE_UNITS: Final = {"api_calls": 2}
"""A template is no document: nobody signs it. The call that makes it, and the name."""
SKEW: Final = timedelta(hours=1)
"""How far SignNow's clock may lag behind ours where it is asked for what was made since."""


def units_of(kind: OperationKind) -> Mapping[str, int]:
    """What making a document or a template counts."""
    return TEMPLATE_UNITS if kind is OperationKind.TEMPLATE else UNITS


def document_id_of(operation: StoredOperation) -> UUID:
    """The document that an operation is about."""
    assert operation.document_id is not None  # noqa: S101 - every kind of operation has one
    return operation.document_id


async def finish_making(platform: Platform, operation: StoredOperation, signnow_id: str) -> None:
    """Commit what SignNow has made, and tidy it: that may fail now, and is done later then."""
    document_id = str(document_id_of(operation))
    kind = OperationKind(operation.kind)
    # Before the commit: killed in between, the operation is settled and comes here again; after it, nobody would.
    await jobs.add_job(
        platform, tenant_id=operation.tenant_id, topic=TIDY, dedup=document_id, run_in=jobs.FIRST_TRY_IS_OURS
    )
    state = DocumentState.TEMPLATE if kind is OperationKind.TEMPLATE else DocumentState.UPLOADED
    made = Uploaded(str(operation.request["name"]), signnow_id, state)
    await operations.succeed(platform, operation, units_of(kind), uploaded=made)
    await jobs.run_now(platform, operation.tenant_id, TIDY, document_id, tidy_document)


async def tidy_document(platform: Platform, job: Job) -> None:
    """The job: move a document to its tenant's folder and give it its name. Both are safe to repeat."""
    document = await Document.filter(tenant_id=job.tenant_id, id=job.dedup).first()
    if document is None:
        making = Operation.filter(tenant_id=job.tenant_id, document_id=job.dedup, state__in=operations.OPEN)
        if await making.exists():
            raise jobs.NotYet("the operation that makes the document is not settled")
    elif document.state is not DocumentState.DELETED:
        tenant = await Tenant.get(id=job.tenant_id)
        signnow = identities.signnow_for(platform, tenant)
        if document.state is not DocumentState.TEMPLATE and tenant.signnow_folder_id is not None:
            await signnow.move_document(document.signnow_document_id, tenant.signnow_folder_id)
        await signnow.rename_document(document.signnow_document_id, document.name)
    async with jobs.completing(job):
        pass
