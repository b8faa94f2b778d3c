"""What one document may ask for: refused cheaply, before validation and execution."""

import logging
from collections.abc import Callable

import pytest
import strawberry
from graphql import get_introspection_query, parse

from schema.connections import DEFAULT_PAGE, After, Connection, First, page_of, page_size
from server.graphql_limits import Limits, TooMuch, check_objects, measure
from server.graphql_schema import CACHED_DOCUMENTS, CheckedDocuments, Documents, Schema, build_schema

pytestmark = pytest.mark.anyio


@strawberry.type
class Item:
    id: strawberry.ID

    @strawberry.field
    def items(self, first: First = DEFAULT_PAGE, after: After = None) -> Connection["Item"]:
        return pages(first)

    @strawberry.field
    def parent(self) -> "Item":
        return self


def pages(first: int | None) -> Connection[Item]:
    return page_of([Item(id=strawberry.ID("1"))], page_size(first), key=lambda item: item.id, node=lambda item: item)


@strawberry.type
class Query:
    @strawberry.field
    def items(self, first: First = DEFAULT_PAGE, after: After = None) -> Connection[Item]:
        return pages(first)

    @strawberry.field
    def item(self, text: str = "") -> Item:
        return Item(id=strawberry.ID("1"))


SCHEMA = build_schema(Query)


def nested(depth: int) -> str:
    return "{ item " + "{ parent " * (depth - 2) + "{ id " + "}" * depth


def chained_fragments(count: int) -> str:
    """Each fragment spreads the next one twice: what it selects doubles with each step."""
    chain = "".join(f"fragment F{n} on Item {{ a: parent {{ ...F{n + 1} }} ...F{n + 1} }} " for n in range(count))
    return f"{{ item {{ ...F0 }} }} {chain} fragment F{count} on Item {{ id }}"


def doubled_spreads(count: int) -> str:
    chain = "".join(f"fragment F{n} on Item {{ ...F{n + 1} ... on Item {{ ...F{n + 1} }} }} " for n in range(count))
    return f"{{ item {{ ...F0 }} }} {chain} fragment F{count} on Item {{ id }}"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (nested(13), "nested more than 12 levels"),
        ("{" + "".join(f"a{n}: item {{ id }} " for n in range(31)) + "}", "more than 30 aliases"),
        ("{" + "item { id } " * 150 + "}", "repeated too often"),
        ("{" + "... { item { id } } " * 150 + "}", "repeated too often"),
        ("{ item { id } } " + "fragment F on Query {" + "item { id } " * 150 + "}", "repeated too often"),
        (
            "{ ...F } fragment F on Query {" + "item { id } " * 150 + "} fragment F on Query { item { id } }",
            "repeated too often",
        ),
        ("{ item @a @b @c @d @e { id } }", "more than 4 directives"),
        (chained_fragments(25), "nested more than"),
        (doubled_spreads(40), "repeated too often"),
        ("{" + " ".join(f"field{n}" for n in range(601)) + "}", "more than 600 selections"),
        ("{ items(first: 100) { edges { node { items(first: 100) { edges { node { id } } } } } } }", "20301 objects"),
    ],
)
async def test_a_document_beyond_a_limit_is_refused(document: str, reason: str) -> None:
    result = await SCHEMA.execute(document)
    assert result.data is None
    assert result.errors is not None
    (error,) = result.errors
    assert reason in error.message
    assert error.extensions == {"code": "LIMIT_EXCEEDED"}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{" + "item { id } " * 600 + "}", "more than 2000 tokens"),
        ("#\n" * 101 + "{ item { id } }", "more than 100 comments"),
        ('{ item(text: "' + "x" * 20_000 + '") { id } }', "20000"),
    ],
)
async def test_a_document_that_is_too_long_is_not_parsed(document: str, reason: str) -> None:
    result = await SCHEMA.execute(document)
    assert result.errors is not None
    assert reason in result.errors[0].message
    assert result.errors[0].extensions == {"code": "GRAPHQL_PARSE_FAILED"}


async def test_a_number_too_long_for_python_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    result = await SCHEMA.execute(f"{{ items(first: {'9' * 5000}) {{ edges {{ cursor }} }} }}")
    assert result.errors is not None
    assert result.errors[0].extensions == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "document",
    [
        nested(12),
        "{ items(first: 100) { edges { node { items(first: 20) { edges { node { id } } } } } } }",
        "{ items { edges { node { items { edges { node { items { pageInfo { hasNextPage } } } } } } } } }",
        # what colocated fragments of a frontend look like
        "{ item { " + "".join(f"...F{n} " for n in range(20)) + "} } "
        "" + "".join(f"fragment F{n} on Item {{ id parent {{ id }} }} " for n in range(20)),
    ],
)
async def test_a_document_within_the_limits_is_answered(document: str) -> None:
    result = await SCHEMA.execute(document)
    assert not result.errors


async def test_tools_may_introspect_unless_it_is_switched_off() -> None:
    everything = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    assert not (await SCHEMA.execute(everything)).errors
    closed = build_schema(Query, introspection=False)
    result = await closed.execute(everything)
    assert result.data is None
    assert result.errors is not None
    assert result.errors[0].extensions == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert (await closed.execute("{ __typename item { __typename } }")).data == {
        "__typename": "Query",
        "item": {"__typename": "Item"},
    }


PAGES = """query($outer: Int = 5, $inner: Int!) {
    items(first: $outer) { edges { node { items(first: $inner) { edges { node { id } } } } } } }"""


@pytest.mark.parametrize(
    ("variables", "is_refused"),
    [
        ({"inner": 100}, False),
        ({"outer": 100, "inner": 45}, False),
        ({"outer": 100, "inner": 100}, True),
        ({"outer": None, "inner": 100}, False),
    ],
)
async def test_pages_count_as_large_as_the_variables_make_them(variables: dict[str, int], is_refused: bool) -> None:
    result = await SCHEMA.execute(PAGES, variable_values=variables)
    assert bool(result.errors) is is_refused


def test_the_objects_of_a_document_are_counted() -> None:
    def objects(document: str) -> int:
        return measure(parse(document), Limits())

    assert objects("{ item { id } }") == 1
    assert objects("{ item { parent { parent { id } } } }") == 3
    assert objects("{ items(first: 10) { edges { node { id } } pageInfo { endCursor } } }") == 1 + 10 + 10 + 1
    assert objects("{ items { edges { node { parent { id } } } } }") == 1 + 3 * DEFAULT_PAGE
    assert objects("query($n: Int!) { items(first: $n) { edges { cursor } } }") == 101
    with pytest.raises(TooMuch, match="up to 101 objects"):
        check_objects(parse("{ items(first: 500) { edges { cursor } } }"), Limits(objects=100), {})


async def test_a_document_is_parsed_and_validated_once() -> None:
    documents = Documents(Limits(), introspection=True)
    schema = Schema(Query, extensions=[lambda: CheckedDocuments(documents)])
    await schema.execute("{ item { id } }")
    (known,) = documents.known.values()
    for _ in range(3):
        assert (await schema.execute("{ item { id } }")).data == {"item": {"id": "1"}}
    assert list(documents.known.values()) == [known]
    assert documents.find("{ item { id } }") is known


async def test_a_refused_document_is_refused_again_in_the_same_words() -> None:
    first = await SCHEMA.execute("{ itms }")
    again = await SCHEMA.execute("{ itms }")
    assert first.errors is not None
    assert again.errors is not None
    assert [error.formatted for error in first.errors] == [error.formatted for error in again.errors]


async def test_the_memory_of_documents_is_bounded() -> None:
    documents = Documents(Limits(), introspection=True)
    schema = Schema(Query, extensions=[lambda: CheckedDocuments(documents)])
    text: Callable[[int], str] = '{{ item(text: "{}") {{ id }} }}'.format
    for number in range(CACHED_DOCUMENTS + 10):
        await schema.execute(text(number))
        await schema.execute(text(0))
    assert len(documents.known) == CACHED_DOCUMENTS
    assert text(0) in documents.known
    assert text(1) not in documents.known


async def test_one_operation_of_several_is_named() -> None:
    both = "query A { a: item { id } } query B { b: item { id } }"
    assert (await SCHEMA.execute(both, operation_name="B")).data == {"b": {"id": "1"}}
    assert (await SCHEMA.execute(both, operation_name="A")).data == {"a": {"id": "1"}}
    result = await SCHEMA.execute(both)
    assert result.errors is not None
    assert "operationName" in result.errors[0].message
