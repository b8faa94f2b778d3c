"""Subscriptions."""

from inkmeter.money import Money as ExactMoney
from resolvers.context import Info
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant, require_operator
from resolvers.plans import plan_type
from schema import subscriptions as types
from schema.connections import uuid_of
from schema.money import Money
from schema.nodes import global_id
from services import phases, subscriptions
from services.platform import Platform
from services.subscriptions import Period, SubscribeTenant, Subscription


async def subscription_type(platform: Platform, subscription: Subscription) -> types.Subscription:
    """A subscription as the API shows it."""
    terms, seats = await phases.in_force(platform, subscription, platform.clock.now())
    return types.Subscription(
        id=global_id("Subscription", subscription.id),
        plan=plan_type(terms),
        seats=seats,
        anchor_on=subscription.anchor_day,
        zone=subscription.zone,
        started_at=subscription.started_at,
        budget=_budget_type(subscription, terms.plan.currency),
        is_mirrored=subscription.stripe_subscription_id is not None,
    )


def _budget_type(subscription: Subscription, currency: str) -> types.Budget | None:
    if subscription.budget_minor is None:
        return None
    amount = Money.of(ExactMoney(subscription.budget_minor, currency))
    return types.Budget(amount=amount, alerts_at=list(subscription.budget_alerts_at))


def period_type(period: Period) -> types.BillingPeriod:
    """A billing period as the API shows it."""
    return types.BillingPeriod(start=period.starts_at, end=period.ends_at)


@mutation("Put a tenant on a plan. Repeating it answers the same subscription. Operator only.")
async def subscribe_tenant(info: Info, input: types.SubscribeTenantInput) -> types.SubscribeTenantPayload:
    require_operator(info)
    command = SubscribeTenant(
        tenant=await acting_tenant(info, input.tenant_id),
        plan_id=uuid_of(input.plan_id, "Plan", path=("planId",)),
        seats=input.seats,
        zone=input.zone,
        anchor_on=input.anchor_on,
    )
    platform = info.context.platform
    subscribed = await subscriptions.subscribe_tenant(platform, command)
    return types.SubscribeTenantPayload(subscription=await subscription_type(platform, subscribed))
