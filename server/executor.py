"""Completes plain data in a tight loop: a request for a long list takes less than half the CPU it takes field by field.

GraphQL's own executor makes a path, an info object and half a dozen calls for each field of each object. A
field without a resolver needs none of that: its value is an attribute. This executor finds the parts of a
query where every field is such an attribute (or `__typename`) and reads them straight into the answer.

The answer is the same, errors and their paths included, because anything unusual (a null where none may be,
an awaitable, an exception, a value that does not fit) abandons the attempt, and the part is done again by the
methods overridden here. Reading attributes twice has no effects. A differential test holds the two together;
it is needed, because graphql-core documents these methods as private.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLID,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLString,
    OperationType,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.pyutils import Path, Undefined
from strawberry.relay import GlobalID
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

Complete = Callable[[Any], Any]
"""Makes the answer of a value, or raises: then the value is not plain."""

Read = tuple[str, Complete]
"""The attribute behind a field, and how its value is completed."""

_DEFINITION: Final = GraphQLCoreConverter.DEFINITION_BACKREF
_PLAIN: Final = frozenset({str, bool, int, float, Decimal, datetime, date, UUID, bytes, dict, GlobalID})
_SAME: Final[dict[GraphQLLeafType, type]] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


class NotPlain(Exception):
    """The attempt is abandoned; the usual way knows what to do."""


class PlainFieldsExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor with a short cut for plain data. Use as a schema's `execution_context_class`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        manager = self.middleware_manager
        self._is_usual = (
            (manager is not None and bool(manager.middlewares))  # middleware wants to see each field
            or self.operation.operation is OperationType.SUBSCRIPTION  # its events would fill the memory below
        )
        self._completes: dict[tuple[int, int], tuple[object, Complete | None]] = {}
        self._reads: dict[tuple[int, int], tuple[object, Read | None]] = {}

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: list[FieldDetails],
        path: Path,
        position_context: Any,
    ) -> Any:
        if position_context is None and not self._is_usual:
            key = id(parent_type), id(field_details_list)
            found = self._reads.get(key)
            if found is None:  # the list is kept beside the result, so that its id stays taken
                found = self._reads[key] = field_details_list, self._read(parent_type, field_details_list)
            if (read := found[1]) is not None:
                attribute, complete = read
                with suppress(Exception):  # done again below, where it is reported
                    return complete(getattr(source, attribute))
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if position_context is None and not self._is_usual:
            key = id(return_type), id(field_details_list)
            found = self._completes.get(key)
            if found is None:
                complete = self._complete(return_type, field_details_list)
                found = self._completes[key] = field_details_list, complete
            if (complete := found[1]) is not None:
                with suppress(Exception):  # done again below, where it is reported
                    return complete(result)
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def _complete(
        self, type_: GraphQLOutputType, details: list[FieldDetails], *, required: bool = False
    ) -> Complete | None:
        """How a value of this type is completed, if everything selected below is plain."""
        if isinstance(type_, GraphQLNonNull):
            return self._complete(type_.of_type, details, required=True)
        if isinstance(type_, GraphQLList):
            inner = self._complete(type_.of_type, details)
            return inner and _list(inner, required=required)
        if isinstance(type_, GraphQLObjectType):
            return self._object(type_, details, required=required)
        return _leaf(type_, self.is_awaitable, required=required) if is_leaf_type(type_) else None

    def _object(self, type_: GraphQLObjectType, details: list[FieldDetails], *, required: bool) -> Complete | None:
        definition = type_.extensions.get(_DEFINITION)
        if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
            return None
        grouped, deferred, _ = self.collect_subfields(type_, details)
        reads = [(name, self._read(type_, nodes)) for name, nodes in grouped.items()]
        fields = [(name, *read) for name, read in reads if read is not None]
        if deferred or len(fields) < len(reads):
            return None
        origin, is_checked, is_awaitable = definition.origin, type_.is_type_of is not None, self.is_awaitable

        def complete(value: Any) -> Any:
            if value is None and not required:
                return None
            if type(value) is not origin and (
                value is None or is_checked or isinstance(value, Exception) or is_awaitable(value)
            ):
                raise NotPlain  # a type with a check decides about other classes itself
            return {name: complete(getattr(value, attribute)) for name, attribute, complete in fields}

        return complete

    def _read(self, parent: GraphQLObjectType, details: list[FieldDetails]) -> Read | None:
        """How a field of an object of type `parent` is read and completed, if it is plain."""
        directives = {directive.name.value for one in details for directive in one.node.directives or ()}
        name = details[0].node.name.value
        if directives - {"skip", "include"}:
            return None
        if name == "__typename":
            return "__class__", lambda _: parent.name
        field = self.schema.get_field(parent, name)
        declared = field and field.extensions.get(_DEFINITION)
        if field is None or field.args or not isinstance(declared, StrawberryField):
            return None
        if not declared.is_basic_field or declared.default_resolver is not getattr:
            return None
        complete = self._complete(field.type, details)
        return complete and (declared.python_name, complete)


def _list(inner: Complete, *, required: bool) -> Complete:
    def complete(value: Any) -> Any:
        if type(value) is list:  # an iterator may be read only once
            return [inner(item) for item in value]
        if value is None and not required:
            return None
        raise NotPlain

    return complete


def _leaf(type_: GraphQLLeafType, is_awaitable: Callable[[Any], bool], *, required: bool) -> Complete:
    same = _SAME.get(type_)
    coerce = type_.coerce_output_value

    def complete(value: Any) -> Any:
        kind = type(value)
        if kind is same:
            return value
        if value is None:
            if required:
                raise NotPlain
            return None
        if kind not in _PLAIN and (value is Undefined or isinstance(value, Exception) or is_awaitable(value)):
            raise NotPlain
        completed = coerce(value)
        if completed is None or completed is Undefined:
            raise NotPlain
        return completed

    return complete
