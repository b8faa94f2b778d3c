"""Discounts."""

from inkmeter.money import Money as ExactMoney
from resolvers.context import Info
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant, require_operator
from schema import discounts as types
from schema.connections import uuid_of
from schema.money import Money
from schema.nodes import global_id
from services import discounts
from services.discounts import ApplyDiscount, Discount


def discount_type(discount: Discount, currency: str) -> types.Discount:
    """A discount as the API shows it."""
    minor = discount.amount_minor
    return types.Discount(
        id=global_id("Discount", discount.id),
        label=discount.label,
        percent=discount.percent,
        amount=Money.of(ExactMoney(minor, currency)) if minor is not None else None,
        periods=discount.periods,
        starts_at=discount.starts_at,
        ended_at=discount.ended_at,
    )


@mutation("Discount a running subscription, from its running period on. Operator only.")
async def apply_discount(info: Info, input: types.ApplyDiscountInput) -> types.ApplyDiscountPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    command = ApplyDiscount(tenant, input.idempotency_key, input.label, input.percent, input.amount, input.periods)
    applied = await discounts.apply_discount(info.context.platform, command)
    return types.ApplyDiscountPayload(discount=discount_type(applied, tenant.currency))


@mutation("End a discount: periods that are over keep it, the running one goes without. Operator only.")
async def end_discount(info: Info, input: types.EndDiscountInput) -> types.EndDiscountPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    discount_id = uuid_of(input.discount_id, "Discount", path=("discountId",))
    ended = await discounts.end_discount(info.context.platform, tenant, discount_id)
    return types.EndDiscountPayload(discount=discount_type(ended, tenant.currency))
