"""Stripe's customer portal."""

from resolvers.context import Info
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant
from schema import portal as types
from services import portal


@mutation("Open Stripe's portal for a tenant, for one visit: its invoices, its cards.")
async def create_portal_session(info: Info, input: types.CreatePortalSessionInput) -> types.CreatePortalSessionPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    url = await portal.open_portal(info.context.platform, tenant, input.return_url)
    return types.CreatePortalSessionPayload(url=url)
