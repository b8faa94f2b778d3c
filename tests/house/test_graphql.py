"""The schema in the repository is the one that is served, and every part of it is told."""

import subprocess
import sys
from collections.abc import Iterator

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)

from tests.house.pages import ROOT

SDL = (ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8")
REGENERATE = "schema/schema.graphql is not the schema: run `inkmeter export-schema > schema/schema.graphql`"


def test_the_sdl_is_current() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "server", "export-schema"], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert printed.stdout == SDL, REGENERATE
    assert not printed.stderr


def _undescribed(schema: GraphQLSchema) -> Iterator[str]:
    for name, type_ in schema.type_map.items():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        if not type_.description:
            yield name
        match type_:
            case GraphQLEnumType():
                yield from (f"{name}.{value}" for value, told in type_.values.items() if not told.description)
            case GraphQLInputObjectType():
                yield from (f"{name}.{field}" for field, told in type_.fields.items() if not told.description)
            case GraphQLObjectType() | GraphQLInterfaceType():
                for field, told in type_.fields.items():
                    if not told.description:
                        yield f"{name}.{field}"
                    for argument, meant in told.args.items():
                        # A mutation's `input` is told by its type.
                        if not meant.description and (name, argument) != ("Mutation", "input"):
                            yield f"{name}.{field}({argument})"


def test_everything_is_described() -> None:
    assert list(_undescribed(build_schema(SDL))) == []


def test_each_mutation_takes_one_input_and_answers_user_errors() -> None:
    mutation = build_schema(SDL).mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        kind = name[0].upper() + name[1:]
        assert list(field.args) == ["input"], name
        assert str(field.args["input"].type) in (f"{kind}Input!", "ReceiveWebhookInput!")
        assert str(field.type) in (f"{kind}Payload!", "ReceiveWebhookPayload!")
    for name, payload in build_schema(SDL).type_map.items():
        if name.endswith("Payload"):
            assert isinstance(payload, GraphQLObjectType)
            assert str(payload.fields["userErrors"].type) == "[UserError!]!"
            others = [field for field in payload.fields if field != "userErrors"]
            assert others
            # A refused mutation has no object; only the answers to single events are a list.
            assert not [f for f in others if str(payload.fields[f].type).endswith("!")] or others == ["results"]
