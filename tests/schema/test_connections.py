from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
import strawberry
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st
from strawberry import relay

from inkmeter.errors import NotFound
from schema.connections import (
    DEFAULT_PAGE,
    MAX_PAGE,
    After,
    Connection,
    First,
    decode_cursor,
    encode_cursor,
    page_of,
    page_size,
    uuid_of,
    uuid_or_none,
)


@dataclass(frozen=True)
class Row:
    key: str


ROWS = [Row(f"{number:03}") for number in range(45)]


@strawberry.type
class Thing(relay.Node):
    key: relay.NodeID[str]
    name: str

    @classmethod
    def of(cls, row: Row) -> "Thing":
        return cls(key=row.key, name=f"thing {row.key}")


@strawberry.type
class Query:
    @strawberry.field
    def things(self, first: First = DEFAULT_PAGE, after: After = None) -> Connection[Thing]:
        size = page_size(first)
        start = decode_cursor(after, str)
        rows = [row for row in ROWS if start is None or row.key > start][: size + 1]
        return page_of(rows, size, key=lambda row: row.key, node=Thing.of, after=after)


class Schema(strawberry.Schema):
    def process_errors(self, *_: object) -> None:
        """Strawberry would log them."""


SCHEMA = Schema(Query)
PAGE = """query($first: Int, $after: String) { things(first: $first, after: $after) {
    edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


def test_pages_follow_each_other_without_gap_or_repetition() -> None:
    seen: list[str] = []
    after, sizes = None, []
    while True:
        result = SCHEMA.execute_sync(PAGE, variable_values={"after": after})
        assert result.data is not None
        page = result.data["things"]
        seen += [edge["node"]["name"] for edge in page["edges"]]
        sizes.append(len(page["edges"]))
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [f"thing {row.key}" for row in ROWS]
    assert sizes == [20, 20, 5]


def test_a_page_may_be_empty() -> None:
    empty = {"hasNextPage": True, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    result = SCHEMA.execute_sync(PAGE, variable_values={"first": 0})
    assert result.data == {"things": {"edges": [], "pageInfo": empty}}
    assert page_of([], 20, key=str, node=str).page_info.has_next_page is False


@pytest.mark.parametrize("first", [-1, MAX_PAGE + 1])
def test_a_page_out_of_range_is_refused(first: int) -> None:
    result = SCHEMA.execute_sync(PAGE, variable_values={"first": first})
    assert result.errors is not None
    assert result.errors[0].message == f"`first` is between 0 and 100, not {first}"
    assert result.errors[0].extensions == {"code": "BAD_USER_INPUT"}


def test_the_largest_page_and_the_default() -> None:
    assert page_size(MAX_PAGE) == 100
    assert page_size(None) == DEFAULT_PAGE == 20


@given(st.text(max_size=100))
def test_cursors_come_back(key: str) -> None:
    assert decode_cursor(encode_cursor(key), str) == key


@given(st.text(max_size=30))
def test_anything_else_is_refused_or_is_the_one_cursor_of_its_key(cursor: str) -> None:
    try:
        key = decode_cursor(cursor, str)
    except GraphQLError:
        return
    assert key is not None
    assert encode_cursor(key) == cursor


def test_a_cursor_of_another_list_is_refused() -> None:
    identity = uuid4()
    assert decode_cursor(encode_cursor(str(identity)), UUID) == identity
    assert decode_cursor(None, UUID) is None
    for cursor in (encode_cursor("not a uuid"), "!", "x" * 4000):
        with pytest.raises(GraphQLError, match="not a cursor") as caught:
            decode_cursor(cursor, UUID)
        assert caught.value.extensions == {"code": "BAD_USER_INPUT"}


def test_the_types_are_named_after_their_entry() -> None:
    sdl = str(SCHEMA)
    assert "type ThingConnection {" in sdl
    assert "edges: [ThingEdge!]!" in sdl
    assert "pageInfo: PageInfo!" in sdl
    assert "first: Int = 20" in sdl


def test_a_global_id_gives_its_uuid() -> None:
    identity = uuid4()
    global_id = relay.GlobalID("Tenant", str(identity))
    assert uuid_of(global_id, "Tenant") == identity
    assert uuid_of(str(global_id), "Tenant") == identity


SOME = "0195f000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "wrong",
    [
        relay.GlobalID("Plan", SOME),
        relay.GlobalID("Tenant", "17"),
        relay.GlobalID("Tenant", SOME.replace("f", "F")),
        relay.GlobalID("Tenant", "{" + SOME + "}"),
        SOME,
        "",
        "ü",
        "VGVuYW50",
    ],
)
def test_any_other_id_is_answered_as_unknown(wrong: relay.GlobalID | str) -> None:
    with pytest.raises(NotFound, match="no such Tenant") as caught:
        uuid_of(wrong, "Tenant", path=("input", "tenantId"))
    assert caught.value.path == ("input", "tenantId")


@given(st.text())
def test_any_text_is_a_uuid_or_none(text: str) -> None:
    assert uuid_or_none(text) is None or str(UUID(text)) == text
