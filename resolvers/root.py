"""The whole API on one page: every query and every mutation."""

from strawberry.tools import create_type

from resolvers import (
    corrections,
    counters,
    discounts,
    documents,
    invoices,
    meters,
    nodes,
    plans,
    series,
    subscriptions,
    tenants,
    usage,
    webhooks,
)

Query = create_type(
    "Query",
    [
        plans.billing_models,
        usage.check_quota,
        documents.document,
        documents.documents_list,
        plans.explain_price,
        invoices.invoice,
        invoices.invoices_list,
        meters.meters_list,
        nodes.node,
        plans.plan,
        plans.plans_list,
        tenants.tenant,
        tenants.tenants_list,
        invoices.upcoming_invoice,
        usage.current_usage,
        usage.usage_events,
        series.usage_series,
        tenants.viewer,
    ],
    description="Everything that can be asked.",
)

Mutation = create_type(
    "Mutation",
    [
        discounts.apply_discount,
        subscriptions.cancel_subscription,
        subscriptions.change_plan,
        subscriptions.change_seats,
        invoices.close_period,
        corrections.correct_usage,
        meters.create_meter,
        plans.create_plan,
        documents.download_signed,
        discounts.end_discount,
        tenants.provision_tenant,
        webhooks.receive_signnow_webhook,
        webhooks.receive_stripe_webhook,
        counters.rebuild_counters,
        usage.record_usage,
        subscriptions.resume_subscription,
        documents.send_invite,
        subscriptions.subscribe_tenant,
        documents.upload_document,
    ],
    description="Everything that can be done. Each payload has `userErrors`, typed, with what to do about them.",
)
