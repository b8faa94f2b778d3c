"""What the services expect of SignNow and of Stripe: values and promises, no HTTP.

Both promises share one rule for failures. A refusal is raised as `SignNowRefused` or `PaymentRefused`; a call that
certainly did not take effect as `UpstreamError` (or `UpstreamRateLimited`); a call whose outcome is unknown as
`UpstreamTimeout`. Nothing else leaves a gateway.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inkmeter.money import Money
from inkmeter.periods import BillingPeriod

# --- SignNow ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignNowAccount:
    """The SignNow user whose token is used. `email` is what invites must name as their sender."""

    user_id: str
    email: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Who is asked to sign: `role` names the fields that are theirs; equal `order` means at the same time."""

    email: str
    role: str
    order: int = 1


@dataclass(frozen=True, slots=True)
class SignatureField:
    """A place to sign: points from the top left corner, pages counted from 0."""

    role: str
    page: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SignNowInvite:
    """One signer's invite as SignNow has it. `status` in its words: created, pending, fulfilled, skipped."""

    id: str
    email: str
    role: str
    status: str
    is_declined: bool = False


_ASKS_NOBODY = ("skipped", "cancelled")


@dataclass(frozen=True, slots=True)
class SignNowDocument:
    """A document as SignNow has it; `roles` maps a role's name to its id."""

    id: str
    name: str
    file_name: str
    roles: Mapping[str, str]
    field_invites: tuple[SignNowInvite, ...]
    free_form_invites: tuple[SignNowInvite, ...]
    created_at: datetime

    @property
    def is_invited(self) -> bool:
        return bool(self.field_invites or self.free_form_invites)

    @property
    def is_completed(self) -> bool:
        """Whether someone has signed and nobody is left who should: skipped and cancelled invites ask nobody."""
        open_invites = [i for i in self.field_invites + self.free_form_invites if i.status not in _ASKS_NOBODY]
        return bool(open_invites) and all(i.status == "fulfilled" and not i.is_declined for i in open_invites)


@dataclass(frozen=True, slots=True)
class SignNowCallback:
    """A verified SignNow webhook. `key` is semantic, since SignNow sends no event id: the same fact, the same key."""

    key: str
    event: str
    document_id: str | None
    invite_id: str | None
    occurred_at: datetime


class SignNow(Protocol):
    """SignNow for one account. Reads may be repeated; nothing that creates is ever sent twice by the gateway."""

    async def account(self) -> SignNowAccount:
        """Whose token this is."""

    async def ensure_folder(self, name: str) -> str:
        """The id of the folder with that name, made if there is none. Safe to repeat."""

    async def ensure_callbacks(self, callback_url: str, secret: str) -> None:
        """Make sure that SignNow calls `callback_url`, signed with `secret`, for all that we meter. Safe to repeat."""

    async def upload_document(self, *, folder_id: str, name: str, file_name: str, content: bytes) -> str:
        """Upload a PDF and answer its id. `file_name` carries our operation id, by which it can be found again."""

    async def find_document(self, *, folder_id: str, file_name: str) -> SignNowDocument | None:
        """The document uploaded under that file name, or None."""

    async def document(self, document_id: str) -> SignNowDocument:
        """One document. Raises SignNowRefused for an unknown one."""

    async def place_fields(self, document_id: str, fields: Sequence[SignatureField]) -> None:
        """Replace the document's fields; only before the first invite."""

    async def send_field_invite(
        self,
        document_id: str,
        *,
        signers: Sequence[Signer],
        roles: Mapping[str, str],
        subject: str | None,
        message: str | None,
    ) -> None:
        """Invite signers by role; `roles` is the document's. SignNow answers no ids: read the document for them."""

    async def send_free_form_invite(
        self, document_id: str, *, email: str, subject: str | None, message: str | None
    ) -> str:
        """Invite one signer to a document without fields, and answer the invite's id."""

    async def download_signed(self, document_id: str) -> bytes:
        """The collapsed PDF: the document with all that was filled in."""


# --- Stripe -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A Stripe subscription, as far as we follow it. `status` in Stripe's words."""

    id: str
    customer_id: str
    status: str
    period_end: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StripeLine:
    """A line of a Stripe invoice. `invoice_item_id` (ii_…) is set on lines that were added as invoice items."""

    id: str
    invoice_item_id: str | None
    description: str | None
    amount: Money


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """A Stripe invoice with all of its lines (paged to the end). `status`: draft, open, paid, void, uncollectible."""

    id: str
    customer_id: str
    subscription_id: str | None
    status: str
    billing_reason: str | None
    is_advancing: bool
    period: tuple[datetime, datetime]
    subtotal: Money
    total: Money
    amount_due: Money
    amount_paid: Money
    attempt_count: int
    next_payment_attempt_at: datetime | None
    hosted_url: str | None
    metadata: Mapping[str, str]
    lines: tuple[StripeLine, ...]


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """A verified Stripe webhook. Only says what to fetch: `object_type` and `object_id`; never trust its payload."""

    id: str
    type: str
    api_version: str | None
    object_type: str
    object_id: str | None
    created_at: datetime


class Stripe(Protocol):
    """Stripe for the operator's account.

    Every creating call takes `key`, an idempotency key that is unique for the intent, and writes it into the object's
    metadata as `inkmeter_key`. Stripe forgets keys after a day or more (docs: "may be removed after at least 24
    hours"): pass `is_retry=True` when the first attempt may be older, and the object is looked up by its metadata
    before another is made.
    """

    async def ensure_customer(
        self, *, key: str, is_retry: bool, name: str, email: str, metadata: Mapping[str, str]
    ) -> str:
        """Create the customer, or answer the one that an earlier attempt made."""

    async def ensure_product(self, *, key: str, is_retry: bool, name: str, metadata: Mapping[str, str]) -> str:
        """The product that stands for a plan."""

    async def ensure_base_price(
        self, *, key: str, product_id: str, currency: str, interval: str, lookup_key: str
    ) -> str:
        """A licensed price of zero for `interval` (month or year): it makes Stripe run the cycle, the amounts are ours.

        Found by `lookup_key` where it exists.
        """

    async def ensure_subscription(
        self,
        *,
        key: str,
        is_retry: bool,
        customer_id: str,
        price_id: str,
        cycle_anchor_at: datetime,
        metadata: Mapping[str, str],
    ) -> StripeSubscription:
        """Subscribe without proration; the first full cycle starts at `cycle_anchor_at` (in the future)."""

    async def subscription(self, subscription_id: str) -> StripeSubscription:
        """One subscription."""

    async def cancel_subscription(self, subscription_id: str, *, key: str) -> None:
        """Cancel now, without an invoice. One that is cancelled already is left as it is. Stripe then stops collecting
        its open invoices.
        """

    async def resume_collection(self, invoice_id: str) -> None:
        """Have an open invoice collected again that Stripe has stopped collecting; any other is left alone."""

    async def ensure_invoice(
        self, *, key: str, is_retry: bool, customer_id: str, currency: str, metadata: Mapping[str, str]
    ) -> str:
        """An invoice of its own, a draft that waits for lines, without the customer's pending items; answers its id."""

    async def invoice(self, invoice_id: str) -> StripeInvoice:
        """One invoice with all of its lines."""

    async def find_draft_invoice(self, subscription_id: str, period_end: datetime) -> StripeInvoice | None:
        """The cycle invoice, still a draft, of the period that ended then; None while Stripe has not made it."""

    async def hold_invoice(self, invoice_id: str) -> None:
        """Keep a draft from being finalized by Stripe's own timer. Safe to repeat."""

    async def add_line(
        self,
        *,
        key: str,
        is_retry: bool,
        invoice: StripeInvoice,
        amount: Money,
        description: str,
        period: BillingPeriod,
        metadata: Mapping[str, str],
    ) -> str:
        """Add a finished amount to a draft invoice and answer the invoice item's id (ii_…)."""

    async def finalize_invoice(self, invoice_id: str, *, key: str) -> StripeInvoice:
        """Finalize a draft and let Stripe collect. An invoice that is finalized already is answered as it is."""
