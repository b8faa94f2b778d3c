"""Credits: given, bought, taken back, and what is left of them."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from strawberry import argument, relay

from inkmeter.money import Money as ExactMoney
from inkmeter.usage import Meter
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator
from resolvers.usage import shown
from schema import credits as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.money import Money
from schema.nodes import TenantId, global_id
from schema.scalars import Quantity
from services import balances, credits, meters
from services.balances import Balance, TracedEntry
from services.credits import CreditGrant, CreditSource, GivenCredits, Taken
from services.platform import Platform

OfMeter = Annotated[str | None, argument(description="Of one meter; of all if missing.")]
OfGrant = Annotated[relay.GlobalID | None, argument(description="Of one grant; of all if missing.")]


async def grant_types(platform: Platform, grants: Sequence[CreditGrant]) -> list[types.CreditGrant]:
    """Grants of one tenant as the API shows them."""
    book = await meters.find_meters(platform, *(grant.meter for grant in grants))
    prices = await balances.prices_of(grants)
    return [_grant_type(grant, book[grant.meter], prices.get(grant.id)) for grant in grants]


def _grant_type(grant: CreditGrant, meter: Meter, price: ExactMoney | None) -> types.CreditGrant:
    return types.CreditGrant(
        id=global_id("CreditGrant", grant.id),
        meter=grant.meter,
        source=types.CreditSource[grant.source.name],
        units=shown(meter, grant.units),
        remaining=shown(meter, grant.remaining),
        priority=grant.priority,
        expires_at=grant.expires_at,
        price=Money.of(price) if price is not None else None,
        note=grant.note,
        created_at=grant.created_at,
    )


@mutation("Give a tenant credits. Operator only.")
async def grant_credits(info: Info, input: types.GrantCreditsInput) -> types.GrantCreditsPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    given = GivenCredits(
        meter=input.meter,
        units=input.units,
        source=CreditSource[input.source.name],
        idempotency_key=input.idempotency_key,
        priority=input.priority,
        expires_at=input.expires_at,
        note=input.note,
    )
    grant = await credits.grant_credits(info.context.platform, tenant, given)
    return types.GrantCreditsPayload(grant=(await grant_types(info.context.platform, [grant]))[0])


@mutation("Buy a pack of credits that the tenant's plan offers. The next invoice bills it.")
async def top_up(info: Info, input: types.TopUpInput) -> types.TopUpPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    platform = info.context.platform
    grant = await credits.top_up(platform, tenant, input.meter, input.units, input.idempotency_key)
    return types.TopUpPayload(grant=(await grant_types(platform, [grant]))[0])


@mutation("Take back credits that were not used, without money. Operator only.")
async def revoke_credits(info: Info, input: types.RevokeCreditsInput) -> types.RevokeCreditsPayload:
    require_operator(info)
    tenant, platform = await acting_tenant(info, input.tenant_id), info.context.platform
    grant_id = uuid_of(input.grant_id, "CreditGrant", path=("grantId",))
    taken = await credits.revoke_credits(platform, tenant.id, grant_id, input.units, input.idempotency_key)
    return types.RevokeCreditsPayload(
        grant=(await grant_types(platform, [taken.grant]))[0], units=await _units(platform, taken)
    )


@mutation("Take back bought credits that were not used, and give back their part of the price. Operator only.")
async def refund_credits(info: Info, input: types.RefundCreditsInput) -> types.RefundCreditsPayload:
    require_operator(info)
    tenant, platform = await acting_tenant(info, input.tenant_id), info.context.platform
    grant_id = uuid_of(input.grant_id, "CreditGrant", path=("grantId",))
    taken = await credits.refund_credits(platform, tenant.id, grant_id, input.units, input.idempotency_key)
    return types.RefundCreditsPayload(
        grant=(await grant_types(platform, [taken.grant]))[0],
        units=await _units(platform, taken),
        refund=Money.of(taken.refund) if taken.refund is not None else None,
    )


async def _units(platform: Platform, taken: Taken) -> Quantity:
    book = await meters.find_meters(platform, taken.grant.meter)
    return shown(book[taken.grant.meter], taken.units)


@query("What is left of a tenant's credits: of every meter that ever had some, or of one.")
async def credit_balance(info: Info, tenant_id: TenantId = None, meter: OfMeter = None) -> list[types.CreditBalance]:
    tenant, platform = await acting_tenant(info, tenant_id), info.context.platform
    return [
        _balance_type(balance, await grant_types(platform, balance.grants))
        for balance in await balances.read_balances(platform, tenant.id, meter)
    ]


def _balance_type(balance: Balance, grants: list[types.CreditGrant]) -> types.CreditBalance:
    def units(number: int) -> Quantity:
        return shown(balance.meter, number)

    return types.CreditBalance(
        meter=balance.meter.code,
        balance=units(balance.balance),
        pledged=units(balance.pledged),
        granted=units(balance.granted),
        consumed=units(balance.consumed),
        expired=units(balance.expired),
        revoked=units(balance.revoked),
        refunded=units(balance.refunded),
        grants=grants,
    )


@query("Every movement of a tenant's credits, oldest first: which grant paid for which usage.")
async def credit_history(
    info: Info,
    tenant_id: TenantId = None,
    meter: OfMeter = None,
    grant_id: OfGrant = None,
    first: First = DEFAULT_PAGE,
    after: After = None,
) -> Connection[types.CreditEntry]:
    tenant, platform = await acting_tenant(info, tenant_id), info.context.platform
    grant = uuid_of(grant_id, "CreditGrant", path=("grantId",)) if grant_id is not None else None
    size = page_size(first)
    entries = await balances.list_entries(tenant.id, meter, grant, decode_cursor(after, UUID), size + 1)
    book = await meters.find_meters(platform, *(entry.meter for entry in entries))
    return page_of(
        entries, size, key=lambda entry: str(entry.id), node=lambda e: _entry_type(e, book[e.meter]), after=after
    )


def _entry_type(entry: TracedEntry, meter: Meter) -> types.CreditEntry:
    return types.CreditEntry(
        grant_id=global_id("CreditGrant", entry.grant_id),
        meter=entry.meter,
        kind=types.CreditEntryKind[entry.kind.name],
        units=shown(meter, entry.units),
        event_key=entry.event_key,
        period_starts_at=entry.period_starts_at,
        note=entry.note,
        created_at=entry.created_at,
    )
