"""What is done with documents besides uploading and sending, through the API."""

from typing import Any

from storage.documents import Document
from tests.services.steps import DECISION, Customer, Json, do, raw_id

HEADERS = {"authorization": "Bearer sandbox-api-key"}


def signer(number: int, **more: object) -> Json:
    return {"email": f"signer{number}@x.test", "role": f"Signer {number}", **more}


async def act(customer: Customer, mutation: str, key: str, selection: str = "", **input: Any) -> Json:
    """Run a mutation whose payload has a document and a decision."""
    selection = f"document {{ id name state }} {DECISION} {selection}"
    return await do(customer.api, mutation, selection, tenantId=customer.id, idempotencyKey=key, **input)


async def cancel(customer: Customer, document: str, key: str = "cancel") -> Json:
    return await act(customer, "cancelInvite", key, documentId=document, reason="Changed")


async def resend(customer: Customer, document: str, key: str = "resend", role: str = "Signer 1") -> Json:
    return await act(customer, "resendInvite", key, documentId=document, role=role)


async def replace(customer: Customer, document: str, email: str = "eve@x.test", key: str = "replace") -> Json:
    return await act(customer, "replaceSigner", key, documentId=document, role="Signer 1", email=email)


async def delete(customer: Customer, document: str, key: str = "delete") -> Json:
    return await act(customer, "deleteDocument", key, documentId=document)


async def embed(customer: Customer, document: str, key: str = "embed", *signers: Json, **more: Any) -> Json:
    return await act(customer, "createEmbeddedInvite", key, documentId=document, signers=signers or [signer(1)], **more)


async def link(customer: Customer, document: str, key: str = "link", role: str = "Signer 1", **more: Any) -> Json:
    return await act(customer, "createEmbeddedSigningLink", key, "link", documentId=document, role=role, **more)


async def status(customer: Customer, document: str) -> Json:
    query = """query ($id: ID!, $tenant: ID) { documentStatus(documentId: $id, tenantId: $tenant) {
        status document { state } signers { email role status isDeclined isEmbedded expiresAt } } }"""
    return dict((await customer.api.ask(query, id=document, tenant=customer.id))["documentStatus"])


async def signnow_id(document: str) -> str:
    """The document's id in SignNow."""
    return (await Document.get(id=raw_id(document))).signnow_document_id


async def theirs(customer: Customer, document: str) -> Json:
    """The document as SignNow has it."""
    url = f"/document/{await signnow_id(document)}"
    return dict((await customer.world.signnow.get(url, headers=HEADERS)).json())


async def decline(customer: Customer, document: str, email: str) -> None:
    url = f"/_sandbox/documents/{await signnow_id(document)}/decline"
    (await customer.world.signnow.post(url, json={"email": email})).raise_for_status()


async def delete_there(customer: Customer, document: str) -> None:
    """Somebody cancels and deletes the document in SignNow's web app."""
    url = f"/document/{await signnow_id(document)}"
    await customer.world.signnow.put(f"{url}/fieldinvitecancel", json={}, headers=HEADERS)
    (await customer.world.signnow.delete(url, headers=HEADERS)).raise_for_status()
