"""Automatic tax: Stripe adds it to our amounts, and needs to know where the tenant is.

Our books stay without tax: what is compared is the subtotal.
"""

from typing import Final

from inkmeter.errors import Conflict
from integrations.protocols import StripeInvoice
from services import discrepancies
from services.platform import Platform
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice
from storage.tenants import Tenant

FINALIZATION: Final = "FINALIZATION"
"""The kind of discrepancy that says that Stripe cannot finalize an invoice."""
NO_LOCATION: Final = (
    "Stripe cannot tax the invoice: the tenant's address is missing or not recognized. "
    "Set it with updateTenant; the push goes on by itself."
)


def require_address(platform: Platform, tenant: Tenant) -> None:
    """Raises Conflict where taxes are added and nobody has said where the tenant is."""
    if platform.terms.automatic_tax and not tenant.address:
        raise Conflict(
            "Stripe adds taxes and needs to know where the tenant is; set its address with updateTenant first",
            path=("tenantId",),
        )


async def report_no_location(platform: Platform, invoice: Invoice, theirs: StripeInvoice) -> None:
    """Stripe does not finalize an invoice, for it does not know where the customer is. Its event may have told so."""
    told = Discrepancy.filter(
        tenant_id=invoice.tenant_id, kind=FINALIZATION, subject=str(invoice.id), state=DiscrepancyState.OPEN
    )
    if await told.update(explanation=NO_LOCATION):
        return
    await discrepancies.open_discrepancy(
        platform,
        Discrepancy(
            tenant_id=invoice.tenant_id,
            kind=FINALIZATION,
            subject=str(invoice.id),
            ours_minor=invoice.total_minor,
            theirs_minor=theirs.total.minor,
            currency=invoice.currency,
            evidence={"stripe_invoice_id": theirs.id},
            explanation=NO_LOCATION,
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        ),
    )
