"""Money that goes back: refunds, which an account makes, and disputes, which a bank opens and decides."""

from typing import Literal

from pydantic import Field

from integrations.stripe.sandbox.amounts import check_step
from integrations.stripe.sandbox.books import Books, Object, created_in, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Metadata, Page, Params, Range

DisputeStatus = Literal["won", "lost", "needs_response", "under_review", "warning_closed"]
CLOSED = ("won", "lost", "warning_closed")


class CreateRefund(Params):
    charge: str | None = None
    payment_intent: str | None = None
    amount: int | None = Field(default=None, ge=1)
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    metadata: Metadata = Field(default_factory=dict)


class ListRefunds(Page):
    charge: str | None = None
    payment_intent: str | None = None
    created: Range | int | None = None


class ListDisputes(ListRefunds):
    """Disputes are listed by the same parameters."""


def create_refund(books: Books, params: CreateRefund) -> Object:
    """Stripe's docs: of a part or of all that is left; more than is left is refused."""
    charge = _charge(books, params)
    left = charge["amount"] - charge["amount_refunded"]
    amount = params.amount or left
    if not left:
        raise StripeFailure(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount > left:
        raise StripeFailure(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
        )
    check_step(amount, charge["currency"], "amount")
    refund = books.new(
        "refund",
        created=books.now(),
        amount=amount,
        balance_transaction=None,
        charge=charge["id"],
        currency=charge["currency"],
        metadata=params.metadata,
        payment_intent=charge["payment_intent"],
        reason=params.reason,
        receipt_number=None,
        source_transfer_reversal=None,
        status="succeeded",
        transfer_reversal=None,
    )
    del refund["livemode"]  # which a refund does not have
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    books.emit("refund.created", refund)
    books.emit("charge.refunded", charge)
    return books.shown(refund)


def _charge(books: Books, params: CreateRefund) -> Object:
    if params.charge is not None:
        return books.get("charge", params.charge, "charge")
    if params.payment_intent is None:
        raise StripeFailure("One of the following params should be provided: payment_intent or charge.")
    charge = books.get("payment_intent", params.payment_intent, "payment_intent")["latest_charge"]
    if charge is None:
        raise StripeFailure("This PaymentIntent does not have a successful charge to refund.")
    return books.get("charge", charge)


def fail_refund(books: Books, refund: Object) -> None:
    """The bank does not take the money: it stays with the account."""
    if refund["status"] != "succeeded":
        raise StripeFailure(f"the refund is {refund['status']}")
    charge = books.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    refund["failure_reason"] = "lost_or_stolen_card"
    books.change(refund, status="failed")
    books.emit("refund.failed", refund)


def open_dispute(books: Books, charge: Object, amount: int | None, *, is_inquiry: bool = False) -> Object:
    """The customer's bank takes the money back until the dispute is decided; or only asks, for now."""
    if charge["disputed"]:
        raise StripeFailure("the charge is disputed already")
    charge["disputed"] = True
    dispute = books.new(
        "dispute",
        created=books.now(),
        amount=amount or charge["amount"],
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence=_EVIDENCE,
        evidence_details={
            "due_by": None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        is_charge_refundable=False,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason="fraudulent",
        status="warning_needs_response" if is_inquiry else "needs_response",
    )
    books.emit("charge.dispute.created", dispute)
    return dispute


def decide_dispute(books: Books, dispute: Object, status: DisputeStatus) -> None:
    """The bank has looked at it."""
    dispute["status"] = status
    books.emit("charge.dispute.closed" if status in CLOSED else "charge.dispute.updated", dispute)


def list_refunds(books: Books, params: ListRefunds) -> Object:
    return paged(_listed(books, "refund", params), params, "/v1/refunds")


def list_disputes(books: Books, params: ListDisputes) -> Object:
    return paged(_listed(books, "dispute", params), params, "/v1/disputes")


def _listed(books: Books, kind: str, params: ListRefunds) -> list[Object]:
    found = books.all(kind, charge=params.charge, payment_intent=params.payment_intent)
    return [one for one in found if created_in(one, params.created)]


def retrieve_refund(books: Books, params: Params, refund_id: str) -> Object:
    return books.shown(books.get("refund", refund_id))


def retrieve_dispute(books: Books, params: Params, dispute_id: str) -> Object:
    return books.shown(books.get("dispute", dispute_id))


_TEXTS = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
_EVIDENCE: Object = {**dict.fromkeys(_TEXTS), "enhanced_evidence": {}}

ENDPOINTS = (
    Endpoint("POST", "/v1/refunds", CreateRefund, create_refund),
    Endpoint("GET", "/v1/refunds", ListRefunds, list_refunds),
    Endpoint("GET", "/v1/refunds/{id}", Params, retrieve_refund),
    Endpoint("GET", "/v1/disputes", ListDisputes, list_disputes),
    Endpoint("GET", "/v1/disputes/{id}", Params, retrieve_dispute),
)
