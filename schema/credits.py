"""Credits: grants, balances, and every movement of them."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.money import Money
from schema.nodes import Node
from schema.refusals import UserError
from schema.scalars import BigInt, Quantity


@strawberry.enum(description="Where credits come from.")
class CreditSource(Enum):
    TOP_UP = strawberry.enum_value("TOP_UP", description="Bought.")
    PROMOTION = strawberry.enum_value("PROMOTION", description="Given to win or to please.")
    COMPENSATION = strawberry.enum_value("COMPENSATION", description="Given to make up for something.")
    OTHER = strawberry.enum_value("OTHER", description="Given for another reason; the note may say which.")


@strawberry.enum(description="What moved credits.")
class CreditEntryKind(Enum):
    GRANTED = strawberry.enum_value("GRANTED", description="They were given or bought.")
    CONSUMED = strawberry.enum_value("CONSUMED", description="They paid for usage.")
    RETURNED = strawberry.enum_value("RETURNED", description="The usage that they paid for was corrected.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="Nobody used them in time.")
    REVOKED = strawberry.enum_value("REVOKED", description="The operator took them back.")
    REFUNDED = strawberry.enum_value("REFUNDED", description="The operator took them back for money.")


@strawberry.type(description="Units of a meter that were given or bought.")
class CreditGrant(Node):
    meter: str = strawberry.field(description="Code of the meter.")
    source: CreditSource = strawberry.field(description="Where they come from.")
    units: Quantity = strawberry.field(description="How many there were.")
    remaining: Quantity = strawberry.field(description="How many are left.")
    priority: int = strawberry.field(description="A lower one is consumed first.")
    expires_at: datetime | None = strawberry.field(description="When the rest of them ends.")
    price: Money | None = strawberry.field(description="What they cost, if they were bought.")
    note: str | None = strawberry.field(description="The operator's words.")
    created_at: datetime = strawberry.field(description="When they were given or bought.")


@strawberry.type(
    description="The credits of a meter: balance = granted - consumed - expired - revoked - refunded, always."
)
class CreditBalance:
    meter: str = strawberry.field(description="Code of the meter.")
    balance: Quantity = strawberry.field(description="Units that are left.")
    pledged: Quantity = strawberry.field(description="Units of them that operations without an answer may need.")
    granted: Quantity = strawberry.field(description="Units that were given or bought, ever.")
    consumed: Quantity = strawberry.field(description="Units that paid for usage, less those that came back.")
    expired: Quantity = strawberry.field(description="Units that nobody used in time.")
    revoked: Quantity = strawberry.field(description="Units that were taken back.")
    refunded: Quantity = strawberry.field(description="Units that were taken back for money.")
    grants: list[CreditGrant] = strawberry.field(description="What is left, in the order in which it is consumed.")


@strawberry.type(description="One movement of a grant's units. It never changes.")
class CreditEntry:
    grant_id: relay.GlobalID = strawberry.field(description="Of which grant.")
    meter: str = strawberry.field(description="Code of the meter.")
    kind: CreditEntryKind = strawberry.field(description="What moved them.")
    units: Quantity = strawberry.field(description="Above zero if they were added, below if they were taken.")
    event_key: str | None = strawberry.field(
        description="The key of the usage event that consumed or returned them; `op:` begins an operation's."
    )
    period_starts_at: datetime | None = strawberry.field(description="The billing period of that usage.")
    note: str | None = strawberry.field(description="The grant's note; of what was taken back, the key of the call.")
    created_at: datetime = strawberry.field(description="When.")


@strawberry.input(description="Credits to give.")
class GrantCreditsInput:
    tenant_id: relay.GlobalID = strawberry.field(description="To whom.")
    meter: str = strawberry.field(description="What they pay for, e.g. `invites_sent`.")
    units: BigInt = strawberry.field(description="How many.")
    source: CreditSource = strawberry.field(description="Why; not TOP_UP, which is bought with `topUp`.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again gives nothing more.")
    priority: int = strawberry.field(default=0, description="0 to 100; a lower one is consumed first.")
    expires_at: datetime | None = strawberry.field(default=None, description="When the rest of them ends.")
    note: str | None = strawberry.field(default=None, description="For people.")


@strawberry.type(description="What became of `grantCredits`.")
class GrantCreditsPayload:
    grant: CreditGrant | None = strawberry.field(default=None, description="The grant.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A pack of credits to buy.")
class TopUpInput:
    meter: str = strawberry.field(description="What they pay for.")
    units: BigInt = strawberry.field(description="One of the packs that the plan offers for the meter, by its units.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again buys nothing more.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `topUp`.")
class TopUpPayload:
    grant: CreditGrant | None = strawberry.field(default=None, description="The credits; the next invoice bills them.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Credits to take back without money.")
class RevokeCreditsInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    grant_id: relay.GlobalID = strawberry.field(description="Of which grant.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again takes nothing more.")
    units: BigInt | None = strawberry.field(default=None, description="How many; all that are free if missing.")


@strawberry.type(description="What became of `revokeCredits`.")
class RevokeCreditsPayload:
    grant: CreditGrant | None = strawberry.field(default=None, description="The grant, with what is left of it.")
    units: Quantity | None = strawberry.field(default=None, description="How many were taken.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Bought credits to take back for money.")
class RefundCreditsInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    grant_id: relay.GlobalID = strawberry.field(description="Of which grant; it was bought.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again takes and refunds nothing more.")
    units: BigInt | None = strawberry.field(default=None, description="How many; all that are free if missing.")


@strawberry.type(description="What became of `refundCredits`.")
class RefundCreditsPayload:
    grant: CreditGrant | None = strawberry.field(default=None, description="The grant, with what is left of it.")
    units: Quantity | None = strawberry.field(default=None, description="How many were taken.")
    refund: Money | None = strawberry.field(
        default=None, description="Their part of the price, which goes back with the next invoice; null if none were."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
