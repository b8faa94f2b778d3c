"""The operator's side: what SignNow charges by our own table, and what SignNow itself says. No tenant owns a row."""

from collections.abc import Sequence
from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.database import lock_table, rows
from storage.fields import InstantField, to_micros
from storage.ids import new_id


class UnitKind(StrEnum):
    """What an upstream unit was: a field invite (one, however many sign), a signer of a free-form invite, or an invite
    in SignNow's development mode, which is charged nothing.
    """

    FIELD_INVITE = "FIELD_INVITE"
    FREE_FORM_SIGNER = "FREE_FORM_SIGNER"
    DEVELOPMENT = "DEVELOPMENT"


class CostKind(StrEnum):
    """What the cost table has: the price of a unit, or the fee of SignNow's plan for a month."""

    FIELD_INVITE = "FIELD_INVITE"
    FREE_FORM_SIGNER = "FREE_FORM_SIGNER"
    MONTHLY_FEE = "MONTHLY_FEE"


class UpstreamRate(Model):
    """One row of the cost table: it holds from `starts_at` until the next row of its kind."""

    kind = CharEnumField(CostKind)
    starts_at = InstantField()
    id = UUIDField(primary_key=True, default=new_id)
    unit_cost_minor = BigIntField()
    currency = TextField()
    updated_at = InstantField()

    class Meta:
        table = "upstream_rate"


class UpstreamFigure(Model):
    """Invites that SignNow says were sent in [starts_on, ends_on), days in UTC; of one kind, folder or user where they
    are not empty. The newest version counts.
    """

    source = TextField()
    starts_on = TextField()
    ends_on = TextField()
    kind = TextField()
    folder = TextField()
    account = TextField()
    version = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    units = BigIntField()
    recorded_at = InstantField()

    class Meta:
        table = "upstream_figure"


class UpstreamBill(Model):
    """An invoice of SignNow's for [starts_on, ends_on), days in UTC. The newest version of a number counts."""

    number = TextField()
    version = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    starts_on = TextField()
    ends_on = TextField()
    amount_minor = BigIntField()
    currency = TextField()
    source = TextField()
    recorded_at = InstantField()

    class Meta:
        table = "upstream_bill"


class InvitePool(Model):
    """Invites that SignNow's plan includes in [starts_on, ends_on), days in UTC, for all tenants together."""

    starts_on = TextField()
    ends_on = TextField()
    id = UUIDField(primary_key=True, default=new_id)
    units = BigIntField()
    updated_at = InstantField()

    class Meta:
        table = "invite_pool"


async def put_rate(rate: UpstreamRate) -> None:
    """Store a row of the cost table, in place of one of the same kind and moment."""
    await rows(
        "INSERT INTO upstream_rate (kind, starts_at, id, unit_cost_minor, currency, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, starts_at) DO UPDATE SET "
        "unit_cost_minor = excluded.unit_cost_minor, currency = excluded.currency, updated_at = excluded.updated_at",
        rate.kind,
        to_micros(rate.starts_at),
        str(rate.id),
        rate.unit_cost_minor,
        rate.currency,
        to_micros(rate.updated_at),
    )


async def put_pool(pool: InvitePool) -> None:
    """Store a pool, in place of one that begins on the same day. Pools are stored one after the other, so that the
    transaction sees all others.
    """
    await lock_table("invite_pool")
    await rows(
        "INSERT INTO invite_pool (starts_on, ends_on, id, units, updated_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (starts_on) DO UPDATE SET ends_on = excluded.ends_on, units = excluded.units, "
        "updated_at = excluded.updated_at",
        pool.starts_on,
        pool.ends_on,
        str(pool.id),
        pool.units,
        to_micros(pool.updated_at),
    )


async def current_bills(starts_on: str, ends_on: str) -> Sequence[UpstreamBill]:
    """The newest version of every bill whose days overlap [starts_on, ends_on), by number."""
    newest = {bill.number: bill for bill in await UpstreamBill.all().order_by("version")}
    return [
        newest[number]
        for number in sorted(newest)
        if newest[number].starts_on < ends_on and newest[number].ends_on > starts_on
    ]


async def current_figures(starts_on: str, ends_on: str) -> Sequence[UpstreamFigure]:
    """The newest version of every figure whose days lie within [starts_on, ends_on)."""
    found = await UpstreamFigure.filter(starts_on__gte=starts_on, ends_on__lte=ends_on).order_by("version")
    newest = {(f.source, f.starts_on, f.ends_on, f.kind, f.folder, f.account): f for f in found}
    return [newest[key] for key in sorted(newest)]
