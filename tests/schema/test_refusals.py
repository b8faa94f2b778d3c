import base64
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig

from inkmeter import errors
from inkmeter.errors import NextPlan, Problem, Refused, TopUpPack, UnpaidInvoice
from inkmeter.money import Money
from schema.refusals import USER_ERRORS, UserError, user_error
from schema.scalars import SCALARS

RESET = datetime(2026, 2, 1, tzinfo=UTC)
PACKS = [TopUpPack(100, Money(4_900, "USD"))]
NEXT = NextPlan("01940000-0000-7000-8000-000000000000", "scale", "Scale")
REFUSALS: list[Refused] = [
    errors.NotFound("no such tenant", path=("input", "tenantId")),
    errors.NotPermitted("operators only"),
    errors.Conflict("taken", path=["input", "code"]),
    errors.InvalidInput([Problem(("input", "seats"), "at least 1"), Problem(("input", "name"), "not empty")]),
    errors.InvalidConfig([Problem(("prices", "0", "config", "unitPrice"), "not negative")]),
    errors.QuotaExceeded(
        meter="invites_sent", limit=100, used=99, requested=2, resets_at=RESET, packs=PACKS, next_plan=NEXT
    ),
    errors.TopUpRequired(meter="signatures", balance=3, requested=2**62),
    errors.SpendCapReached(
        meter="downloads", cap=Money(500, "USD"), spent=Money(450, "USD"), price=Money(100, "USD"), resets_at=RESET
    ),
    errors.TenantRestricted(
        "overdue", invoices=[UnpaidInvoice(NEXT.id, Money(600, "USD"), "https://pay.test/1", Money(400, "USD"))]
    ),
    errors.SubscriptionInactive("ended"),
    errors.UpstreamUnavailable("try again"),
    errors.OutcomeUnknown("no answer"),
    errors.SignNowRefused("no such document", upstream_code="65582"),
    errors.SignNowNotConnected("consent first"),
    errors.PaymentRefused("card declined"),
    errors.WebhookRejected("bad signature"),
]


def refused_classes(cls: type[Refused] = Refused) -> Iterator[type[Refused]]:
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__ and not child.__name__.startswith("_"):
            yield child
        yield from refused_classes(child)


def test_every_refusal_has_a_type_of_its_name_and_an_example_here() -> None:
    names = {cls.__name__ for cls in refused_classes()}
    assert {kind.__name__ for kind in USER_ERRORS} == names
    assert {type(refusal).__name__ for refusal in REFUSALS} == names


@strawberry.type
class Query:
    @strawberry.field
    def refusals(self) -> list[UserError]:
        return [user_error(refusal) for refusal in REFUSALS]


SCHEMA = strawberry.Schema(Query, types=USER_ERRORS, config=StrawberryConfig(scalar_map=SCALARS))


def test_each_is_shown_with_what_it_knows() -> None:
    result = SCHEMA.execute_sync("""{ refusals { __typename code message path
        ... on InvalidInput { problems { path message } }
        ... on QuotaExceeded { meter limit used requested resetsAt
            packs { units price { amount currency } } nextPlan { id code name } }
        ... on TopUpRequired { meter balance requested maybe: resetsAt packs { units } nextPlan { id } }
        ... on SpendCapReached { meter cap { amount } spent { amount } price { amount } resetsAt }
        ... on TenantRestricted { invoices { id total { amount } due { amount } hostedUrl } }
        ... on SignNowRefused { upstreamCode } ... on PaymentRefused { upstreamCode } } }""")
    assert not result.errors
    assert result.data is not None
    shown = {one["__typename"]: one for one in result.data["refusals"]}
    assert [one["__typename"] for one in result.data["refusals"]] == [type(r).__name__ for r in REFUSALS]
    assert [(one["code"], one["message"]) for one in shown.values()] == [(r.code, r.message) for r in REFUSALS]
    assert shown["NotFound"]["path"] == ["input", "tenantId"]
    assert shown["InvalidInput"]["problems"] == [
        {"path": ["input", "seats"], "message": "at least 1"},
        {"path": ["input", "name"], "message": "not empty"},
    ]
    quota = {
        "meter": "invites_sent",
        "limit": "100",
        "used": "99",
        "requested": "2",
        "resetsAt": "2026-02-01T00:00:00Z",
        "packs": [{"units": "100", "price": {"amount": "49.00", "currency": "USD"}}],
        "nextPlan": {
            "id": "UGxhbjowMTk0MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDA=",
            "code": "scale",
            "name": "Scale",
        },
    }
    assert shown["QuotaExceeded"].items() >= quota.items()
    assert shown["TopUpRequired"]["requested"] == str(2**62)
    assert [shown["TopUpRequired"][name] for name in ("maybe", "packs", "nextPlan")] == [None, [], None]
    cap = {"meter": "downloads", "resetsAt": "2026-02-01T00:00:00Z"}
    amounts = {"cap": {"amount": "5.00"}, "spent": {"amount": "4.50"}, "price": {"amount": "1.00"}}
    assert shown["SpendCapReached"].items() >= {**cap, **amounts}.items()
    [unpaid] = shown["TenantRestricted"]["invoices"]
    assert base64.b64decode(unpaid.pop("id")).decode() == f"Invoice:{NEXT.id}"
    assert unpaid == {"total": {"amount": "6.00"}, "due": {"amount": "4.00"}, "hostedUrl": "https://pay.test/1"}
    assert shown["SignNowRefused"]["upstreamCode"] == "65582"
    assert shown["PaymentRefused"]["upstreamCode"] is None


def test_a_kind_of_a_known_refusal_is_shown_as_that() -> None:
    class DocumentNotFound(errors.NotFound):
        code = "DOCUMENT_NOT_FOUND"

    shown = user_error(DocumentNotFound("no such document"))
    assert type(shown).__name__ == "NotFound"
    assert shown.code == "DOCUMENT_NOT_FOUND"


def test_a_refusal_without_a_type_is_a_mistake_of_ours() -> None:
    class Unheard(Refused):
        pass

    with pytest.raises(TypeError, match="Unheard has no type"):
        user_error(Unheard("?"))
