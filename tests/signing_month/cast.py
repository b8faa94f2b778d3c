"""Who signs in the signing month: tenants of every mode of isolation, on one plan with prices for what is signed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import httpx

from integrations.signnow.sandbox.accounts import SandboxAccount, id_of
from integrations.signnow.sandbox.world import World as SignNow
from services import identities, plans, provisioning, subscriptions, timetable, upstream_costs
from services.plans import CreatePlan, NewPrice
from services.platform import Platform
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, Tenant, TenantState, provision_tenant
from services.upstream_costs import CostKind
from storage.tenants import Isolation

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
LIVE_AT: Final = START + timedelta(days=6)
"""Until then the application is in development mode."""
DEARER_AT: Final = START + timedelta(days=15)

PRICES: Final = {"documents_created": 50, "invites_sent": 275, "signatures": 15, "documents_completed": 5}
"""What a unit is sold for, in cents."""
FIELD_COSTS: Final = ((START, 150), (DEARER_AT, 180))
FREE_FORM_COST: Final = 125
MONTHLY_FEE: Final = 8_401
"""Of March alone."""
BILL: Final = 12_345
"""SignNow's invoice for March."""


@dataclass(frozen=True, slots=True)
class Role:
    """A tenant, and whose SignNow account it signs through."""

    reference: str
    isolation: Isolation

    @property
    def email(self) -> str:
        return f"signer@{self.reference}.test"

    @property
    def has_own_user(self) -> bool:
        return self.isolation is not Isolation.SHARED_ACCOUNT


ROLES: Final = (
    Role("alder", Isolation.SHARED_ACCOUNT),
    Role("birch", Isolation.SHARED_ACCOUNT),
    Role("cedar", Isolation.DEDICATED_USER),
    Role("dogwood", Isolation.ORGANIZATION),
)


async def assemble(platform: Platform, signnow: httpx.AsyncClient, world: SignNow) -> None:
    """Everybody provisioned and subscribed, SignNow's prices known, the work of every day scheduled."""
    prices: list[Any] = [
        NewPrice(meter, "per-document", {"unitPrice": str(Decimal(cents) / 100)}) for meter, cents in PRICES.items()
    ]
    plan = (await plans.create_plan(platform, CreatePlan("signing", "Signing", "USD", prices))).plan
    for starts_at, cents in FIELD_COSTS:
        await upstream_costs.set_cost(platform, Decimal(cents) / 100, starts_at, CostKind.FIELD_INVITE)
    for kind, cents, at in (
        (CostKind.FREE_FORM_SIGNER, FREE_FORM_COST, START),
        (CostKind.MONTHLY_FEE, MONTHLY_FEE, START),
        (CostKind.MONTHLY_FEE, 0, datetime(2026, 4, 1, tzinfo=UTC)),
    ):
        await upstream_costs.set_cost(platform, Decimal(cents) / 100, at, kind)
    for role in ROLES:
        tenant = await provision_tenant(
            platform, ProvisionTenant(role.reference, role.reference.title(), role.email, "USD", role.isolation)
        )
        if role.has_own_user:
            world.accounts.add_user(role.email, "pw", role.reference.title(), "Signer", platform.clock.now())
        if role.isolation is Isolation.ORGANIZATION:
            joined = {"organization_id": tenant.signnow_organization_id, "email": role.email}
            (await signnow.post("/_sandbox/organizations/accept", json=joined)).raise_for_status()
            await provisioning.go_on(platform, tenant)
        if role.has_own_user:
            await consent(platform, world, role)
        tenant = await Tenant.get(external_reference=role.reference)
        assert tenant.state is TenantState.ACTIVE, (role, tenant.state)
        await subscriptions.subscribe_tenant(platform, SubscribeTenant(tenant, plan.id))
    await timetable.schedule_all(platform)


async def consent(platform: Platform, world: SignNow, role: Role) -> None:
    """The tenant's user lets us act for them, again where that was withdrawn."""
    tenant = await Tenant.get(external_reference=role.reference)
    await provisioning.connect_signnow(platform, tenant, world.accounts.consent(role.email))
    assert await identities.is_connected(tenant)


def user_id_of(role: Role) -> str:
    """The SignNow user whose documents are the tenant's."""
    return id_of(role.email if role.has_own_user else SandboxAccount().email)
