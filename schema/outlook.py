"""What dunning would come to on a date."""

from datetime import datetime

import strawberry

from schema.dunning import DunningStep
from schema.money import Money
from schema.refusals import NextPlan, UnpaidInvoice
from schema.tenants import Tenant


@strawberry.type(description="Where a tenant that owes would stand on a date if nobody paid.")
class DunningOutlook:
    tenant: Tenant = strawberry.field(description="Who.")
    step: DunningStep = strawberry.field(description="How far it would have come.")
    at: datetime = strawberry.field(description="When it would come to that step, or has come to it.")
    plan: NextPlan | None = strawberry.field(description="With DOWNGRADED, the plan that it would be on.")
    invoices: list[UnpaidInvoice] = strawberry.field(description="What it owes today.")
    total: Money = strawberry.field(description="What is left to be paid of these invoices.")
