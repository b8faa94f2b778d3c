"""Ending a tenant by hand, and letting it come back. Its documents and invoices stay and can be read."""

from inkmeter.errors import Conflict
from inkmeter.events import Event, TenantRestored
from services import dunning_ends, jobs, notices, overdue, subscriptions
from services.notices import NoticeKind
from services.platform import Platform
from storage.database import transaction
from storage.ids import new_id
from storage.tenants import Tenant, TenantState, lock_tenant


async def deprovision_tenant(platform: Platform, tenant: Tenant) -> Tenant:
    """End the tenant's subscription now, with its last invoice, and refuse its operations from now on.

    Repeating it changes nothing more. Raises Conflict while the tenant is being provisioned.
    """
    events: list[Event] = []
    async with transaction():
        held = await lock_tenant(tenant.id)
        running = await subscriptions.running_subscription(tenant.id)
        if held.state is TenantState.PROVISIONING:
            raise Conflict("the tenant is still being provisioned; repeat provisionTenant first", path=("tenantId",))
        if held.state is not TenantState.DEPROVISIONED:
            events = await dunning_ends.deprovision(platform, held, str(new_id()))
    for event in events:
        await platform.plugins.publish(event)
    if running is not None:
        await jobs.run_now(platform, tenant.id, dunning_ends.END, str(running.id), dunning_ends.carry_out)
    return await Tenant.get(id=tenant.id)


async def reactivate_tenant(platform: Platform, tenant: Tenant) -> Tenant:
    """Let a deprovisioned tenant come back, to be subscribed anew; any other is answered as it is.

    Raises Conflict while something is owed: paid, void or forgiven at Stripe, it is not.
    """
    now = platform.clock.now()
    async with transaction():
        held = await lock_tenant(tenant.id)
        if held.state is not TenantState.DEPROVISIONED:
            return held
        owed = await overdue.owed_invoices(tenant.id)
        if owed:
            named = ", ".join(str(overdue.due_of(invoice)) for invoice in owed)
            raise Conflict(f"the tenant still owes {named}; collect, void or forgive it first", path=("tenantId",))
        await Tenant.filter(id=tenant.id).update(state=TenantState.ACTIVE)
        await notices.note(tenant.id, NoticeKind.RESTORED, new_id(), now)
    await platform.plugins.publish(TenantRestored(str(tenant.public_id), now, None))
    return await Tenant.get(id=tenant.id)
