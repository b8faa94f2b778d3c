"""Columns that mean the same on SQLite and PostgreSQL: instants as microseconds, decimals as text."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar, overload

from tortoise.fields.base import Field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place in time")
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The instant, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


Moment = TypeVar("Moment", datetime, datetime | None)


class InstantField(Field[Moment], datetime):
    """A point in time, stored as a BIGINT of microseconds: compares and indexes alike on both databases."""

    SQL_TYPE = "BIGINT"

    @overload
    def __init__(self: "InstantField[datetime]", *, null: Literal[False] = False) -> None: ...

    @overload
    def __init__(self: "InstantField[datetime | None]", *, null: Literal[True]) -> None: ...

    def __init__(self, *, null: bool = False) -> None:
        super().__init__(null=null)

    def to_db_value(self, value: Any, instance: Any) -> int | None:
        return to_micros(value) if isinstance(value, datetime) else value

    def to_python_value(self, value: Any) -> Any:
        return from_micros(value) if isinstance(value, int) else value


class DecimalTextField(Field[Decimal], Decimal):  # type: ignore[misc]
    """An exact decimal that is only shown, never computed with in SQL: SQLite would make a float of it."""

    SQL_TYPE = "TEXT"

    def to_db_value(self, value: Any, instance: Any) -> str | None:
        return format(value, "f") if isinstance(value, Decimal) else value

    def to_python_value(self, value: Any) -> Decimal | None:
        return Decimal(value) if isinstance(value, str) else value
