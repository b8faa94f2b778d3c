"""How much one GraphQL document may ask for, measured in one walk before GraphQL's own, costlier validation.

Why not Strawberry's depth and alias limiters: their walk takes exponential time for fragments that spread
each other twice, they know nothing of pages, and by then validation has compared all repeated fields
pairwise.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)

from schema.connections import DEFAULT_PAGE, MAX_PAGE

MAX_DIRECTIVES_PER_NODE: Final = 4
_INTROSPECTION = ("__schema", "__type")
"""Deep by nature; GraphQL's own validation keeps them in bounds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a document may contain, all operations together."""

    characters: int = 20_000
    tokens: int = 2_000
    comments: int = 100
    depth: int = 12
    aliases: int = 30
    selections: int = 600
    comparisons: int = 5_000
    """Pairs of fields with one response name in one place: each pair is compared in validation."""
    objects: int = 10_000
    """Objects in the answer if every page is full. A page counts as large as its `first`."""

    @property
    def parse_options(self) -> dict[str, Any]:
        """The options of graphql-core's parser that keep these limits."""
        return {
            "max_lexical_tokens": self.tokens,
            "max_comments": self.comments,
            "max_source_length": self.characters,
        }


class TooMuch(Exception):
    """A document goes beyond a limit; the message says which."""


@dataclass(slots=True)
class _Walk:
    """One walk over everything that a document selects, fragments in place; stops at the first limit."""

    limits: Limits
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any] | None
    """None: each page whose size is a variable counts as the largest."""
    defaults: dict[str, object] = field(default_factory=dict)
    selections: int = 0
    aliases: int = 0
    comparisons: int = 0
    objects: int = 0
    places: Counter[tuple[str, ...]] = field(default_factory=Counter)
    spread: set[str] = field(default_factory=set)

    def definition(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> None:
        self.places.clear()
        self._node(definition)
        self._selected(definition.selection_set, (), 1, 1, DEFAULT_PAGE)

    def operation(self, operation: OperationDefinitionNode) -> None:
        self.defaults = {
            definition.variable.name.value: int(definition.default_value.value)
            for definition in operation.variable_definitions or ()
            if isinstance(definition.default_value, IntValueNode)
        }
        self.definition(operation)

    def _selected(self, selected: SelectionSetNode, place: tuple[str, ...], depth: int, times: int, page: int) -> None:
        for node in self._in_place(selected, ()):
            name = node.name.value
            here = (*place, node.alias.value if node.alias else name)
            self._count(node, here)
            if node.selection_set is None:
                continue
            if depth >= self.limits.depth:
                raise TooMuch(f"nested more than {self.limits.depth} levels deep")
            if name in _INTROSPECTION:
                self._selected(node.selection_set, here, -self.limits.depth, 0, 0)
                continue
            inside = times * page if name == "edges" else times
            self.objects += inside
            self._selected(node.selection_set, here, depth + 1, inside, self._page(node))

    def _in_place(self, selected: SelectionSetNode, inside: tuple[str, ...]) -> Iterator[FieldNode]:
        """The fields of a selection set, fragments in place; cycles are left to validation."""
        for node in selected.selections:
            self._node(node)
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self._in_place(node.selection_set, inside)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in inside:
                self.spread.add(node.name.value)
                fragment = self.fragments.get(node.name.value)
                if fragment is not None:
                    yield from self._in_place(fragment.selection_set, (*inside, node.name.value))

    def _node(self, node: SelectionNode | OperationDefinitionNode | FragmentDefinitionNode) -> None:
        self.selections += 1
        if self.selections > self.limits.selections:
            raise TooMuch(f"more than {self.limits.selections} selections, fragments included")
        if len(node.directives or ()) > MAX_DIRECTIVES_PER_NODE:
            raise TooMuch(f"more than {MAX_DIRECTIVES_PER_NODE} directives in one place")

    def _count(self, node: FieldNode, here: tuple[str, ...]) -> None:
        self.aliases += node.alias is not None
        if self.aliases > self.limits.aliases:
            raise TooMuch(f"more than {self.limits.aliases} aliases")
        self.comparisons += self.places[here]
        self.places[here] += 1
        if self.comparisons > self.limits.comparisons:
            raise TooMuch("the same fields are repeated too often")

    def _page(self, node: FieldNode) -> int:
        value = next((arg.value for arg in node.arguments or () if arg.name.value == "first"), None)
        size: object = DEFAULT_PAGE
        if isinstance(value, IntValueNode):
            size = int(value.value)
        elif isinstance(value, VariableNode):
            if self.variables is None:
                return MAX_PAGE
            name = value.name.value
            size = self.variables.get(name, self.defaults.get(name))
        return min(max(size, 0), MAX_PAGE) if isinstance(size, int) else DEFAULT_PAGE


def measure(document: DocumentNode, limits: Limits) -> int:
    """Check a document that is not validated yet; answers how many objects it may ask for at most.

    Raises TooMuch for everything that can be said without variables: all limits but `objects`.
    """
    return _walked(document, limits, None).objects


def check_objects(document: DocumentNode, limits: Limits, variables: Mapping[str, Any]) -> None:
    """Raise TooMuch if a measured document asks for too many objects with these variables."""
    objects = _walked(document, limits, variables).objects
    if objects > limits.objects:
        raise TooMuch(f"up to {objects} objects are asked for, {limits.objects} are the limit; ask for smaller pages")


def _walked(document: DocumentNode, limits: Limits, variables: Mapping[str, Any] | None) -> _Walk:
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    walk = _Walk(limits, fragments, variables)
    operations_first = sorted(document.definitions, key=lambda d: isinstance(d, FragmentDefinitionNode))
    for definition in operations_first:
        if isinstance(definition, OperationDefinitionNode):
            walk.operation(definition)
        elif isinstance(definition, FragmentDefinitionNode):
            name = definition.name.value
            if name not in walk.spread or fragments[name] is not definition:
                walk.definition(definition)  # unused or doubled: validation looks into it before it says so
    return walk
