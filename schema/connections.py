"""Lists in the API: Relay connections with keyset cursors, read forwards, and global ids.

A resolver reads one row more than asked for and hands all of them to `page_of`:

    async def tenants(self, first: First = DEFAULT_PAGE, after: After = None) -> Connection[Tenant]:
        size = page_size(first)
        rows = await tenants.list_tenants(..., after=decode_cursor(after, UUID), limit=size + 1)
        return page_of(rows, size, key=lambda row: str(row.id), node=Tenant.of, after=after)

There is no paging backwards (`last`, `before`), because nobody asked for it, and there are no offsets and no
total counts, because their cost grows with the table.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

import strawberry
from strawberry import relay

from inkmeter.errors import NotFound
from schema.scalars import bad_input

DEFAULT_PAGE: Final = 20
MAX_PAGE: Final = 100
_MAX_CURSOR = 512

First = Annotated[int | None, strawberry.argument(description=f"How many, at most {MAX_PAGE}.")]
After = Annotated[str | None, strawberry.argument(description="A cursor: what follows it is returned.")]

T = TypeVar("T")
Row = TypeVar("Row")
Key = TypeVar("Key")


@strawberry.type(description="An entry of a page.")
class Edge(Generic[T]):
    node: T = strawberry.field(description="The entry itself.")
    cursor: str = strawberry.field(description="Where it stands in the list; give it as `after` to go on from here.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The entries of this page, in order.")
    page_info: relay.PageInfo = strawberry.field(description="Whether there is more, and where to go on.")


def page_size(first: int | None) -> int:
    """The size of the page that was asked for. What is out of range is refused, not cut silently."""
    size = DEFAULT_PAGE if first is None else first
    if not 0 <= size <= MAX_PAGE:
        raise bad_input(f"`first` is between 0 and {MAX_PAGE}, not {size}")
    return size


def encode_cursor(key: str) -> str:
    """Make an opaque cursor of the key by which a list is ordered."""
    return base64.urlsafe_b64encode(key.encode()).decode("ascii").rstrip("=")


def decode_cursor(cursor: str | None, parse: Callable[[str], Key]) -> Key | None:
    """Read a cursor's key back with `parse`; None for no cursor. What is no cursor of ours is refused."""
    if cursor is None:
        return None
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        if len(cursor) <= _MAX_CURSOR and encode_cursor(key) == cursor:
            return parse(key)
    except (binascii.Error, ValueError, ArithmeticError, LookupError):
        pass
    raise bad_input("`after` is not a cursor of this list")


def page_of(
    rows: Sequence[Row],
    first: int,
    *,
    key: Callable[[Row], str],
    node: Callable[[Row], T],
    after: str | None = None,
) -> Connection[T]:
    """Turn up to `first + 1` rows into a page of `first`; the row too many only tells that there is more.

    `key` gives the cursor's key of a row, `node` the type that the API shows.
    """
    edges = [Edge(node=node(row), cursor=encode_cursor(key(row))) for row in rows[:first]]
    return Connection(
        edges=edges,
        page_info=relay.PageInfo(
            has_next_page=len(rows) > first,
            has_previous_page=after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def uuid_or_none(text: str) -> UUID | None:
    """A UUID in its usual form, or None: no braces, no `urn:`, no capitals."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text else None


def uuid_of(global_id: relay.GlobalID | str, expected: str, *, path: Sequence[str] = ()) -> UUID:
    """The UUID inside the global id of an `expected` type, e.g. "Tenant".

    An id of another type, or no id at all, is answered as an unknown one: NotFound with `path`.
    """
    try:
        parsed = global_id if isinstance(global_id, relay.GlobalID) else relay.GlobalID.from_id(global_id)
    except ValueError:
        parsed = relay.GlobalID("", "")
    value = uuid_or_none(parsed.node_id) if parsed.type_name == expected else None
    if value is None:
        raise NotFound(f"There is no such {expected}", path=path)
    return value
