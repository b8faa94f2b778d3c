"""Tenants: made once by the operator's own name for them, and found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from inkmeter.errors import Conflict, NotFound
from inkmeter.money import CURRENCY_DIGITS, STRIPE_DIFFERS
from services import jobs, provisioning
from services.platform import Platform
from services.problems import Problems
from storage.database import insert_new, transaction
from storage.ids import new_id
from storage.tenants import Isolation as Isolation
from storage.tenants import Tenant as Tenant
from storage.tenants import TenantState as TenantState


@dataclass(frozen=True, slots=True)
class ProvisionTenant:
    """`external_reference` is the operator's own name for the tenant, and what makes repeating this safe."""

    external_reference: str
    name: str
    email: str
    currency: str
    isolation: Isolation | None = None
    """Whose SignNow account it signs through; without it what the operator's terms say for new tenants."""


async def provision_tenant(platform: Platform, command: ProvisionTenant) -> Tenant:
    """Create the tenant and try to provision it at once; what fails goes on in the background.

    The same reference again answers the same tenant and goes on where it stopped. Raises InvalidInput, or Conflict
    if the reference stands for a tenant with other details.
    """
    _check(command)
    now = platform.clock.now()
    tenant = Tenant(
        public_id=new_id(),
        external_reference=command.external_reference,
        name=command.name,
        email=command.email,
        currency=command.currency,
        isolation=command.isolation or platform.terms.isolation,
        state=TenantState.PROVISIONING,
        created_at=now,
    )
    async with transaction():
        is_new = await insert_new(tenant, ["external_reference"])
        tenant = await Tenant.get(external_reference=command.external_reference)
        if is_new:
            await jobs.add_job(
                platform,
                tenant_id=tenant.id,
                topic=provisioning.PROVISION,
                dedup="provision",
                run_in=jobs.FIRST_TRY_IS_OURS,
            )
    if (tenant.name, tenant.email, tenant.currency) != (command.name, command.email, command.currency):
        raise Conflict(
            f"{command.external_reference!r} is a tenant with another name, e-mail or currency",
            path=("externalReference",),
        )
    if command.isolation not in (None, tenant.isolation):
        raise Conflict(
            f"{command.external_reference!r} is a tenant with another isolation, which stays as it is",
            path=("externalReference",),
        )
    return await provisioning.go_on(platform, tenant)


def _check(command: ProvisionTenant) -> None:
    problems = Problems()
    problems.check_key(command.external_reference, "externalReference")
    problems.check_text(command.name, "name")
    problems.check_email(command.email, "email")
    check_currency(problems, command.currency)
    problems.refuse()


def check_currency(problems: Problems, currency: str) -> None:
    """Known by ISO 4217, and with the same minor units at Stripe."""
    problems.check(currency in CURRENCY_DIGITS, "is not an ISO 4217 currency code such as USD", "currency")
    problems.check(currency not in STRIPE_DIFFERS, "has other minor units at Stripe and is not supported", "currency")


async def find_tenant(public_id: UUID) -> Tenant:
    """The tenant with that public id. Raises NotFound."""
    tenant = await Tenant.get_or_none(public_id=public_id)
    if tenant is None:
        raise NotFound("no such tenant", path=("tenantId",))
    return tenant


async def get_tenant(tenant_id: int) -> Tenant:
    """The tenant with that internal id, which must exist."""
    return await Tenant.get(id=tenant_id)


async def list_tenants(after: UUID | None, limit: int) -> Sequence[Tenant]:
    """Tenants in the order of their creation, after the given one."""
    query = Tenant.all()
    if after is not None:
        query = query.filter(public_id__gt=after)
    return await query.order_by("public_id").limit(limit)


async def find_by_reference(reference: str) -> Tenant | None:
    """The tenant that the operator calls so."""
    return await Tenant.get_or_none(external_reference=reference)


async def public_ids(tenant_ids: Iterable[int]) -> dict[int, UUID]:
    """The public ids of tenants, by their internal ones."""
    found: list[tuple[int, UUID]] = await Tenant.filter(id__in=set(tenant_ids)).values_list("id", "public_id")
    return dict(found)
