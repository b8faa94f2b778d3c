"""The executable schema: Strawberry's, with limits, a cache of checked documents and a policy for errors."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import strawberry
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    IntValueNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    StringValueNode,
    Visitor,
    parse,
    specified_rules,
    visit,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import validate_document
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from schema.refusals import USER_ERRORS
from schema.scalars import SCALARS, bad_input
from server.executor import PlainFieldsExecutor
from server.graphql_errors import presentable
from server.graphql_limits import Limits, TooMuch, check_objects, measure

CACHED_DOCUMENTS: Final = 256
"""A document at the limits takes about half a megabyte."""

MAX_NUMBER_LENGTH: Final = 400
_PUBLIC_RULES = (*specified_rules, NoSchemaIntrospectionCustomRule)


class Schema(strawberry.Schema):
    """Strawberry's schema whose errors all leave as `presentable` makes them, on every transport."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        errors[:] = map(presentable, errors)

    async def execute(self, query: str | None, *args: Any, **options: Any) -> ExecutionResult:
        """Execute a query or a mutation. A subscription is refused: it needs `stream`."""
        options["allowed_operation_types"] = (OperationType.QUERY, OperationType.MUTATION)
        return await super().execute(query, *args, **options)


def build_schema(
    query: type,
    mutation: type | None = None,
    subscription: type | None = None,
    *,
    types: Iterable[type] = (),
    limits: Limits | None = None,
    introspection: bool = True,
    fast: bool = True,
) -> Schema:
    """Build the schema that `GraphQLView` serves, with Inkmeter's scalars and user errors.

    `types` are those that no field names, such as further implementations of an interface. Without
    `introspection` the schema cannot be read through the API. `fast` completes plain fields in a tight loop;
    the answers are the same.
    """
    documents = Documents(limits or Limits(), introspection=introspection)
    return Schema(
        query,
        mutation,
        subscription,
        types=[*USER_ERRORS, *types],
        extensions=[lambda: CheckedDocuments(documents)],
        execution_context_class=PlainFieldsExecutor if fast else None,
        config=StrawberryConfig(scalar_map=SCALARS, batching_config=None),
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """A parsed document, what is wrong with it, and how many objects it asks for at most."""

    document: DocumentNode
    errors: tuple[GraphQLError, ...]
    objects: int = 0


@dataclass(slots=True)
class Documents:
    """Checks documents against the limits and the schema, and remembers the ones used last by their text.

    One look-up replaces parsing and validation, which cost far more than executing a small query. The memory
    is bounded, because each document is.
    """

    limits: Limits
    introspection: bool
    known: OrderedDict[str, Checked] = field(default_factory=OrderedDict)

    def find(self, text: str) -> Checked | None:
        checked = self.known.get(text)
        if checked is not None:
            self.known.move_to_end(text)
        return checked

    def check(self, schema: strawberry.Schema, text: str, document: DocumentNode) -> Checked:
        self.known[text] = checked = self._checked(schema, document)
        if len(self.known) > CACHED_DOCUMENTS:
            self.known.popitem(last=False)
        return checked

    def _checked(self, schema: strawberry.Schema, document: DocumentNode) -> Checked:
        errors, objects = _odd_values(document), 0
        if not errors:
            try:
                objects = measure(document, self.limits)
            except TooMuch as reason:
                return Checked(document, (too_much(reason),))
            rules = specified_rules if self.introspection else _PUBLIC_RULES
            errors = validate_document(schema._schema, document, rules)
        for error in errors:
            error.extensions = {**(error.extensions or {}), "code": "GRAPHQL_VALIDATION_FAILED"}
        return Checked(document, tuple(errors), objects)


class CheckedDocuments(SchemaExtension):
    """Gives each operation its checked document, and refuses it before anything is executed.

    All in one hook, because each hook costs as much as a look-up.
    """

    def __init__(self, documents: Documents) -> None:
        super().__init__()
        self.documents = documents

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        checked = self.documents.find(context.query or "")
        if checked is None:
            options = cast("dict[str, Any]", context.parse_options)  # graphql-core knows more than Strawberry says
            options |= self.documents.limits.parse_options
            with suppress(GraphQLSyntaxError):  # Strawberry parses what has no document, and reports the error
                document = parse(context.query or "", **options)
                checked = self.documents.check(context.schema, context.query or "", document)
        if checked is not None:
            context.graphql_document = checked.document
            context.pre_execution_errors = [*checked.errors] or self._refused(checked)  # a list: it is validated
        yield

    def _refused(self, checked: Checked) -> list[GraphQLError]:
        """What depends on the request beside the document: its variables and the operation that it names."""
        context, limits = self.execution_context, self.documents.limits
        operations = [d for d in checked.document.definitions if isinstance(d, OperationDefinitionNode)]
        if len(operations) > 1 and context._provided_operation_name is None:
            return [GraphQLError("Which operation? `operationName` is needed for several.", operations)]
        variables = context.variables or {}
        if _holds_nul(variables):
            return [bad_input("A variable cannot contain the character NUL")]
        if checked.objects > limits.objects:
            try:
                check_objects(checked.document, limits, variables)
            except TooMuch as reason:
                return [too_much(reason)]
        return []


def too_much(reason: TooMuch) -> GraphQLError:
    """The error for a document beyond a limit."""
    return GraphQLError(f"The document asks for too much: {reason}", extensions={"code": "LIMIT_EXCEEDED"})


def _holds_nul(value: object) -> bool:
    """Whether there is the character NUL, which PostgreSQL cannot store, anywhere in a JSON value."""
    stack = [value]
    while stack:
        inner = stack.pop()
        if isinstance(inner, str):
            if "\0" in inner:
                return True
        elif isinstance(inner, dict):
            stack += [*inner.keys(), *inner.values()]
        elif isinstance(inner, list):
            stack += inner
    return False


class _OddValues(Visitor):
    """The same for strings in a document, and numbers so long that Python refuses to read them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[GraphQLError] = []

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        if "\0" in node.value:
            self.found.append(GraphQLError("A string cannot contain the character NUL", node))

    def enter_int_value(self, node: IntValueNode, *_: object) -> None:
        if len(node.value) > MAX_NUMBER_LENGTH:
            self.found.append(GraphQLError(f"A number has at most {MAX_NUMBER_LENGTH} characters", node))


def _odd_values(document: DocumentNode) -> list[GraphQLError]:
    finder = _OddValues()
    visit(document, finder)
    return finder.found
