"""Orders of credits that are paid first."""

from collections.abc import Sequence
from uuid import UUID

from inkmeter.errors import NotFound
from inkmeter.money import Money as ExactMoney
from inkmeter.usage import Meter
from resolvers.context import Info
from resolvers.credits import grant_types
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_viewer
from resolvers.usage import shown
from schema import orders as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.credits import CreditGrant
from schema.money import Money
from schema.nodes import Id, TenantId, global_id
from services import checkouts, meters, orders, reversals
from services.checkouts import NewCheckout
from services.orders import OrderState, TopUpOrder
from services.platform import Platform
from services.reversals import Reversal


async def order_types(platform: Platform, found: Sequence[TopUpOrder]) -> list[types.TopUpOrder]:
    """Orders of one tenant as the API shows them."""
    book = await meters.find_meters(platform, *(order.meter for order in found))
    grants = await orders.grants_of(found)
    shown_grants = dict(zip(grants, await grant_types(platform, list(grants.values())), strict=True))
    gone = await reversals.reversals_of(found)
    return [_type(o, book[o.meter], shown_grants.get(o.id), gone.get(o.id, ())) for o in found]


def _type(order: TopUpOrder, meter: Meter, grant: CreditGrant | None, gone: Sequence[Reversal]) -> types.TopUpOrder:
    return types.TopUpOrder(
        id=global_id("TopUpOrder", order.id),
        way=types.OrderWay[order.way.name],
        status=types.OrderStatus[order.state.name],
        meter=order.meter,
        units=shown(meter, order.units),
        price=Money.of(orders.price_of(order)),
        url=order.url if order.state is OrderState.OPEN else None,
        expires_at=order.expires_at,
        failure=order.failure,
        grant=grant,
        reversals=[
            types.Reversal(
                kind=types.ReversalKind[reversal.kind.name],
                amount=Money.of(ExactMoney(reversal.amount_minor, reversal.currency)),
                units=shown(meter, reversal.units),
                taken=shown(meter, reversal.taken),
                is_standing=reversal.is_standing,
            )
            for reversal in gone
        ],
        created_at=order.created_at,
        paid_at=order.paid_at,
    )


@mutation("Order a pack of credits that a person pays on a page of Stripe's. They are granted once they are paid.")
async def create_top_up_checkout(info: Info, input: types.CreateTopUpCheckoutInput) -> types.CreateTopUpCheckoutPayload:
    tenant, platform = await acting_tenant(info, input.tenant_id), info.context.platform
    new = NewCheckout(input.meter, input.units, input.success_url, input.cancel_url, input.idempotency_key)
    order = await checkouts.create_checkout(platform, tenant, new)
    return types.CreateTopUpCheckoutPayload(checkout=(await order_types(platform, [order]))[0])


@query("One order of credits; with a tenant's key, only its own.")
async def top_up_order(info: Info, id: Id) -> types.TopUpOrder | None:
    viewer = require_viewer(info)
    try:
        found = await orders.find_order(viewer.tenant_id, uuid_of(id, "TopUpOrder"))
    except NotFound:
        return None
    return (await order_types(info.context.platform, [found]))[0]


@query("A tenant's orders of credits that are paid first, oldest first.")
async def top_up_orders(
    info: Info, tenant_id: TenantId = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.TopUpOrder]:
    tenant, platform = await acting_tenant(info, tenant_id), info.context.platform
    size = page_size(first)
    found = await orders.list_orders(tenant.id, decode_cursor(after, UUID), size + 1)
    by_id = dict(zip((o.id for o in found), await order_types(platform, found), strict=True)) if found else {}
    return page_of(found, size, key=lambda o: str(o.id), node=lambda o: by_id[o.id], after=after)
