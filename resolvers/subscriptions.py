"""Subscriptions, and what may change about them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from inkmeter.money import Money as ExactMoney
from inkmeter.periods import Proration
from resolvers.context import Info
from resolvers.discounts import discount_type
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant, require_operator
from resolvers.plans import plan_type
from schema import subscriptions as types
from schema.connections import uuid_of
from schema.money import Money
from schema.nodes import global_id
from services import changes, discounts, endings, pauses, phases, subscriptions
from services.changes import ChangeAt, ChangePlan, ChangeSeats
from services.discounts import Discount
from services.pauses import PauseSubscription
from services.platform import Platform
from services.subscriptions import Period, Phase, SubscribeTenant, Subscription


async def subscription_type(platform: Platform, subscription: Subscription) -> types.Subscription:
    """A subscription as the API shows it."""
    return (await subscription_types(platform, [subscription]))[subscription.id]


async def subscription_types(
    platform: Platform, subscriptions: Sequence[Subscription]
) -> Mapping[UUID, types.Subscription]:
    """A page of subscriptions, by id."""
    stored = await phases.phases_of_many(subscriptions)
    given = await discounts.discounts_of(subscriptions)
    return {one.id: await _subscription_type(platform, one, stored[one.id], given[one.id]) for one in subscriptions}


async def _subscription_type(
    platform: Platform, subscription: Subscription, stored: Sequence[Phase], given: Sequence[Discount]
) -> types.Subscription:
    running = phases.phase_at(stored, platform.clock.now())
    terms = await phases.load_terms(platform, running.plan_id)
    return types.Subscription(
        id=global_id("Subscription", subscription.id),
        plan=plan_type(terms),
        seats=running.seats,
        is_paused=running.is_paused,
        phases=[await _phase_type(platform, phase) for phase in phases.effective(stored)],
        anchor_on=subscription.anchor_day,
        zone=subscription.zone,
        started_at=subscription.started_at,
        trial_ends_at=subscription.trial_ends_at,
        ends_at=subscription.ended_at,
        discounts=[discount_type(discount, terms.plan.currency) for discount in given],
        budget=_budget_type(subscription, terms.plan.currency),
        is_mirrored=subscription.stripe_subscription_id is not None,
    )


async def _phase_type(platform: Platform, phase: Phase) -> types.SubscriptionPhase:
    return types.SubscriptionPhase(
        starts_at=phase.starts_at,
        plan=plan_type(await phases.load_terms(platform, phase.plan_id)),
        seats=phase.seats,
        reason=types.PhaseReason[phase.reason.name],
        is_paused=phase.is_paused,
        proration=types.Proration[phase.proration] if phase.proration else None,
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
        trial_days=input.trial_days,
        proration=Proration[input.proration.name],
    )
    platform = info.context.platform
    subscribed = await subscriptions.subscribe_tenant(platform, command)
    return types.SubscribeTenantPayload(subscription=await subscription_type(platform, subscribed))


@mutation("Change the seats of a running subscription, now or at the period's end. Operator only.")
async def change_seats(info: Info, input: types.ChangeSeatsInput) -> types.ChangeSeatsPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    platform = info.context.platform
    changed = await changes.change_seats(
        platform, ChangeSeats(tenant, input.seats, ChangeAt[input.at.name], input.idempotency_key)
    )
    return types.ChangeSeatsPayload(subscription=await subscription_type(platform, changed))


@mutation("Change the plan of a running subscription, now or at the period's end. Operator only.")
async def change_plan(info: Info, input: types.ChangePlanInput) -> types.ChangePlanPayload:
    require_operator(info)
    command = ChangePlan(
        tenant=await acting_tenant(info, input.tenant_id),
        plan_id=uuid_of(input.plan_id, "Plan", path=("planId",)),
        at=ChangeAt[input.at.name],
        idempotency_key=input.idempotency_key,
        proration=Proration[input.proration.name],
    )
    platform = info.context.platform
    changed = await changes.change_plan(platform, command)
    return types.ChangePlanPayload(subscription=await subscription_type(platform, changed))


@mutation("End a subscription, now or at the period's end. Repeating it changes nothing more. Operator only.")
async def cancel_subscription(info: Info, input: types.CancelSubscriptionInput) -> types.CancelSubscriptionPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    platform = info.context.platform
    at, proration = ChangeAt[input.at.name], Proration[input.proration.name]
    cancelled = await endings.cancel_subscription(platform, tenant, at, proration)
    return types.CancelSubscriptionPayload(subscription=await subscription_type(platform, cancelled))


@mutation("Pause a subscription, now or at the period's end: no fees and no new operations. Operator only.")
async def pause_subscription(info: Info, input: types.PauseSubscriptionInput) -> types.PauseSubscriptionPayload:
    require_operator(info)
    command = PauseSubscription(
        tenant=await acting_tenant(info, input.tenant_id),
        at=ChangeAt[input.at.name],
        idempotency_key=input.idempotency_key,
        resumes_at=input.resumes_at,
        proration=Proration[input.proration.name],
    )
    platform = info.context.platform
    paused = await pauses.pause_subscription(platform, command)
    return types.PauseSubscriptionPayload(subscription=await subscription_type(platform, paused))


@mutation("Go on as it is: end a pause, and withdraw what is planned (a cancellation, changes). Operator only.")
async def resume_subscription(info: Info, input: types.ResumeSubscriptionInput) -> types.ResumeSubscriptionPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    platform = info.context.platform
    resumed = await endings.resume_subscription(platform, tenant)
    return types.ResumeSubscriptionPayload(subscription=await subscription_type(platform, resumed))
