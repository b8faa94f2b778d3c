"""Where two books differ, and comparing ours with Stripe's."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.money import Money
from schema.nodes import Node
from schema.refusals import UserError
from schema.scalars import Json


@strawberry.enum(description="What became of a discrepancy.")
class DiscrepancyState(Enum):
    OPEN = strawberry.enum_value("OPEN", description="The books differ, and nobody has said why.")
    EXPLAINED = strawberry.enum_value("EXPLAINED", description="They differ, and a person has said why; `note`.")
    RESOLVED = strawberry.enum_value("RESOLVED", description="A later comparison has found them equal.")


@strawberry.enum(description="How a difference can be put right without doing harm.")
class RepairKind(Enum):
    ADD_ITEM = strawberry.enum_value("ADD_ITEM", description="Our line is put onto Stripe's draft.")
    REMOVE_ITEM = strawberry.enum_value("REMOVE_ITEM", description="An item of ours is taken off Stripe's draft.")
    REPLACE_ITEM = strawberry.enum_value("REPLACE_ITEM", description="An item of ours on Stripe's draft is made anew.")
    CREDIT_NOTE = strawberry.enum_value("CREDIT_NOTE", description="What Stripe has too much is credited there.")
    CHARGE = strawberry.enum_value("CHARGE", description="What Stripe has too little is a line of our next invoice.")
    TAKE_STATE = strawberry.enum_value("TAKE_STATE", description="What Stripe says of the payment is taken over.")
    PUSH_AGAIN = strawberry.enum_value(
        "PUSH_AGAIN", description="An invoice whose draft was deleted at Stripe gets one of its own there."
    )


@strawberry.type(description="Where two books differ: ours and Stripe's, or counters and events.")
class Discrepancy(Node):
    tenant_id: relay.GlobalID = strawberry.field(description="Whose books.")
    kind: str = strawberry.field(description="What is wrong: `MISSING`, `AMOUNT`, `COUNTER` and so on.")
    subject: str = strawberry.field(description="What it is about: an invoice's UUID and a line, for instance.")
    state: DiscrepancyState = strawberry.field(description="What became of it.")
    explanation: str | None = strawberry.field(description="What differs, for people.")
    ours: Money | None = strawberry.field(description="In our books; null if it is not about money.")
    theirs: Money | None = strawberry.field(description="In the other books; null if it is not about money.")
    evidence: Json = strawberry.field(description="Ids and facts of both sides.")
    times: int = strawberry.field(description="How often it was opened.")
    repair: RepairKind | None = strawberry.field(description="The repair that was begun.")
    repaired_at: datetime | None = strawberry.field(description="When the repair was done.")
    note: str | None = strawberry.field(description="Why it is right as it is, in the words of whoever explained it.")
    created_at: datetime = strawberry.field(description="When it was opened, the last time.")
    settled_at: datetime | None = strawberry.field(description="When it was explained or resolved.")


@strawberry.input(description="Whose books are compared, from when on, and whether to repair.")
class ReconcileStripeInput:
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="One tenant; without it a page of all of them."
    )
    since: datetime | None = strawberry.field(
        default=None,
        description="Invoices that were closed since then; 40 days if missing. Unpaid ones are always looked at.",
    )
    repair: bool = strawberry.field(default=False, description="Put right what can be put right without doing harm.")
    dry_run: bool = strawberry.field(
        default=False, description="Store nothing and change nothing: only say what differs and what `repair` would do."
    )
    first: int | None = strawberry.field(default=None, description="How many tenants, at most 100, if none is named.")
    after: str | None = strawberry.field(default=None, description="A cursor of a report: where to go on.")


@strawberry.type(description="One thing that differs.")
class ReconciledDifference:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose books.")
    kind: str = strawberry.field(description="What is wrong.")
    explanation: str = strawberry.field(description="What differs, for people.")
    ours: Money = strawberry.field(description="In our books.")
    theirs: Money = strawberry.field(description="In Stripe's.")
    repair: RepairKind | None = strawberry.field(description="The repair that is safe; null if there is none.")
    is_repaired: bool = strawberry.field(description="Whether it was put right now.")
    problem: str | None = strawberry.field(description="Why the repair failed; it is tried again with the next.")
    discrepancy: Discrepancy | None = strawberry.field(description="As it is kept; null in a dry run.")


@strawberry.type(description="A tenant that could not be compared.")
class ReconcileFailure:
    tenant_id: relay.GlobalID = strawberry.field(description="Which tenant.")
    reason: str = strawberry.field(description="What Stripe said.")


@strawberry.type(description="What a comparison with Stripe has found.")
class ReconcileReport:
    tenants: int = strawberry.field(description="How many tenants were compared.")
    checks: int = strawberry.field(description="How many customers, invoices and days of meters were compared.")
    is_clean: bool = strawberry.field(description="Whether nothing is open: all equal, explained or repaired.")
    differences: list[ReconciledDifference] = strawberry.field(description="Everything that differs or differed.")
    failures: list[ReconcileFailure] = strawberry.field(description="Tenants that could not be compared.")
    end_cursor: str | None = strawberry.field(description="Give it as `after` to go on; null after the last tenant.")


@strawberry.type(description="What became of `reconcileStripe`.")
class ReconcileStripePayload:
    report: ReconcileReport | None = strawberry.field(default=None, description="What was found.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Why a discrepancy is right as it is.")
class ExplainDiscrepancyInput:
    id: relay.GlobalID = strawberry.field(description="Of the discrepancy.")
    note: str = strawberry.field(description="Why, for whoever looks later.")


@strawberry.type(description="What became of `explainDiscrepancy`.")
class ExplainDiscrepancyPayload:
    discrepancy: Discrepancy | None = strawberry.field(default=None, description="As it is now.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
