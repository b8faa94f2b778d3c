"""What a tenant owes after a payment failed, and the refusal that names it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from inkmeter.errors import TenantRestricted, UnpaidInvoice
from inkmeter.money import Money
from services.decisions import check_may_sign
from services.dunning import Debt
from storage.invoices import Invoice as Invoice
from storage.tenants import Tenant, TenantState


async def debts_of(tenant_id: int) -> list[Debt]:
    """Every invoice of a tenant whose payment has failed, whether it is owed still or not."""
    failed = await Invoice.filter(tenant_id=tenant_id, failed_at__isnull=False)
    return [Debt(invoice.failed_at, invoice.settled_at) for invoice in failed if invoice.failed_at is not None]


async def owed_invoices(tenant_id: int) -> list[Invoice]:
    """The invoices whose payment has failed and that are owed still, oldest first."""
    return await Invoice.filter(tenant_id=tenant_id, failed_at__isnull=False, settled_at=None).order_by("id")


async def owed_by(tenant_ids: Sequence[int]) -> Mapping[int, Sequence[Invoice]]:
    """The same for many tenants, in one query."""
    owed: dict[int, list[Invoice]] = {tenant_id: [] for tenant_id in tenant_ids}
    for invoice in await Invoice.filter(tenant_id__in=tenant_ids, failed_at__isnull=False, settled_at=None).order_by(
        "id"
    ):
        owed[invoice.tenant_id].append(invoice)
    return owed


def shown(invoice: Invoice) -> UnpaidInvoice:
    """An invoice as a refusal names it."""
    total = Money(invoice.total_minor, invoice.currency)
    return UnpaidInvoice(str(invoice.id), total, invoice.hosted_url, due_of(invoice))


def due_of(invoice: Invoice) -> Money:
    """What is left to be paid of an invoice: part of it may be paid, or credited, and taxes are on top."""
    if invoice.settled_at is not None:
        return Money(0, invoice.currency)
    asked = invoice.total_minor if invoice.amount_due_minor is None else invoice.amount_due_minor
    return Money(max(asked - (invoice.amount_paid_minor or 0), 0), invoice.currency)


async def restriction(tenant: Tenant) -> TenantRestricted:
    """The refusal of new signing: which invoices are unpaid, where they are paid, and what to do."""
    tenant = await Tenant.get(id=tenant.id)
    unpaid = [shown(invoice) for invoice in await owed_invoices(tenant.id)]
    named = ", ".join(f"{one.due} at {one.hosted_url}" if one.hosted_url else str(one.due) for one in unpaid)
    if tenant.state is TenantState.DEPROVISIONED:
        way = f"pay what is owed ({named})" if unpaid else "ask for reactivateTenant"
        return TenantRestricted(f"the tenant is deprovisioned; {way}", invoices=unpaid)
    if unpaid:
        return TenantRestricted(f"a payment is overdue; pay to go on: {named}", invoices=unpaid)
    return TenantRestricted("the subscription is paused at Stripe; it goes on when it is resumed there")


async def require_may_sign(tenant: Tenant, now: datetime) -> None:
    """Raises TenantRestricted, with the invoices to pay."""
    try:
        check_may_sign(tenant.state, tenant.grace_until, now)
    except TenantRestricted:
        raise await restriction(tenant) from None
