"""SignNow's own Python SDK, over a real socket: what it sends is understood, what it gets it can read."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from signnow.api.auth.request import TokenGetRequest
from signnow.api.document.request import (
    DocumentDeleteRequest,
    DocumentDownloadGetRequest,
    DocumentDownloadLinkPostRequest,
    DocumentGetRequest,
    DocumentPostRequest,
    DocumentPutRequest,
    FieldExtractPostRequest,
)
from signnow.api.document.request.data import Field, FieldCollection
from signnow.api.documentgroup.request import (
    DocumentGroupDeleteRequest,
    DocumentGroupPostRequest,
    DownloadDocumentGroupPostRequest,
)
from signnow.api.documentgroupinvite.request import (
    CancelGroupInvitePostRequest,
    GroupInviteGetRequest,
    GroupInvitePostRequest,
)
from signnow.api.documentinvite.request import (
    CancelInvitePutRequest,
    FreeFormInviteGetRequest,
    FreeFormInvitePostRequest,
    SendInvitePostRequest,
)
from signnow.api.embeddedinvite.request import DocumentInviteLinkPostRequest, DocumentInvitePostRequest
from signnow.api.folder.request import FolderGetRequest
from signnow.api.template.request import CloneTemplatePostRequest, TemplatePostRequest
from signnow.api.user.request import UserGetRequest
from signnow.api.webhook.request import SubscriptionDeleteRequest, SubscriptionGetRequest, SubscriptionPostRequest
from signnow.api.webhook.request.data import Attribute
from signnow.api.webhookv2.request import CallbacksAllGetRequest, EventSubscriptionAllGetRequest
from signnow.core import ApiClient, SignNowApiException
from signnow.sdk import Sdk

from inkmeter.errors import UpstreamTimeout
from integrations.signnow.auth import ApiKey
from integrations.signnow.client import SignNowClient
from integrations.signnow.sandbox import SandboxAccount

ACCOUNT = SandboxAccount()


@pytest.fixture
def api(server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiClient]:
    monkeypatch.chdir(tmp_path)  # the SDK would prefer a .env file of the working directory
    basic = base64.b64encode(f"{ACCOUNT.client_id}:{ACCOUNT.client_secret}".encode()).decode()
    settings = {
        "SIGNNOW_API_HOST": server_url,
        "SIGNNOW_API_BASIC_TOKEN": basic,
        "SIGNNOW_API_USERNAME": ACCOUNT.email,
        "SIGNNOW_API_PASSWORD": ACCOUNT.password,
        "SIGNNOW_DOWNLOADS_DIR": str(tmp_path / "downloads"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = Sdk().build().authenticate().get_api_client()
    yield client
    client._client.close()


@pytest.fixture
def document_id(api: ApiClient, tmp_path: Path, lease: bytes) -> str:
    (tmp_path / "lease.pdf").write_bytes(lease)
    uploaded = api.send(DocumentPostRequest(str(tmp_path / "lease.pdf"), name="Lease")).get_response()
    return str(uploaded.id)


def place_field(api: ApiClient, document_id: str) -> None:
    fields = FieldCollection()
    fields.add(Field(10, 20, 100, 20, "signature", 0, required=True, role="Signer 1", name="sig"))
    api.send(DocumentPutRequest(fields=fields).with_document_id(document_id))


def invite() -> SendInvitePostRequest:
    signer = {"email": "ann@x.test", "role": "Signer 1", "order": 1}
    return SendInvitePostRequest(to=[signer], from_email=ACCOUNT.email, subject="Please sign", message="Thanks")


def test_it_authenticates(api: ApiClient) -> None:
    token = api.send(TokenGetRequest()).get_response()
    assert (token.token_type, token.scope) == ("bearer", "*")
    user = api.send(UserGetRequest()).get_response()
    assert user.primary_email == ACCOUNT.email
    assert api.send(FolderGetRequest()).get_response().name == "Root"


def test_it_uploads_invites_reads_and_downloads(
    api: ApiClient, server_url: str, document_id: str, lease: bytes, tmp_path: Path
) -> None:
    place_field(api, document_id)
    assert api.send(invite().with_document_id(document_id)).get_response().status == "success"
    sign = httpx.post(f"{server_url}/_sandbox/documents/{document_id}/sign", json={"email": "ann@x.test"})
    assert sign.json()["is_completed"] is True

    reply = api.send(DocumentGetRequest().with_document_id(document_id))
    document = reply.get_response()
    assert (document.id, document.document_name, document.page_count) == (document_id, "Lease", "1")
    assert [invited["status"] for invited in document.field_invites] == ["fulfilled"]
    assert json.loads(reply.to_json())["requests"] == []

    file = api.send(DocumentDownloadGetRequest().with_document_id(document_id).with_type("collapsed"))
    downloaded = file.get_response().get_file()
    assert downloaded == tmp_path / "downloads" / "Lease.pdf"
    assert downloaded.read_bytes().startswith(lease)
    assert downloaded.read_bytes() != lease
    link = api.send(DocumentDownloadLinkPostRequest().with_document_id(document_id)).get_response().link
    assert httpx.get(link).content == downloaded.read_bytes()


def test_it_cancels_and_deletes(api: ApiClient, document_id: str) -> None:
    place_field(api, document_id)
    api.send(invite().with_document_id(document_id))
    cancel = CancelInvitePutRequest(reason="changed").with_document_id(document_id)
    assert api.send(cancel).get_response().status == "success"
    assert api.send(DocumentDeleteRequest().with_document_id(document_id)).get_response().status == "success"
    with pytest.raises(SignNowApiException) as refused:
        api.send(DocumentGetRequest().with_document_id(document_id))
    assert refused.value.response_code == 400


def test_it_invites_to_sign_anywhere(api: ApiClient, document_id: str) -> None:
    request = FreeFormInvitePostRequest(to="ann@x.test", from_email=ACCOUNT.email)
    sent = api.send(request.with_document_id(document_id)).get_response()
    listed = api.send(FreeFormInviteGetRequest().with_document_id(document_id)).get_response()
    assert [(invited["id"], invited["status"]) for invited in listed.data] == [(sent.id, "pending")]


def test_it_embeds_a_document_with_text_tags(api: ApiClient, document_id: str, tmp_path: Path) -> None:
    tags = [{"tag_name": "Sig1", "role": "Signer 1"}]
    tagged = api.send(FieldExtractPostRequest(str(tmp_path / "lease.pdf"), tags)).get_response().id
    (role,) = api.send(DocumentGetRequest().with_document_id(tagged)).get_response().roles
    recipient = {"email": "ann@x.test", "role_id": role["unique_id"], "order": 1, "auth_method": "none"}
    (embedded,) = api.send(DocumentInvitePostRequest([recipient]).with_document_id(tagged)).get_response().data
    request = DocumentInviteLinkPostRequest(auth_method="none", link_expiration=30)
    link = api.send(request.with_document_id(tagged).with_field_invite_id(embedded["id"])).get_response()
    assert embedded["status"] == "pending"
    assert "route=fieldinvite" in link.data["link"]


def test_it_makes_templates_and_copies_them(api: ApiClient, document_id: str) -> None:
    place_field(api, document_id)
    template_id = api.send(TemplatePostRequest(document_id, "Standard")).get_response().id
    copied = api.send(CloneTemplatePostRequest("Copy").with_template_id(template_id)).get_response()
    assert copied.name == "Copy"
    (role,) = api.send(DocumentGetRequest().with_document_id(copied.id)).get_response().roles
    assert role["name"] == "Signer 1"


def test_it_sends_a_group(api: ApiClient, document_id: str, tmp_path: Path) -> None:
    place_field(api, document_id)
    group_id = api.send(DocumentGroupPostRequest([document_id], "Closing")).get_response().id
    action = {"email": "ann@x.test", "role_name": "Signer 1", "action": "sign", "document_id": document_id}
    step = {"order": 1, "invite_emails": [{"email": "ann@x.test"}], "invite_actions": [action]}
    sent = api.send(GroupInvitePostRequest([step]).with_document_group_id(group_id)).get_response()
    request = GroupInviteGetRequest().with_document_group_id(group_id).with_invite_id(sent.id)
    invite = api.send(request).get_response().invite
    assert (invite["status"], invite["steps"][0]["actions"][0]["status"]) == ("pending", "pending")
    cancel = CancelGroupInvitePostRequest().with_document_group_id(group_id).with_invite_id(sent.id)
    api.send(cancel)
    file = api.send(DownloadDocumentGroupPostRequest("merged", "no").with_document_group_id(group_id))
    assert Path(file.get_response().file_path).read_bytes().startswith(b"%PDF-")
    api.send(DocumentGroupDeleteRequest().with_document_group_id(group_id))
    assert api.send(DocumentGetRequest().with_document_id(document_id)).get_response().field_invites == []


def test_it_manages_subscriptions(api: ApiClient) -> None:
    user_id = api.send(UserGetRequest()).get_response().id
    attributes = Attribute("http://127.0.0.1:9/hook")
    api.send(SubscriptionPostRequest("user.document.complete", user_id, "callback", attributes, "s3cret"))
    (listed,) = api.send(SubscriptionGetRequest()).get_response().data
    assert listed["json_attributes"]["secret_key"] == "s3cret"
    assert [item["id"] for item in api.send(EventSubscriptionAllGetRequest()).get_response().data] == [listed["id"]]
    log = api.send(CallbacksAllGetRequest().with_event_subscription_id(listed["id"])).get_response()
    assert log.data == []
    api.send(SubscriptionDeleteRequest().with_event_subscription_id(listed["id"]))
    assert api.send(SubscriptionGetRequest()).get_response().data == []


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
async def test_a_broken_connection_is_one_on_a_real_socket_too(server_url: str, lease: bytes, kind: str) -> None:
    async with httpx.AsyncClient() as http:
        client = SignNowClient(base_url=server_url, credentials=ApiKey(ACCOUNT.api_key), http=http)
        folder_id = await client.ensure_folder(kind)
        fault = {"kind": kind, "path_prefix": "/document", "method": "POST"}
        (await http.post(f"{server_url}/_sandbox/faults", json=fault)).raise_for_status()
        with pytest.raises(UpstreamTimeout):
            await client.upload_document(folder_id=folder_id, name="n", file_name="op.pdf", content=lease)
        found = await client.find_document(folder_id=folder_id, file_name="op.pdf")
        assert (found is not None) == (kind == "timeout_after")
