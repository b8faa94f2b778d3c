"""What SignNow charges the operator: the cost table, SignNow's own books, the pool, and how they agree."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum

import strawberry
from strawberry import relay

from schema.money import Money
from schema.refusals import UserError
from schema.scalars import BigInt, CurrencyCode


@strawberry.enum(description="What a row of the cost table is the price of.")
class UpstreamCostKind(Enum):
    FIELD_INVITE = strawberry.enum_value("FIELD_INVITE", description="A field invite, however many sign.")
    FREE_FORM_SIGNER = strawberry.enum_value("FREE_FORM_SIGNER", description="A signer of a free-form invite.")
    MONTHLY_FEE = strawberry.enum_value(
        "MONTHLY_FEE", description="A calendar month of SignNow's plan: shared out by the units of the month."
    )


@strawberry.enum(description="What an invite was, in SignNow's usage figures.")
class UpstreamUnitKind(Enum):
    FIELD_INVITE = strawberry.enum_value("FIELD_INVITE", description="Field invites.")
    FREE_FORM_SIGNER = strawberry.enum_value("FREE_FORM_SIGNER", description="Signers of free-form invites.")
    DEVELOPMENT = strawberry.enum_value("DEVELOPMENT", description="Invites in development mode, charged nothing.")


@strawberry.type(description="A row of the cost table.")
class UpstreamRate:
    kind: UpstreamCostKind = strawberry.field(description="What it is the price of.")
    unit_cost: Money = strawberry.field(description="The price.")
    from_: datetime = strawberry.field(name="from", description="It holds from then on, until the next of its kind.")


@strawberry.input(description="What SignNow charges from a moment on.")
class SetUpstreamCostInput:
    unit_cost: Decimal = strawberry.field(description="In major units of the currency of `INKMETER_INVITE_COST`.")
    from_: datetime = strawberry.field(name="from", description="From when on. The same moment again replaces the row.")
    kind: UpstreamCostKind | None = strawberry.field(
        default=None, description="For what; for every kind of invite if missing."
    )


@strawberry.type(description="What became of `setUpstreamCost`.")
class SetUpstreamCostPayload:
    costs: list[UpstreamRate] | None = strawberry.field(default=None, description="The rows that were set.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Invites that SignNow says were used in a period.")
class UpstreamFigureInput:
    period: str = strawberry.field(description="Days in UTC: `2026-03`, `2026-03-05` or `2026-03-01/2027-03-01`.")
    invites: BigInt = strawberry.field(description="How many.")
    kind: UpstreamUnitKind | None = strawberry.field(default=None, description="Of one kind; of all if missing.")
    folder: str | None = strawberry.field(default=None, description="Id of a SignNow folder; the account if missing.")
    user: str | None = strawberry.field(default=None, description="A SignNow user; all if missing.")


@strawberry.input(description="An invoice of SignNow's.")
class UpstreamBillInput:
    number: str = strawberry.field(description="Its number. The same number again is a newer version.")
    period: str = strawberry.field(description="Days in UTC: `2026-03`, `2026-03-05` or `2026-03-01/2027-03-01`.")
    amount: Decimal = strawberry.field(description="In major units; negative if it gives money back.")
    currency: CurrencyCode = strawberry.field(description="Its currency.")


@strawberry.input(description="What SignNow shows on its dashboard and its invoices. All of it is stored, or nothing.")
class RecordUpstreamUsageInput:
    figures: list[UpstreamFigureInput] = strawberry.field(default_factory=list, description="Usage figures.")
    bills: list[UpstreamBillInput] = strawberry.field(default_factory=list, description="Invoices.")
    source: str = strawberry.field(default="manual", description="Where it comes from; figures of one replace its own.")


@strawberry.type(description="How many records were stored.")
class RecordedUpstream:
    new: int = strawberry.field(description="Known for the first time.")
    corrected: int = strawberry.field(description="In place of an earlier version, which is kept.")
    unchanged: int = strawberry.field(description="Stored before, with the same content.")


@strawberry.type(description="What became of `recordUpstreamUsage`.")
class RecordUpstreamUsagePayload:
    recorded: RecordedUpstream | None = strawberry.field(default=None, description="How many were stored.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why nothing was stored.")


@strawberry.input(description="How many invites SignNow's plan includes, for all tenants together.")
class SetInvitePoolInput:
    units: BigInt = strawberry.field(description="Invites, above zero.")
    from_: date = strawberry.field(name="from", description="The first day, in UTC. The same day again replaces it.")
    to: date = strawberry.field(description="The day after the last one.")


@strawberry.type(description="A tenant's part of the pool.")
class PoolShare:
    tenant_id: relay.GlobalID = strawberry.field(description="The tenant.")
    name: str = strawberry.field(description="Its name.")
    used: BigInt = strawberry.field(description="Units used since the pool began.")
    percent: Decimal | None = strawberry.field(description="Of all that was used; null where nothing was.")
    fixed_cost: Money = strawberry.field(description="Its part of the fixed cost, by units; the parts add up.")


@strawberry.type(description="A tenant that uses the pool up.")
class PoolDriver:
    tenant_id: relay.GlobalID = strawberry.field(description="The tenant.")
    name: str = strawberry.field(description="Its name.")
    recent: BigInt = strawberry.field(description="Units used in the last 30 days.")
    growth: BigInt = strawberry.field(description="Those less the units of the 30 days before.")
    percent_of_use: Decimal | None = strawberry.field(description="Its part of all units of the last 30 days.")
    percent_of_growth: Decimal | None = strawberry.field(
        description="Its part of the growth of all tenants that grew; null where none has grown."
    )


@strawberry.type(description="The invites that SignNow's plan includes, and how long they last.")
class InvitePool:
    units: BigInt = strawberry.field(description="Invites that are included.")
    from_: date = strawberry.field(name="from", description="The first day, in UTC.")
    to: date = strawberry.field(description="The day after the last one.")
    used: BigInt = strawberry.field(description="Units used so far.")
    remaining: BigInt = strawberry.field(description="Units left; negative where more were used.")
    fixed_cost: Money = strawberry.field(description="The monthly fees of its months so far.")
    exhausts_at: datetime | None = strawberry.field(
        description="When the last unit goes at the pace of the last 30 days; null if it lasts to its end."
    )
    tenants: list[PoolShare] = strawberry.field(description="Who has used how much.")
    drivers: list[PoolDriver] = strawberry.field(description="Up to five tenants that use most of it now.")


@strawberry.type(description="What became of `setInvitePool`.")
class SetInvitePoolPayload:
    pool: InvitePool | None = strawberry.field(default=None, description="The pool as it stands now.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.enum(description="Why SignNow's count is not ours.")
class GapReason(Enum):
    DEVELOPMENT = strawberry.enum_value("DEVELOPMENT", description="Sent in development mode, charged nothing.")
    UNKNOWN_OUTCOME = strawberry.enum_value("UNKNOWN_OUTCOME", description="Operations without an answer yet.")
    WEB_APP = strawberry.enum_value("WEB_APP", description="Sent in SignNow's web app or by another program.")
    RESENT = strawberry.enum_value("RESENT", description="Resent; whether that is charged is not documented.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="The document has no invite any more.")
    GONE = strawberry.enum_value("GONE", description="The document is not in SignNow any more.")
    LATE = strawberry.enum_value("LATE", description="Used after SignNow's figure was taken.")


@strawberry.enum(description="What stands for SignNow's count.")
class ReconcileBasis(Enum):
    FIGURE = strawberry.enum_value("FIGURE", description="A usage figure of SignNow's.")
    DOCUMENTS = strawberry.enum_value("DOCUMENTS", description="The invites that its documents show now.")


@strawberry.type(description="A part of a gap, and why.")
class GapCause:
    reason: GapReason = strawberry.field(description="Why.")
    units: BigInt = strawberry.field(description="So many SignNow has more than we; fewer where negative.")
    explanation: str = strawberry.field(description="The same for people.")


@strawberry.type(description="Documents of an account in a month. SignNow does not document what exactly it counts.")
class SignNowDocumentCount:
    ours: BigInt = strawberry.field(description="Made through us until then.")
    theirs: BigInt = strawberry.field(description="SignNow's `monthly_document_count`.")
    taken_at: datetime = strawberry.field(description="When SignNow's number last changed, as far as we saw.")


@strawberry.type(description="Three books of a month.")
class SignNowReconciliation:
    tenant_id: relay.GlobalID | None = strawberry.field(description="The tenant; null for the sum of all.")
    name: str | None = strawberry.field(description="Its name.")
    ours: BigInt = strawberry.field(description="Upstream units of our events.")
    theirs: BigInt | None = strawberry.field(description="What SignNow shows; null where it shows nothing.")
    basis: ReconcileBasis | None = strawberry.field(description="What stands for it.")
    causes: list[GapCause] = strawberry.field(description="Why they differ.")
    unexplained: BigInt = strawberry.field(description="What is left, theirs less ours: a discrepancy if not zero.")
    declared: list[Money] = strawberry.field(description="What our units cost by the cost table, without fees.")
    billed: list[Money] = strawberry.field(description="SignNow's bills of the month; a tenant's part by units.")
    documents: SignNowDocumentCount | None = strawberry.field(
        description="What the account's own counter says; the shared account's stands with the sum."
    )


@strawberry.input(description="Which month to compare.")
class ReconcileSignNowInput:
    month: str = strawberry.field(description="A calendar month in UTC, such as `2026-03`.")
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description="One tenant; all if missing.")


@strawberry.type(description="What became of `reconcileSignNow`.")
class ReconcileSignNowPayload:
    rows: list[SignNowReconciliation] | None = strawberry.field(
        default=None, description="A row for each tenant, and one for the sum where all were asked for."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
