"""The client of SignNow's own MCP server, over a real socket: it validates every answer of the sandbox's."""

import base64
import time
from collections.abc import Iterator

import httpx
import pytest
from signnow_client import SignNowAPIClient, SignNowAPIHTTPError, SignNowAPIRateLimitError, SignNowConfig
from signnow_client.models import (
    CancelDocumentFieldInviteRequest,
    CancelDocumentFreeformInviteRequest,
    CreateDocumentEmbeddedInviteRequest,
    CreateDocumentFieldInviteRequest,
    CreateDocumentFreeformInviteRequest,
    CreateDocumentFromTemplateRequest,
    CreateDocumentGroupRequest,
    CreateFieldInviteRequest,
    CreateTemplateRequest,
    DocumentEmbeddedInvite,
    DocumentFieldInviteRecipient,
    FieldInviteAction,
    FieldInviteEmail,
    FieldInviteStep,
    GenerateDocumentEmbeddedInviteLinkRequest,
    ReplaceFieldInviteRequest,
    ResendDocumentGroupInvitesRequest,
    ResendFieldInviteRequest,
)

from integrations.signnow.sandbox import SandboxAccount

ACCOUNT = SandboxAccount()
FIELD = {
    "type": "signature",
    "role": "Signer 1",
    "name": "sig",
    "page_number": 0,
    "x": 10,
    "y": 20,
    "width": 9,
    "height": 9,
}


@pytest.fixture
def mcp(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignNowAPIClient]:
    basic = base64.b64encode(f"{ACCOUNT.client_id}:{ACCOUNT.client_secret}".encode()).decode()
    settings = {
        "SIGNNOW_API_BASE": server_url,
        "SIGNNOW_USER_EMAIL": ACCOUNT.email,
        "SIGNNOW_PASSWORD": ACCOUNT.password,
        "SIGNNOW_API_BASIC_TOKEN": basic,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with SignNowAPIClient(SignNowConfig(_env_file=None)) as client:
        client.cfg.client_id, client.cfg.client_secret = ACCOUNT.client_id, ACCOUNT.client_secret
        yield client


@pytest.fixture
def token(mcp: SignNowAPIClient) -> str:
    return str(mcp.get_tokens_by_password(ACCOUNT.email, ACCOUNT.password)["access_token"])


@pytest.fixture
def document_id(mcp: SignNowAPIClient, token: str, server_url: str, lease: bytes) -> str:
    """A document with a field."""
    uploaded = mcp.upload_document(token, lease, "Lease.pdf")
    headers = {"Authorization": f"Bearer {token}"}
    httpx.put(f"{server_url}/document/{uploaded.id}", json={"fields": [FIELD]}, headers=headers).raise_for_status()
    return str(uploaded.id)


def invite(mcp: SignNowAPIClient, token: str, document_id: str) -> None:
    signer = DocumentFieldInviteRecipient(email="ann@x.test", role="Signer 1", order=1)
    request = CreateDocumentFieldInviteRequest(document_id=document_id, to=[signer], **{"from": ACCOUNT.email})
    assert mcp.create_document_field_invite(token, document_id, request).status == "success"


def test_it_gets_renews_and_ends_tokens(mcp: SignNowAPIClient) -> None:
    tokens = mcp.get_tokens_by_password(ACCOUNT.email, ACCOUNT.password)
    renewed = mcp.refresh_tokens(tokens["refresh_token"])
    assert mcp.get_user_info(renewed["access_token"]).primary_email == ACCOUNT.email
    assert mcp.revoke_token(renewed["access_token"])
    with pytest.raises(SignNowAPIHTTPError, match="invalid_token"):
        mcp.get_user_info(renewed["access_token"])


def test_it_reads_documents_and_folders(mcp: SignNowAPIClient, token: str, document_id: str) -> None:
    document = mcp.get_document(token, document_id)
    assert (document.document_name, [field.role for field in document.fields]) == ("Lease", ["Signer 1"])
    assert [field.name for field in mcp.get_document_fields(token, document_id).data] == ["sig"]
    folders = {folder.name: folder.id for folder in mcp.get_folders(token).folders}
    listed = mcp.get_folder_by_id(token, folders["Documents"], limit=100)
    assert document_id in [entry.id for entry in listed.documents]
    mcp.rename_document(token, document_id, "Renamed")
    assert mcp.get_document(token, document_id).document_name == "Renamed"
    link = mcp.get_document_download_link(token, document_id).link
    assert httpx.get(str(link)).content.startswith(b"%PDF-")


def test_it_reads_a_history(mcp: SignNowAPIClient, token: str, document_id: str, server_url: str) -> None:
    httpx.post(f"{server_url}/_sandbox/knobs", json={"history": "object"}).raise_for_status()
    try:
        history = mcp.get_document_history(token, document_id)
    finally:
        httpx.post(f"{server_url}/_sandbox/knobs", json={"history": "array"}).raise_for_status()
    assert [event.document_id for event in history.document_history] == [document_id] * 2


def test_it_copies_templates(mcp: SignNowAPIClient, token: str, document_id: str) -> None:
    template = mcp.create_template(token, CreateTemplateRequest(document_id=document_id, document_name="Standard"))
    assert mcp.get_document(token, template.id).template is True
    request = CreateDocumentFromTemplateRequest(document_name="Copy")
    copied = mcp.create_document_from_template(token, template.id, request)
    assert copied.document_name == "Copy"
    assert [role.name for role in mcp.get_document(token, copied.id).roles] == ["Signer 1"]


def test_it_invites_reminds_replaces_and_cancels(mcp: SignNowAPIClient, token: str, document_id: str) -> None:
    invite(mcp, token, document_id)
    document = mcp.get_document(token, document_id)
    (sent,), (field,) = document.field_invites, document.fields
    assert (sent.status, sent.email) == ("pending", "ann@x.test")
    now = ResendFieldInviteRequest(client_timestamp=int(time.time()))
    mcp.resend_field_invite(token, field.field_request_id, now)
    with pytest.raises(SignNowAPIHTTPError, match="could not resend"):
        mcp.resend_field_invite(token, sent.id, now)
    mcp.delete_field_invite(token, sent.id)
    replacement = ReplaceFieldInviteRequest(email="bob@x.test", role_id=sent.role_id, is_replace=True)
    made = mcp.replace_field_invite(token, replacement)
    assert mcp.trigger_field_invite(token, document_id).status == "success"
    (sent,) = mcp.get_document(token, document_id).field_invites
    assert (sent.id, sent.status, sent.email) == (made.id, "pending", "bob@x.test")
    mcp.cancel_document_field_invite(token, document_id, CancelDocumentFieldInviteRequest(reason="changed"))
    assert mcp.get_document(token, document_id).field_invites == []


def test_it_invites_freely(mcp: SignNowAPIClient, token: str, lease: bytes) -> None:
    document_id = mcp.upload_document(token, lease, "Lease.pdf").id
    request = CreateDocumentFreeformInviteRequest(to="ann@x.test", **{"from": ACCOUNT.email})
    sent = mcp.create_document_freeform_invite(token, document_id, request)
    (listed,) = mcp.get_document_freeform_invites(token, document_id).data
    assert (listed.id, listed.status) == (sent.id, "pending")
    mcp.cancel_document_freeform_invite(token, listed.id, CancelDocumentFreeformInviteRequest(reason="changed"))
    assert [each.status for each in mcp.get_document_freeform_invites(token, document_id).data] == ["cancelled"]


def test_it_embeds(mcp: SignNowAPIClient, token: str, document_id: str) -> None:
    signer = DocumentEmbeddedInvite(email="ann@x.test", role="Signer 1", order=1, auth_method="none")
    request = CreateDocumentEmbeddedInviteRequest(invites=[signer])
    (embedded,) = mcp.create_document_embedded_invite(token, document_id, request).data
    wanted = GenerateDocumentEmbeddedInviteLinkRequest(auth_method="none", link_expiration=30)
    link = mcp.generate_document_embedded_invite_link(token, document_id, embedded.id, wanted).data["link"]
    assert httpx.get(link).status_code == 200
    mcp.delete_document_embedded_invites(token, document_id)
    assert mcp.get_document(token, document_id).field_invites == []


def test_it_invites_to_a_group(mcp: SignNowAPIClient, token: str, document_id: str, server_url: str) -> None:
    created = mcp.create_document_group(
        token, CreateDocumentGroupRequest(document_ids=[document_id], group_name="Closing")
    )
    assert mcp.get_document_group(token, created.id).group_name == "Closing"
    actions = [FieldInviteAction(email="ann@x.test", role_name="Signer 1", action="sign", document_id=document_id)]
    step = FieldInviteStep(order=1, invite_emails=[FieldInviteEmail(email="ann@x.test")], invite_actions=actions)
    sent = mcp.create_field_invite(token, created.id, CreateFieldInviteRequest(invite_steps=[step]))
    assert mcp.get_document_group_v2(token, created.id).data.invite_id == sent.id
    (listed,) = [group for group in mcp.get_document_groups(token).document_groups if group.group_id == created.id]
    assert (listed.invite_id, listed.invite_status) == (sent.id, "pending")
    reminder = ResendDocumentGroupInvitesRequest(email="ann@x.test", client_timestamp=int(time.time()))
    assert mcp.resend_document_group_invites(token, created.id, sent.id, reminder)
    signed = httpx.post(f"{server_url}/_sandbox/documents/{document_id}/sign", json={"email": "ann@x.test"})
    assert signed.json()["is_completed"] is True
    assert mcp.get_field_invite(token, created.id, sent.id).invite.status == "fulfilled"
    assert mcp.cancel_document_group_field_invite(token, created.id, sent.id)
    assert mcp.get_document_group(token, created.id).invite_id is None


def test_it_understands_the_rate_limit(mcp: SignNowAPIClient, token: str, server_url: str) -> None:
    fault = {"kind": "429", "path_prefix": "/user", "method": "GET"}
    httpx.post(f"{server_url}/_sandbox/faults", json=fault).raise_for_status()
    with pytest.raises(SignNowAPIRateLimitError) as limited:
        mcp.get_user_info(token)
    assert limited.value.retry_after == 1
