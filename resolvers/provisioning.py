"""A tenant's own SignNow user, and what a tenant has lost at Stripe or SignNow."""

from datetime import timedelta
from typing import Annotated

import strawberry

from inkmeter.errors import InvalidInput, Problem
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator
from resolvers.tenants import tenant_type
from schema import provisioning as types
from schema.nodes import TenantId, global_id
from schema.tenants import AssignSignNowOrganizationPayload, ConnectSignNowPayload, RepairTenantPayload
from services import callbacks, drift, identities, provisioning
from services.drift import Drift

RedirectUri = Annotated[str, strawberry.argument(description="Where the page leads back to; SignNow must know it.")]
State = Annotated[
    str, strawberry.argument(description="Comes back beside the code: make it unguessable, and check that it does.")
]


@query(
    "SignNow's page on which the tenant's user lets Inkmeter act for them. It leads back with a code for "
    "`connectSignNow`. Null for tenants of the shared account.",
    name="signNowAuthorizationUrl",
)
async def signnow_authorization_url(
    info: Info, redirect_uri: RedirectUri, state: State, tenant_id: TenantId = None
) -> str | None:
    tenant = await acting_tenant(info, tenant_id)
    if tenant.isolation is identities.Isolation.SHARED_ACCOUNT:
        return None
    return identities.authorization_url(info.context.platform, tenant, redirect_uri, state)


@mutation("Connect a tenant with its own SignNow user, by the code of SignNow's page.", name="connectSignNow")
async def connect_signnow(info: Info, input: types.ConnectSignNowInput) -> ConnectSignNowPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    platform = info.context.platform
    connected = await provisioning.connect_signnow(platform, tenant, input.code)
    return ConnectSignNowPayload(tenant=await tenant_type(platform, connected))


@mutation(
    "Name the SignNow organization that was made for a tenant by hand. Operator only.",
    name="assignSignNowOrganization",
)
async def assign_signnow_organization(
    info: Info, input: types.AssignSignNowOrganizationInput
) -> AssignSignNowOrganizationPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    platform = info.context.platform
    assigned = await provisioning.assign_organization(platform, tenant, input.organization_id)
    return AssignSignNowOrganizationPayload(tenant=await tenant_type(platform, assigned))


@mutation("Look whether Stripe and SignNow still have what provisioning has made. Operator only.")
async def check_tenants(info: Info, input: types.CheckTenantsInput) -> types.CheckTenantsPayload:
    require_operator(info)
    platform = info.context.platform
    if input.tenant_id is None:
        found = await drift.check_tenants(platform)
    else:
        found = await drift.check_tenant(platform, await acting_tenant(info, input.tenant_id))
    return types.CheckTenantsPayload(drifts=[_drift_type(entry) for entry in found])


@mutation("Check one tenant and put right what can be put right. Safe to repeat. Operator only.")
async def repair_tenant(info: Info, input: types.RepairTenantInput) -> RepairTenantPayload:
    require_operator(info)
    platform = info.context.platform
    tenant = await acting_tenant(info, input.tenant_id)
    found = await drift.repair_tenant(platform, tenant)
    tenant = await acting_tenant(info, input.tenant_id)
    return RepairTenantPayload(
        tenant=await tenant_type(platform, tenant), drifts=[_drift_type(entry) for entry in found]
    )


@mutation(
    "Mend SignNow's callbacks, and store those that are in SignNow's log and did not arrive. Operator only.",
    name="catchUpSignNow",
)
async def catch_up_signnow(info: Info, input: types.CatchUpSignNowInput) -> types.CatchUpSignNowPayload:
    require_operator(info)
    if not 1 <= input.days <= 30:
        raise InvalidInput([Problem(("days",), "is a number from 1 to 30")])
    platform = info.context.platform
    kept = await callbacks.catch_up(platform, platform.clock.now() - timedelta(days=input.days))
    return types.CatchUpSignNowPayload(mended=kept.mended, listed=kept.listed, new=kept.new)


def _drift_type(found: Drift) -> types.TenantDrift:
    return types.TenantDrift(
        tenant_id=global_id("Tenant", found.tenant.public_id),
        kind=types.TenantDriftKind[found.kind.name],
        message=found.message,
        is_repaired=found.is_repaired,
    )
