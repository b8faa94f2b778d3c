"""The whole API on one page: every query and every mutation."""

from strawberry.tools import create_type

from resolvers import (
    alerts,
    credits,
    discounts,
    documents,
    invoices,
    nodes,
    plans,
    subscriptions,
    tenants,
    usage,
    webhooks,
)

Query = create_type(
    "Query",
    [
        alerts.alerts_list,
        plans.billing_models,
        usage.check_quota,
        credits.credit_balance,
        credits.credit_history,
        documents.document,
        documents.documents_list,
        plans.explain_price,
        invoices.invoice,
        invoices.invoices_list,
        nodes.node,
        plans.plan,
        plans.plans_list,
        tenants.tenant,
        tenants.tenants_list,
        invoices.upcoming_invoice,
        usage.current_usage,
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
        plans.create_plan,
        documents.download_signed,
        discounts.end_discount,
        credits.grant_credits,
        tenants.provision_tenant,
        webhooks.receive_signnow_webhook,
        webhooks.receive_stripe_webhook,
        usage.record_usage,
        credits.refund_credits,
        subscriptions.resume_subscription,
        credits.revoke_credits,
        documents.send_invite,
        alerts.set_budget,
        subscriptions.subscribe_tenant,
        credits.top_up,
        documents.upload_document,
    ],
    description="Everything that can be done. Each payload has `userErrors`, typed, with what to do about them.",
)
