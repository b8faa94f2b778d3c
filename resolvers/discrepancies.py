"""Where two books differ, and comparing ours with Stripe's."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import relay

from inkmeter.money import Money as ExactMoney
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator
from schema import discrepancies as types
from schema.connections import (
    DEFAULT_PAGE,
    After,
    Connection,
    First,
    decode_cursor,
    encode_cursor,
    page_of,
    page_size,
    uuid_of,
)
from schema.money import Money
from schema.nodes import global_id
from schema.scalars import Json
from services import discrepancies, reconciling, tenants
from services.discrepancies import Discrepancy
from services.reconciling import Found, Mode
from services.tenants import Tenant

OneTenant = Annotated[relay.GlobalID | None, strawberry.argument(description="Only this tenant's.")]
Kind = Annotated[str | None, strawberry.argument(description="Only these, e.g. `AMOUNT`.")]
State = Annotated[types.DiscrepancyState | None, strawberry.argument(description="Only those in this state.")]


def discrepancy_type(row: Discrepancy, owner: Tenant) -> types.Discrepancy:
    """A discrepancy as the API shows it."""
    money = [Money.of(ExactMoney(minor, row.currency)) if row.currency else None for minor in _amounts(row)]
    return types.Discrepancy(
        id=global_id("Discrepancy", row.id),
        tenant_id=global_id("Tenant", owner.public_id),
        kind=row.kind,
        subject=row.subject,
        state=types.DiscrepancyState[row.state.name],
        explanation=row.explanation,
        ours=money[0],
        theirs=money[1],
        evidence=Json(row.evidence),
        times=row.times,
        repair=types.RepairKind[row.repair] if row.repair else None,
        repaired_at=row.repaired_at,
        note=row.note,
        created_at=row.created_at,
        settled_at=row.settled_at,
    )


def _amounts(row: Discrepancy) -> tuple[int, int]:
    return row.ours_minor, row.theirs_minor


@query("Where books differ, oldest first, of all tenants or of one. Operator only.", name="discrepancies")
async def discrepancies_list(
    info: Info,
    tenant_id: OneTenant = None,
    kind: Kind = None,
    state: State = None,
    first: First = DEFAULT_PAGE,
    after: After = None,
) -> Connection[types.Discrepancy]:
    require_operator(info)
    size = page_size(first)
    tenant = await acting_tenant(info, tenant_id) if tenant_id is not None else None
    rows = await discrepancies.list_discrepancies(
        tenant_id=tenant.id if tenant else None,
        kind=kind,
        state=discrepancies.DiscrepancyState[state.name] if state else None,
        after=decode_cursor(after, UUID),
        limit=size + 1,
    )
    owners = {row.tenant_id: await tenants.get_tenant(row.tenant_id) for row in rows}
    return page_of(
        rows,
        size,
        key=lambda row: str(row.id),
        node=lambda row: discrepancy_type(row, owners[row.tenant_id]),
        after=after,
    )


@mutation("Say why a discrepancy is right as it is; it opens again if it changes. Operator only.")
async def explain_discrepancy(info: Info, input: types.ExplainDiscrepancyInput) -> types.ExplainDiscrepancyPayload:
    require_operator(info)
    row = await discrepancies.explain_discrepancy(
        info.context.platform, uuid_of(input.id, "Discrepancy", path=("id",)), input.note
    )
    owner = await tenants.get_tenant(row.tenant_id)
    return types.ExplainDiscrepancyPayload(discrepancy=discrepancy_type(row, owner))


@mutation("Compare closed invoices with Stripe's, and repair what is safe if asked to. Operator only.")
async def reconcile_stripe(info: Info, input: types.ReconcileStripeInput) -> types.ReconcileStripePayload:
    require_operator(info)
    platform = info.context.platform
    end_cursor = None
    if input.tenant_id is not None:
        chosen: Sequence[Tenant] = [await acting_tenant(info, input.tenant_id)]
    else:
        size = page_size(input.first)
        rows = await tenants.list_tenants(decode_cursor(input.after, UUID), size + 1)
        chosen = rows[:size]
        end_cursor = encode_cursor(str(chosen[-1].public_id)) if len(rows) > size and chosen else None
    since = input.since or platform.clock.now() - reconciling.LOOK_BACK
    report = await reconciling.reconcile_tenants(platform, chosen, since, Mode(input.repair, input.dry_run))
    return types.ReconcileStripePayload(
        report=types.ReconcileReport(
            tenants=report.tenants,
            checks=report.checks,
            is_clean=report.is_clean,
            differences=[_difference_type(found) for found in report.found],
            failures=[
                types.ReconcileFailure(tenant_id=global_id("Tenant", UUID(key)), reason=reason)
                for key, reason in report.failed.items()
            ],
            end_cursor=end_cursor,
        )
    )


def _difference_type(found: Found) -> types.ReconciledDifference:
    row = found.discrepancy
    return types.ReconciledDifference(
        tenant_id=global_id("Tenant", found.tenant.public_id),
        kind=found.difference.kind.value,
        explanation=found.difference.explanation,
        ours=Money.of(found.difference.ours),
        theirs=Money.of(found.difference.theirs),
        repair=types.RepairKind[found.repair.name] if found.repair else None,
        is_repaired=found.is_repaired,
        problem=found.problem,
        discrepancy=discrepancy_type(row, found.tenant) if row is not None else None,
    )
