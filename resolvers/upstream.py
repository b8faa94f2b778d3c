"""What SignNow charges the operator: the cost table, SignNow's own books, the pool, and how they agree."""

from datetime import date
from typing import Annotated

from strawberry import argument

from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator
from schema import upstream as types
from schema.money import Money
from schema.nodes import global_id
from schema.scalars import BigInt
from services import upstream_books, upstream_costs, upstream_pools, upstream_reconciling
from services.upstream_books import NewBill, NewFigure, NewRecord, UnitKind
from services.upstream_costs import CostKind, UpstreamRate
from services.upstream_pools import PoolReport
from services.upstream_reconciling import TOLD, ReconciledRow


def _rate_type(rate: UpstreamRate) -> types.UpstreamRate:
    cost = upstream_costs.price_of(rate)
    return types.UpstreamRate(
        kind=types.UpstreamCostKind[rate.kind.name], unit_cost=Money.of(cost), from_=rate.starts_at
    )


@query("The cost table: what SignNow charges, by kind and time. Operator only.", name="upstreamCosts")
async def upstream_costs_list(info: Info) -> list[types.UpstreamRate]:
    require_operator(info)
    return [_rate_type(rate) for rate in await upstream_costs.list_costs()]


@mutation("Say what SignNow charges from a moment on. Operator only.")
async def set_upstream_cost(info: Info, input: types.SetUpstreamCostInput) -> types.SetUpstreamCostPayload:
    require_operator(info)
    kind = CostKind[input.kind.name] if input.kind is not None else None
    rates = await upstream_costs.set_cost(info.context.platform, input.unit_cost, input.from_, kind)
    return types.SetUpstreamCostPayload(costs=[_rate_type(rate) for rate in rates])


@mutation("Store what SignNow shows of its usage and invoices, each once. Operator only.")
async def record_upstream_usage(info: Info, input: types.RecordUpstreamUsageInput) -> types.RecordUpstreamUsagePayload:
    require_operator(info)
    figures = [
        NewFigure(f.period, f.invites, UnitKind[f.kind.name] if f.kind is not None else None, f.folder, f.user)
        for f in input.figures
    ]
    bills = [NewBill(b.period, b.number, b.amount, b.currency) for b in input.bills]
    records = [NewRecord(("figures", str(index)), what) for index, what in enumerate(figures)]
    records += [NewRecord(("bills", str(index)), what) for index, what in enumerate(bills)]
    recorded = await upstream_books.record(info.context.platform, records, input.source)
    return types.RecordUpstreamUsagePayload(
        recorded=types.RecordedUpstream(new=recorded.new, corrected=recorded.corrected, unchanged=recorded.unchanged)
    )


@mutation("Say how many invites SignNow's plan includes, for all tenants together. Operator only.")
async def set_invite_pool(info: Info, input: types.SetInvitePoolInput) -> types.SetInvitePoolPayload:
    require_operator(info)
    pool = await upstream_pools.set_pool(info.context.platform, input.units, input.from_, input.to)
    report = await upstream_pools.read_pool(info.context.platform, date.fromisoformat(pool.starts_on))
    return types.SetInvitePoolPayload(pool=_pool_type(report) if report is not None else None)


@query("The pool of invites, who uses it, and how long it lasts; null if there is none. Operator only.")
async def invite_pool(
    info: Info, on: Annotated[date | None, argument(description="A day of the pool; today if missing.")] = None
) -> types.InvitePool | None:
    require_operator(info)
    report = await upstream_pools.read_pool(info.context.platform, on)
    return _pool_type(report) if report is not None else None


def _pool_type(report: PoolReport) -> types.InvitePool:
    return types.InvitePool(
        units=BigInt(report.pool.units),
        from_=date.fromisoformat(report.pool.starts_on),
        to=date.fromisoformat(report.pool.ends_on),
        used=BigInt(report.used),
        remaining=BigInt(report.remaining),
        fixed_cost=Money.of(report.fixed_cost),
        exhausts_at=report.exhausts_at,
        tenants=[
            types.PoolShare(
                tenant_id=global_id("Tenant", share.tenant.public_id),
                name=share.tenant.name,
                used=BigInt(share.used),
                percent=share.percent,
                fixed_cost=Money.of(share.fixed_cost),
            )
            for share in report.shares
        ],
        drivers=[
            types.PoolDriver(
                tenant_id=global_id("Tenant", driver.share.tenant.public_id),
                name=driver.share.tenant.name,
                recent=BigInt(driver.share.recent),
                growth=BigInt(driver.share.growth),
                percent_of_use=driver.percent_of_use,
                percent_of_growth=driver.percent_of_growth,
            )
            for driver in report.drivers
        ],
    )


@mutation(
    "Compare our upstream units of a month with what SignNow shows and bills. Operator only.", name="reconcileSignNow"
)
async def reconcile_signnow(info: Info, input: types.ReconcileSignNowInput) -> types.ReconcileSignNowPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id) if input.tenant_id is not None else None
    rows = await upstream_reconciling.reconcile_signnow(info.context.platform, input.month, tenant)
    return types.ReconcileSignNowPayload(rows=[_reconciled_type(row) for row in rows])


def _reconciled_type(row: ReconciledRow) -> types.SignNowReconciliation:
    return types.SignNowReconciliation(
        tenant_id=global_id("Tenant", row.tenant.public_id) if row.tenant is not None else None,
        name=row.tenant.name if row.tenant is not None else None,
        ours=BigInt(row.ours),
        theirs=BigInt(row.theirs) if row.theirs is not None else None,
        basis=types.ReconcileBasis[row.basis] if row.basis is not None else None,
        causes=[
            types.GapCause(
                reason=types.GapReason[cause.reason.name], units=BigInt(cause.units), explanation=TOLD[cause.reason]
            )
            for cause in row.causes
        ],
        unexplained=BigInt(row.unexplained),
        declared=[Money.of(money) for money in row.declared],
        billed=[Money.of(money) for money in row.billed],
        documents=types.SignNowDocumentCount(
            ours=BigInt(row.documents.ours), theirs=BigInt(row.documents.theirs), taken_at=row.documents.taken_at
        )
        if row.documents is not None
        else None,
    )
