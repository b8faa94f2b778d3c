"""The executor with its short cut answers every query exactly like Strawberry's own, errors and paths included."""

import asyncio
import enum
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import strawberry
from graphql import (
    GraphQLAbstractType,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    is_abstract_type,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry import relay
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schema.money import Money
from schema.scalars import SCALARS, BigInt, CurrencyCode, Json
from server.executor import PlainFieldsExecutor


@strawberry.enum
class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.interface
class Node:
    id: relay.GlobalID


@strawberry.type
class Leaf:
    text: str
    maybe: str | None
    number: int
    ratio: float
    flag: bool
    color: Color
    exact: Decimal
    big: BigInt
    moment: datetime
    day: date | None
    config: Json
    tags: list[str]
    grid: list[list[int | None]] | None


@strawberry.type
class Branch(Node):
    leaf: Leaf
    other: Leaf | None
    leaves: list[Leaf]
    holes: list[Leaf | None] | None
    price: Money
    parent: "Branch | None"
    nodes: list[Node]

    @strawberry.field
    def resolved(self) -> str:
        return f"resolved {self.leaf.text}"

    @strawberry.field
    async def later(self, times: int = 1) -> Leaf:
        await asyncio.sleep(0)
        return self.leaf


@strawberry.type
class Other(Node):
    @classmethod
    def is_type_of(cls, value: object, info: object) -> bool:
        return isinstance(value, Other | Foreign)

    leaf: Leaf


@dataclass
class Foreign:
    id: relay.GlobalID
    leaf: Leaf


@strawberry.type
class Query:
    @strawberry.field
    def branch(self, info: strawberry.Info) -> Branch:
        found: Branch = info.context
        return found

    @strawberry.field
    async def branches(self, info: strawberry.Info) -> list[Branch]:
        return [info.context, info.context]

    @strawberry.field
    def other(self, info: strawberry.Info) -> Other | None:
        return Foreign(relay.GlobalID("Other", "7"), info.context.leaf)  # type: ignore[return-value]

    @strawberry.field
    def stream(self, info: strawberry.Info) -> list[Branch]:
        return (branch for branch in [info.context])  # type: ignore[return-value]

    constant: str = "constant"


class Schema(strawberry.Schema):
    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Strawberry would log them."""


def build(**options: Any) -> Schema:
    return Schema(Query, types=[Branch, Other], config=StrawberryConfig(scalar_map=SCALARS), **options)


USUAL = build()
FAST = build(execution_context_class=PlainFieldsExecutor)


class Later:
    """A value that is awaited, as often as one likes."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, object]:
        yield from asyncio.sleep(0).__await__()
        return self.value


odd = st.sampled_from(
    [None, ValueError("broken"), 2**40, -1, "7", True, 1.5, b"x", [], {}, object(), float("nan"), Decimal("NaN")]
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The value that belongs there; now and then one that does not, or one that is awaited."""
    return st.integers(0, 99).flatmap(
        lambda dice: odd if dice == 57 else (usual | odd).map(Later) if dice == 58 else usual
    )


leaves = st.builds(
    Leaf,
    text=mostly(st.text(max_size=3)),
    maybe=mostly(st.none() | st.text(max_size=3)),
    number=mostly(st.integers(-(2**31), 2**31 - 1)),
    ratio=mostly(st.floats(allow_nan=False, allow_infinity=False)),
    flag=mostly(st.booleans()),
    color=mostly(st.sampled_from(Color)),
    exact=mostly(st.just(Decimal("1.50"))),
    big=mostly(st.integers(-(2**63), 2**63 - 1)),
    moment=mostly(st.just(datetime(2026, 1, 31, tzinfo=UTC))),
    day=mostly(st.none() | st.dates()),
    config=mostly(st.just({"included": 100})),
    tags=mostly(st.lists(mostly(st.text(max_size=2)), max_size=2) | st.just(("a", "b"))),
    grid=mostly(st.none() | st.lists(mostly(st.lists(st.none() | st.integers(0, 9), max_size=2)), max_size=2)),
)
prices = st.builds(Money, amount=st.just(Decimal("12.50")), currency=st.just(CurrencyCode("USD")))
ids = st.just(relay.GlobalID("Branch", "1"))


def branches(parents: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nodes = st.builds(Other, id=ids, leaf=leaves) | st.builds(Foreign, id=ids, leaf=leaves) | parents
    return st.builds(
        Branch,
        id=mostly(ids),
        leaf=mostly(leaves),
        other=mostly(st.none() | leaves),
        leaves=mostly(st.lists(mostly(leaves), max_size=3)),
        holes=mostly(st.none() | st.lists(mostly(st.none() | leaves), max_size=2)),
        price=mostly(prices),
        parent=mostly(parents),
        nodes=mostly(st.lists(mostly(nodes), max_size=2)),
    )


trees = branches(branches(st.none()) | st.none())


@st.composite
def selections(draw: st.DrawFn, kind: GraphQLNamedType, depth: int) -> str:
    """A random selection set of a type: fields, aliases, directives, repetitions, inline fragments."""
    if isinstance(kind, GraphQLScalarType | GraphQLEnumType):
        return ""
    parts = ["__typename"] if draw(st.booleans()) else []
    if is_abstract_type(kind):
        parts += [draw(fragments(kind, name, depth)) for name in draw(st.sets(st.sampled_from(["Branch", "Other"])))]
    assert isinstance(kind, GraphQLObjectType) or is_abstract_type(kind)
    fields: dict[str, GraphQLField] = getattr(kind, "fields", {})
    plain = [name for name, field in fields.items() if depth or not hasattr(get_named_type(field.type), "fields")]
    for name in draw(st.lists(st.sampled_from(plain), min_size=1, max_size=5)):
        inner = draw(selections(get_named_type(fields[name].type), depth - 1))
        # aliases are unique for their field, so that they never clash
        alias = draw(st.sampled_from(["", f"also_{name}: "]))
        directive = draw(st.sampled_from(["", "", "", " @include(if: true)", " @skip(if: true)", " @include(if: $no)"]))
        parts.append(f"{alias}{name}{directive}{inner}")
    return " { " + " ".join(parts) + " }"


@st.composite
def fragments(draw: st.DrawFn, kind: GraphQLAbstractType, name: str, depth: int) -> str:
    concrete = USUAL._schema.type_map[name]
    assert isinstance(concrete, GraphQLObjectType)
    return f"... on {name}{draw(selections(concrete, max(depth - 1, 0)))}"


query_type = USUAL._schema.query_type
assert query_type is not None
queries = selections(query_type, 4).map(lambda selected: f"query($no: Boolean! = false) {selected}")


async def outcome(schema: Schema, query: str, tree: object) -> tuple[Any, list[Any]]:
    result = await schema.execute(query, context_value=tree)
    errors = [(error.message, error.path, error.locations) for error in result.errors or ()]
    return result.data, sorted(errors, key=str)


@given(queries, trees)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # coroutines that graphql-core drops
def test_both_executors_answer_the_same(query: str, tree: Branch) -> None:
    async def both() -> None:
        assert await outcome(FAST, query, tree) == await outcome(USUAL, query, tree)

    asyncio.run(both())


def leaf(**changes: object) -> Leaf:
    usual: dict[str, Any] = {
        "text": "a", "maybe": None, "number": 1, "ratio": 0.5, "flag": True, "color": Color.RED,
        "exact": Decimal(1), "big": 1, "moment": datetime(2026, 1, 1, tzinfo=UTC), "day": None, "config": {},
        "tags": [], "grid": None,
    }  # fmt: skip
    return Leaf(**(usual | changes))


def branch(**changes: object) -> Branch:
    price = Money(amount=Decimal("12.50"), currency=CurrencyCode("USD"))
    usual: dict[str, Any] = {
        "id": relay.GlobalID("Branch", "1"), "leaf": leaf(), "other": None, "leaves": [leaf()], "holes": None,
        "price": price, "parent": None, "nodes": [],
    }  # fmt: skip
    return Branch(**(usual | changes))


def count_calls(schema: Schema, query: str, tree: Branch, monkeypatch: Any) -> int:
    calls = 0
    usual = PlainFieldsExecutor.__mro__[1].build_resolve_info  # type: ignore[attr-defined]

    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return usual(*args)

    monkeypatch.setattr(PlainFieldsExecutor, "build_resolve_info", counted)
    result = asyncio.run(schema.execute(query, context_value=tree))
    assert not result.errors
    return calls


PLAIN = "{ branch { id price { amount currency } leaves { __typename text number color moment } } }"


def test_plain_data_takes_the_short_cut(monkeypatch: Any) -> None:
    tree = branch(leaves=[leaf() for _ in range(50)])
    assert count_calls(FAST, PLAIN, tree, monkeypatch) == 1  # the root field alone has a resolver


def test_one_odd_value_costs_the_short_cut_only_around_itself(monkeypatch: Any) -> None:
    tree = branch(leaves=[leaf(), leaf(text=Later("late")), *(leaf() for _ in range(50))])
    assert count_calls(FAST, PLAIN, tree, monkeypatch) < 10


def test_an_extension_that_wraps_resolvers_sees_each_field() -> None:
    seen: list[str] = []

    class Watching(SchemaExtension):
        def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(info.field_name)
            return _next(root, info, *args, **kwargs)

    schema = build(execution_context_class=PlainFieldsExecutor, extensions=[Watching])
    asyncio.run(schema.execute("{ branch { leaf { text flag } } }", context_value=branch()))
    assert seen == ["branch", "leaf", "text", "flag"]


def test_an_error_keeps_its_path() -> None:
    tree = branch(leaves=[leaf(), leaf(number=2**40)], holes=[leaf(), leaf(text=None)])
    query = "{ branch { leaf { text } holes { text } leaves { number } } }"
    data, errors = asyncio.run(outcome(FAST, query, tree))
    assert data is None
    assert [path for _, path, _ in errors] == [["branch", "holes", 1, "text"], ["branch", "leaves", 1, "number"]]
