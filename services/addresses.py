"""Where a tenant is, for Stripe's taxes."""

import re
from dataclasses import asdict, dataclass
from typing import Final

from inkmeter.errors import Conflict
from services import jobs, pushing
from services.platform import Platform
from services.problems import Problems
from storage.ids import new_id
from storage.invoices import Invoice, InvoiceState
from storage.jobs import revive_job
from storage.tenants import Tenant

_COUNTRY: Final = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class Address:
    """In Stripe's words; `country` in two letters as in ISO 3166. Empty where there is nothing to say."""

    country: str
    postal_code: str = ""
    line1: str = ""
    city: str = ""
    state: str = ""


def _check(address: Address) -> None:
    """A country, and a postal code or a city. What else a country needs, Stripe knows."""
    problems = Problems()
    country = bool(_COUNTRY.fullmatch(address.country))
    problems.check(country, "needs a country's two capital letters (ISO 3166), such as US", "address", "country")
    problems.check(bool(address.postal_code or address.city), "needs a postal code or a city", "address")
    shown = {"postalCode": address.postal_code, "line1": address.line1, "city": address.city, "state": address.state}
    for name, text in shown.items():
        if text:
            problems.check_text(text, "address", name)
    problems.refuse()


async def set_address(platform: Platform, tenant: Tenant, address: Address) -> Tenant:
    """Tell Stripe where the tenant is, and go on with the invoices that waited for that. Safe to repeat.

    Raises InvalidInput, Conflict while the tenant is being provisioned, and what Stripe says.
    """
    _check(address)
    if tenant.stripe_customer_id is None:
        raise Conflict("the tenant is still being provisioned; repeat provisionTenant first", path=("tenantId",))
    stated = {name: text for name, text in asdict(address).items() if text}
    await platform.stripe.set_address(tenant.stripe_customer_id, stated, key=f"tenant:{tenant.public_id}:{new_id()}")
    await Tenant.filter(id=tenant.id).update(address=stated)
    for invoice in await Invoice.filter(tenant_id=tenant.id, state=InvoiceState.FINALIZED):
        await revive_job(tenant.id, pushing.PUSH, str(invoice.id), platform.clock.now())
        await jobs.wake(platform, tenant.id, pushing.PUSH, str(invoice.id))
    return await Tenant.get(id=tenant.id)
