"""Calls that change Stripe."""

from uuid import UUID

from resolvers.context import Info
from resolvers.fields import query
from resolvers.permissions import require_operator
from schema import outbox as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size
from schema.nodes import global_id
from services import outbox, tenants
from services.outbox import Intent, IntentState


@query("Calls that change Stripe, in the order in which they were first made. Operator only.")
async def stripe_calls(
    info: Info, state: types.CallFilter = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.StripeCall]:
    require_operator(info)
    size = page_size(first)
    rows = await outbox.list_calls(IntentState[state.name] if state else None, decode_cursor(after, UUID), size + 1)
    owners = await tenants.public_ids(row.tenant_id for row in rows)
    return page_of(rows, size, key=lambda row: str(row.id), node=lambda row: call_type(row, owners), after=after)


def call_type(call: Intent, owners: dict[int, UUID]) -> types.StripeCall:
    """A call as the API shows it."""
    owner = owners.get(call.tenant_id)
    return types.StripeCall(
        id=global_id("StripeCall", call.id),
        idempotency_key=call.idempotency_key,
        method=call.method,
        path=call.path,
        tenant_id=global_id("Tenant", owner) if owner else None,
        state=types.StripeCallState[call.state.name],
        request_id=call.request_id,
        object_id=call.object_id,
        attempts=call.attempts,
        last_error=call.last_error,
        created_at=call.created_at,
        sent_at=call.sent_at,
        settled_at=call.settled_at,
    )
