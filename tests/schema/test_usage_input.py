"""The input of `recordUsage` is read in one go, and comes to what Strawberry makes of it field by field."""

import asyncio
from typing import Any

import pytest
import strawberry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.relay import GlobalID
from strawberry.types.base import get_object_definition

from schema.usage import RecordUsageInput
from server.graphql_schema import build_schema

DEFINITION = get_object_definition(RecordUsageInput, strict=True)
READ = DEFINITION.from_input
DOCUMENT = "query ($input: RecordUsageInput!) { take(input: $input) }"
taken: list[RecordUsageInput] = []


@strawberry.type
class Query:
    @strawberry.field
    def take(self, input: RecordUsageInput) -> bool:
        taken.append(input)
        return True


SCHEMA = build_schema(Query)
EVENTS = st.fixed_dictionaries(
    {"meter": st.text(max_size=3), "idempotencyKey": st.text(max_size=3)},
    optional={
        "quantity": st.sampled_from([3, "1.5", 0, "x", None, 1.5]),
        "occurredAt": st.sampled_from([None, "2026-03-10T08:00:00+02:00", "yesterday"]),
        "properties": st.sampled_from([None, {}, {"region": "eu", "seats": [1]}]),
        "unknown": st.none(),
    },
)
INPUTS = st.fixed_dictionaries(
    {"events": st.one_of(EVENTS, st.lists(EVENTS, max_size=3))},
    optional={"tenantId": st.sampled_from([None, str(GlobalID("Tenant", "7")), "x", ""])},
)


def answers(document: str, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What both ways make of a request: the input or the errors."""
    found = []
    for way in (READ, None):
        taken.clear()
        with monkeypatch.context() as patch:
            patch.setattr(DEFINITION, "from_input", way)
            result = asyncio.run(SCHEMA.execute(document, variables))
        found.append((result.data, [error.formatted for error in result.errors or ()], [*taken]))
    return found


@given(given=INPUTS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_variables_are_read_as_strawberry_reads_them(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own, theirs = answers(DOCUMENT, {"input": given}, monkeypatch)
    assert own == theirs


@pytest.mark.parametrize(
    "written",
    [
        '{events: {meter: "a", idempotencyKey: "1"}}',
        '{events: [{meter: "a", idempotencyKey: "1", quantity: 2, properties: {a: 1}}], tenantId: "VGVuYW50Ojc="}',
        '{events: [{meter: "a", idempotencyKey: "1", occurredAt: "2026-03-10T08:00:00Z"}], tenantId: null}',
        '{events: [], tenantId: "nobody"}',
    ],
    ids=["one event", "all fields", "null", "bad id"],
)
def test_literals_are_read_as_strawberry_reads_them(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, theirs = answers(f"{{ take(input: {written}) }}", {}, monkeypatch)
    assert own == theirs


def test_what_is_left_out_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, _, [read]), _ = answers(DOCUMENT, {"input": {"events": [{"meter": "a", "idempotencyKey": "1"}]}}, monkeypatch)
    event = read.events[0]
    assert (event.quantity, event.occurred_at, event.properties, read.tenant_id) == (1, None, None, None)
