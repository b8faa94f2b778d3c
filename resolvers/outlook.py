"""What dunning would come to on a date."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from strawberry import argument

from resolvers.context import Info
from resolvers.dunning import new_policy
from resolvers.fields import query
from resolvers.permissions import require_operator
from resolvers.tenants import tenant_type
from schema import outlook as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size
from schema.dunning import DunningPolicyInput, DunningStep
from schema.money import Money
from schema.refusals import next_plan_type, unpaid_invoice_type
from services import outlook, overdue, plans
from services.outlook import Outlook
from services.platform import Platform


async def _outlook_type(platform: Platform, found: Outlook) -> types.DunningOutlook:
    target = await plans.name_plan(found.policy.downgrade_plan_id)
    is_downgraded = found.step.name == DunningStep.DOWNGRADED.name
    return types.DunningOutlook(
        tenant=await tenant_type(platform, found.tenant),
        step=DunningStep[found.step.name],
        at=found.at,
        plan=next_plan_type(target) if target is not None and is_downgraded else None,
        invoices=[unpaid_invoice_type(overdue.shown(invoice)) for invoice in found.invoices],
        total=Money.of(found.total),
    )


@query("Who would be past its grace on a date if nobody paid. Nothing is stored. Operator only.")
async def preview_dunning(
    info: Info,
    on: Annotated[datetime, argument(description="Not in the past.")],
    policy: Annotated[
        DunningPolicyInput | None, argument(description="For all tenants; if missing, the one of each.")
    ] = None,
    first: First = DEFAULT_PAGE,
    after: After = None,
) -> Connection[types.DunningOutlook]:
    require_operator(info)
    platform, size = info.context.platform, page_size(first)
    found = await outlook.preview_dunning(platform, on, new_policy(policy, "policy"), decode_cursor(after, UUID))
    rows = found[: size + 1]
    shown = {row.tenant.id: await _outlook_type(platform, row) for row in rows[:size]}
    return page_of(
        rows, size, key=lambda row: str(row.tenant.public_id), node=lambda row: shown[row.tenant.id], after=after
    )
