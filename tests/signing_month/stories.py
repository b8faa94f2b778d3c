"""What becomes of documents in the signing month: each story is a list of steps, done one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ANN, BOB, EVE = "ann@x.test", "bob@x.test", "eve@x.test"


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do with a document of the story. `refused` is the refusal that it must meet, `expects` is what must
    stand in the answer, and `makes` names the document that it brings.
    """

    what: str
    document: str = "it"
    args: Mapping[str, Any] = field(default_factory=dict)
    refused: str | None = None
    expects: Mapping[str, Any] = field(default_factory=dict)
    makes: str | None = None


def _upload(what: str = "upload", makes: str = "it", **args: Any) -> Step:
    return Step(what, args=args, makes=makes)


def _do(what: str, document: str = "it", /, **args: Any) -> Step:
    return Step(what, document, args)


def _is(status: str) -> Step:
    return Step("status", expects={"status": status})


def in_turn() -> list[Step]:
    """Two sign one after the other; the file is fetched in every form."""
    return [
        _upload(),
        _is("NO_INVITE"),
        _do("invite", emails=[ANN, BOB], orders=[1, 2]),
        _do("sign", email=ANN),
        _is("PENDING"),
        _do("sign", email=BOB),
        _is("COMPLETED"),
        _do("download", form="collapsed", with_history=False),
        _do("download", form="zip", with_history=True),
        _do("history"),
    ]


def at_once() -> list[Step]:
    return [
        _upload("upload_tags", roles=["Signer 1", "Signer 2"]),
        _do("invite", emails=[ANN, BOB], orders=[1, 1]),
        _do("sign", email=BOB),
        _do("sign", email=ANN),
        _is("COMPLETED"),
        _do("download", form="collapsed", with_history=True),
    ]


def free_form() -> list[Step]:
    return [
        _upload("upload_large"),
        _do("free_form", email=ANN),
        _do("sign", email=ANN),
        _is("COMPLETED"),
        _do("download", form="collapsed", with_history=False),
    ]


def free_form_cancelled() -> list[Step]:
    """Cancelled, and sent again to somebody else: two units are charged."""
    return [_upload(), _do("free_form", email=ANN), _do("cancel"), _do("free_form", email=BOB), _do("sign", email=BOB)]


def embedded() -> list[Step]:
    return [
        _upload(),
        _do("embed", emails=[ANN, BOB]),
        _do("link", role="Signer 1"),
        _do("opens"),
        _do("wait", hours=1),
        _do("opens"),
        _do("link", role="Signer 1"),
        _do("sign", email=ANN),
        _do("sign", email=BOB),
        _is("COMPLETED"),
    ]


def embedded_cancelled() -> list[Step]:
    return [_upload(), _do("embed", emails=[ANN]), _do("cancel"), _is("CANCELLED"), _do("delete")]


def template() -> list[Step]:
    """A template of a document that is never sent, and two documents of it."""
    return [
        _upload("upload_tags", makes="source", roles=["Signer 1"]),
        Step("template", "source", makes="template"),
        Step("copy", "template", makes="it"),
        Step("copy", "template", makes="other"),
        _do("invite", emails=[ANN], orders=[1]),
        _do("invite", "other", emails=[BOB], orders=[1]),
        _do("sign", email=ANN),
        _do("sign", "other", email=BOB),
    ]


def of_a_url() -> list[Step]:
    return [_upload("upload_url"), _do("invite", emails=[ANN], orders=[1]), _do("sign", email=ANN), _is("COMPLETED")]


def given_to_another() -> list[Step]:
    return [
        _upload(),
        _do("invite", emails=[ANN], orders=[1]),
        _do("resend", role="Signer 1"),
        _do("replace", role="Signer 1", email=EVE),
        _do("sign", email=EVE),
        _is("COMPLETED"),
    ]


def cancelled() -> list[Step]:
    """Cancelled and sent again: two units are charged."""
    return [
        _upload(),
        _do("invite", emails=[ANN], orders=[1]),
        _do("cancel"),
        _is("CANCELLED"),
        _do("invite", emails=[BOB], orders=[1]),
        _do("sign", email=BOB),
    ]


def grouped() -> list[Step]:
    """Two documents under one invite, which is cancelled and sent again: two units are charged, not four."""
    signers = [("it", ANN, 1), ("other", BOB, 2)]
    return [
        _upload(),
        _upload(makes="other"),
        _upload("group", makes="group", of=["it", "other"]),
        _do("send_group", "group", signers=signers),
        _do("cancel_group", "group"),
        _do("send_group", "group", signers=signers),
        Step("invite", "other", {"emails": [EVE], "orders": [1]}, refused="Conflict"),
        _do("sign", email=ANN),
        _do("sign", "other", email=BOB),
        _is("COMPLETED"),
        _do("download_group", "group"),
    ]


def declined() -> list[Step]:
    return [
        _upload(),
        _do("invite", emails=[ANN, BOB], orders=[1, 2]),
        _do("decline", email=ANN),
        _is("DECLINED"),
        _do("cancel"),
        _do("delete"),
        Step("invite", args={"emails": [ANN], "orders": [1]}, refused="Conflict"),
    ]


def expired() -> list[Step]:
    return [
        _upload(),
        _do("invite", emails=[ANN], orders=[1], days=3),
        _do("wait", hours=73),
        _is("EXPIRED"),
        _do("cancel"),
        _do("invite", emails=[ANN], orders=[1]),
        _do("sign", email=ANN),
    ]


def deleted_there() -> list[Step]:
    """Somebody deletes a document in SignNow's web app while it is out."""
    return [_upload(), _do("invite", emails=[ANN], orders=[1]), _do("vanish"), _do("delete")]


def sent_there() -> list[Step]:
    """Somebody sends a document of ours in SignNow's web app: it is charged, and is no operation of ours."""
    return [_upload(), _do("send_there", email=ANN)]


def foreign() -> list[Step]:
    """A document that did not come through us is made, sent and signed in the tenant's folder."""
    return [_do("foreign", email=ANN)]


def refused() -> list[Step]:
    """Nothing of it may leave a trace in any book."""
    return [
        Step("bad_upload", args={"content": "plain text"}, refused="InvalidInput"),
        Step("bad_upload", args={"content": ""}, refused="InvalidInput"),
        Step("strangers_document", refused="NotFound"),
        _upload(),
        Step("invite", args={"emails": ["nobody"], "orders": [1]}, refused="InvalidInput"),
        Step("cancel", refused="Conflict"),
        _do("delete"),
        Step("delete", refused="Conflict"),
    ]


STORIES: Final[Mapping[str, Callable[[], Sequence[Step]]]] = {
    story.__name__: story
    for story in (
        in_turn,
        at_once,
        free_form,
        free_form_cancelled,
        embedded,
        embedded_cancelled,
        template,
        of_a_url,
        given_to_another,
        cancelled,
        grouped,
        declined,
        expired,
        deleted_there,
        sent_there,
        foreign,
        refused,
    )
}
FREE_FORM: Final = ("free_form", "free_form_cancelled")
"""The stories whose invites are charged per signer."""


@dataclass(slots=True)
class Story:
    """One that is being told of a tenant's documents; `attempt` counts the keys that were used up by the step."""

    key: str
    tenant: str
    kind: str
    steps: Sequence[Step]
    at: int = 0
    attempt: int = 0
    documents: dict[str, str] = field(default_factory=dict)
    heard: dict[str, Any] = field(default_factory=dict)
    """What the last answer said."""

    @property
    def step(self) -> Step | None:
        return self.steps[self.at] if self.at < len(self.steps) else None

    @property
    def deed_key(self) -> str:
        return f"{self.key}-{self.at}-{self.attempt}"

    def go_on(self) -> None:
        self.at, self.attempt = self.at + 1, 0
