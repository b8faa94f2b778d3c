"""Tenants, and who is asking."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from inkmeter.errors import NotFound
from resolvers.context import Info
from resolvers.dunning import dunning_types
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator, require_viewer
from resolvers.subscriptions import subscription_types
from schema import provisioning as step_types
from schema import tenants as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size
from schema.dunning import Dunning
from schema.nodes import TenantId, global_id
from schema.scalars import CurrencyCode
from schema.subscriptions import Subscription
from services import addresses, deprovisioning, provisioning, subscriptions, tenants
from services.addresses import Address
from services.platform import Platform
from services.provisioning import StepTaken
from services.tenants import Isolation, ProvisionTenant, Tenant


async def tenant_type(platform: Platform, tenant: Tenant) -> types.Tenant:
    """A tenant as the API shows it."""
    return (await tenant_types(platform, [tenant]))[tenant.id]


async def tenant_types(platform: Platform, page: Sequence[Tenant]) -> Mapping[int, types.Tenant]:
    """A page of tenants, by our id, in as many queries as one."""
    if not page:
        return {}
    running = await subscriptions.running_of([tenant.id for tenant in page])
    shown = await subscription_types(platform, [*running.values()])
    steps = await provisioning.list_steps(platform, page)
    dunning = await dunning_types(page)
    return {
        tenant.id: _tenant_type(
            tenant,
            shown[running[tenant.id].id] if tenant.id in running else None,
            steps[tenant.id],
            dunning.get(tenant.id),
        )
        for tenant in page
    }


def _tenant_type(
    tenant: Tenant, subscription: Subscription | None, steps: Sequence[StepTaken], dunning: Dunning | None
) -> types.Tenant:
    return types.Tenant(
        id=global_id("Tenant", tenant.public_id),
        external_reference=tenant.external_reference,
        name=tenant.name,
        email=tenant.email,
        currency=CurrencyCode(tenant.currency),
        state=types.TenantState[tenant.state.name],
        grace_until=tenant.grace_until,
        dunning=dunning,
        provisioning_problem=tenant.provisioning_problem,
        isolation=step_types.Isolation[tenant.isolation.name],
        provisioning=[
            step_types.ProvisioningStep(
                step=step_types.ProvisioningStepName[taken.step.name],
                state=step_types.ProvisioningStepState[taken.state.name],
                error=taken.error,
            )
            for taken in steps
        ],
        subscription=subscription,
        address=_address_type(tenant.address) if tenant.address else None,
        created_at=tenant.created_at,
    )


def _address_type(stated: Mapping[str, str]) -> types.Address:
    return types.Address(
        country=stated["country"],
        postal_code=stated.get("postal_code"),
        line1=stated.get("line1"),
        city=stated.get("city"),
        state=stated.get("state"),
    )


@mutation("Create a tenant with its Stripe customer and its SignNow identity. Safe to repeat. Operator only.")
async def provision_tenant(info: Info, input: types.ProvisionTenantInput) -> types.ProvisionTenantPayload:
    require_operator(info)
    isolation = Isolation[input.isolation.name] if input.isolation else None
    command = ProvisionTenant(input.external_reference, input.name, input.email, input.currency, isolation)
    platform = info.context.platform
    tenant = await tenants.provision_tenant(platform, command)
    return types.ProvisionTenantPayload(tenant=await tenant_type(platform, tenant))


@mutation("Say where a tenant is taxed; Stripe is told at once. Operator only.")
async def update_tenant(info: Info, input: types.UpdateTenantInput) -> types.UpdateTenantPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    given = input.address
    address = Address(given.country, given.postal_code or "", given.line1 or "", given.city or "", given.state or "")
    platform = info.context.platform
    return types.UpdateTenantPayload(
        tenant=await tenant_type(platform, await addresses.set_address(platform, tenant, address))
    )


@mutation("End a tenant's subscription now and refuse its operations; what can be read stays. Operator only.")
async def deprovision_tenant(info: Info, input: types.DeprovisionTenantInput) -> types.DeprovisionTenantPayload:
    require_operator(info)
    platform = info.context.platform
    tenant = await deprovisioning.deprovision_tenant(platform, await acting_tenant(info, input.tenant_id))
    return types.DeprovisionTenantPayload(tenant=await tenant_type(platform, tenant))


@mutation("Let a deprovisioned tenant that owes nothing come back, to be subscribed anew. Operator only.")
async def reactivate_tenant(info: Info, input: types.ReactivateTenantInput) -> types.ReactivateTenantPayload:
    require_operator(info)
    platform = info.context.platform
    tenant = await deprovisioning.reactivate_tenant(platform, await acting_tenant(info, input.tenant_id))
    return types.ReactivateTenantPayload(tenant=await tenant_type(platform, tenant))


@query("Who is asking.")
async def viewer(info: Info) -> types.Viewer:
    asking = require_viewer(info)
    tenant = None
    if asking.tenant_id is not None:
        tenant = await tenant_type(info.context.platform, await tenants.get_tenant(asking.tenant_id))
    return types.Viewer(role=types.Role[asking.role.name], tenant=tenant)


@query("One tenant; with a tenant's key, its own.")
async def tenant(info: Info, id: TenantId = None) -> types.Tenant | None:
    try:
        found = await acting_tenant(info, id, path=("id",))
    except NotFound:
        return None
    return await tenant_type(info.context.platform, found)


@query("All tenants, oldest first. Operator only.", name="tenants")
async def tenants_list(info: Info, first: First = DEFAULT_PAGE, after: After = None) -> Connection[types.Tenant]:
    require_operator(info)
    size = page_size(first)
    rows = await tenants.list_tenants(decode_cursor(after, UUID), size + 1)
    shown = await tenant_types(info.context.platform, rows)
    return page_of(rows, size, key=lambda row: str(row.public_id), node=lambda row: shown[row.id], after=after)
