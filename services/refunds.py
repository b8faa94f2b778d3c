"""Refunds of bought credits: money that goes back in proportion to the units taken back.

What the next invoice has billed goes back with the next one; what was paid first, by a refund at Stripe.
"""

from typing import Final
from uuid import UUID

from inkmeter.errors import SubscriptionInactive
from inkmeter.money import Money, round_down
from services import jobs, paid_refunds, subscriptions
from services.platform import Platform
from storage.charges import Charge, ChargeKind
from storage.credits import CreditGrant, refunds_of
from storage.database import insert_new, transaction
from storage.ids import new_id
from storage.jobs import Job
from storage.subscriptions import Period, PeriodState, enter_period

REFUND: Final = "credits.refund"


async def price_of(grant: CreditGrant) -> Money | None:
    """What the grant cost; None if it was given."""
    charge = await Charge.get_or_none(tenant_id=grant.tenant_id, idempotency_key=f"grant:{grant.idempotency_key}")
    return None if charge is None else Money(charge.amount_minor, charge.currency)


async def require_period(platform: Platform, tenant_id: int) -> Period:
    """The period whose close gives money back: the running one, or the last of a subscription that has ended, until
    that is closed. Raises SubscriptionInactive.
    """
    try:
        return await subscriptions.ensure_period(platform, tenant_id, platform.clock.now())
    except SubscriptionInactive:
        last = await Period.filter(tenant_id=tenant_id, state=PeriodState.OPEN).order_by("-starts_at").first()
        if last is None:
            raise
        return last


async def ensure_paid_back(platform: Platform, grant: CreditGrant) -> None:
    """Before units are taken: whatever dies after that, their money is given back."""
    await jobs.add_job(
        platform,
        tenant_id=grant.tenant_id,
        topic=REFUND,
        dedup=str(new_id()),
        run_in=jobs.FIRST_TRY_IS_OURS,
        payload={"grant": str(grant.id)},
    )


async def finish_refund(platform: Platform, job: Job) -> None:
    """The job: give money back for whatever was taken back of a grant and has no charge yet."""
    grant = await CreditGrant.get(tenant_id=job.tenant_id, id=job.payload["grant"])
    await pay_back(platform, grant)
    async with jobs.completing(job):
        pass


async def pay_back(platform: Platform, grant: CreditGrant) -> dict[str, Money]:
    """Charge a negative amount for each REFUNDED entry of a bought grant, once; answers all amounts by entry's note.

    What was given back up to an entry is rounded down to what can be collected: never more than was paid, and exactly
    that once all units are back.
    """
    price = await price_of(grant)
    assert price is not None  # noqa: S101 - only bought grants are refunded
    payment = await paid_refunds.find_payment(platform, grant)
    amounts: dict[str, Money] = {}
    units = given = 0
    for entry_id, note, taken in await refunds_of(grant.tenant_id, grant.id):
        units += taken
        amount = Money(round_down(price.minor * units // grant.units, price.currency) - given, price.currency)
        given += amount.minor
        if payment is not None:
            if await paid_refunds.ensure_refund(platform, payment, grant, entry_id, taken, amount):
                amounts[note] = amount
        else:
            amounts[note] = amount
            await _charge(platform, grant, entry_id, amount)
    return amounts


async def _charge(platform: Platform, grant: CreditGrant, entry_id: UUID, amount: Money) -> None:
    key = f"refund:{entry_id}"
    if await Charge.exists(tenant_id=grant.tenant_id, idempotency_key=key):
        return
    now = platform.clock.now()
    async with transaction():
        period = await require_period(platform, grant.tenant_id)
        if period.ends_at <= now:
            # Held, so that the last close of a subscription that has ended knows of it: there is none after that.
            entered = await enter_period(grant.tenant_id, period.starts_at)
            if entered is None or entered.state is PeriodState.CLOSED:
                raise SubscriptionInactive("the last period was closed meanwhile; the next subscription gives it back")
        await insert_new(
            Charge(
                tenant_id=grant.tenant_id,
                idempotency_key=key,
                kind=ChargeKind.REFUND,
                meter=grant.meter,
                period_starts_at=period.starts_at,
                label=f"Refund of top-up: {grant.meter}",
                amount_minor=-amount.minor,
                currency=amount.currency,
                created_at=now,
            ),
            ["tenant_id", "idempotency_key"],
        )
