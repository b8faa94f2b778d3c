"""Stripe's customer portal: the tenant's own page for its invoices and cards."""

from typing import Final
from urllib.parse import urlsplit

from inkmeter.errors import Conflict
from services.platform import Platform
from services.problems import Problems
from storage.ids import new_id
from storage.tenants import Tenant

MAX_URL: Final = 2000


async def open_portal(platform: Platform, tenant: Tenant, return_url: str) -> str:
    """The address of the portal for one visit, which leads back to `return_url`.

    Raises InvalidInput, Conflict while the tenant has no customer, and what Stripe says.
    """
    problems = Problems()
    problems.check(_is_web(return_url), "is an address such as https://app.example.com/billing", "returnUrl")
    problems.refuse()
    if tenant.stripe_customer_id is None:
        raise Conflict("the tenant is still being provisioned; repeat provisionTenant first", path=("tenantId",))
    # Each visit is a session of its own.
    return await platform.stripe.open_portal(
        tenant.stripe_customer_id, return_url, key=f"portal:{tenant.public_id}:{new_id()}"
    )


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
    return is_plain and parts.scheme in ("http", "https") and bool(parts.hostname)
