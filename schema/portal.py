"""Stripe's customer portal."""

import strawberry
from strawberry import relay

from schema.refusals import UserError


@strawberry.input(description="Whose portal, and where it leads back to.")
class CreatePortalSessionInput:
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )
    return_url: str = strawberry.field(description="Your page, to which the portal leads back.")


@strawberry.type(description="What became of `createPortalSession`.")
class CreatePortalSessionPayload:
    url: str | None = strawberry.field(
        default=None,
        description="Stripe's page with the tenant's invoices and cards, for one visit: send the user there.",
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
