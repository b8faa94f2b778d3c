"""What the ledger reads: one query per kind of thing, by keys, for either database.

SQLite is asked for all keys of a query at once: between two statements the interpreter's lock is given up and waited
for. PostgreSQL is asked for all keys of all queries at once, each answered as one JSON value, because a round trip
costs more than the rows.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from storage.ledger_columns import GRANT, OPERATION


@dataclass(frozen=True)
class Query:
    """`columns` of `source` where `keys` (each with its type on PostgreSQL) are equal to what is asked for."""

    columns: Sequence[str]
    source: str
    keys: dict[str, str]
    more: str = ""

    @functools.cached_property
    def on_sqlite(self) -> str:
        """Many keys, as one JSON array of arrays. Each is looked up by itself: a CROSS JOIN keeps that order."""
        parts = ", ".join(f"json_extract(value, '$[{number}]') AS k{number}" for number in range(len(self.keys)))
        condition = " AND ".join(f"{key} = w.k{number}" for number, key in enumerate(self.keys))
        return (
            f"SELECT {', '.join(self.columns)} FROM (SELECT {parts} FROM json_each(?)) AS w CROSS JOIN {self.source} "
            f"WHERE {condition} {self.more}"
        )

    def on_postgres(self, first: int) -> str:
        """Many keys, an array for each part of them, numbered from `first`; one JSON value.

        Each key is looked up by itself (OFFSET 0 keeps it so): joined, a plan that was made while a table was small
        reads all of it.
        """
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(self.keys.values(), start=first))
        parts = [f"k{number}" for number in range(len(self.keys))]
        condition = " AND ".join(f"{key} = w.{part}" for key, part in zip(self.keys, parts, strict=True))
        return (
            f"(SELECT coalesce(json_agg(found.entry), '[]') FROM unnest({arrays}) AS w ({', '.join(parts)}), LATERAL ("
            f"SELECT json_build_array({', '.join(self.columns)}) AS entry FROM {self.source} "
            f"WHERE {condition} {self.more} OFFSET 0) AS found)"
        )


_BY_KEY: Final = {"tenant_id": "bigint", "idempotency_key": "text"}
_GRANTS: Final = [f"g.{name}" for name in GRANT]

METER_COUNT: Final = "SELECT COUNT(*) FROM meter"
"""How many meters the operator has made: who decides must know as many."""
ACCOUNTS: Final = Query(
    [
        "t.id",
        "t.public_id",
        "t.state",
        "t.grace_until",
        "s.id",
        "s.ended_at",
        "s.budget_minor",
        "s.budget_alerts_at",
    ],
    "tenant t LEFT JOIN subscription s ON s.tenant_id = t.id AND s.state = 'ACTIVE'",
    {"t.id": "bigint"},
)
PHASES: Final = Query(
    ["p.tenant_id", "p.id", "p.starts_at", "p.plan_id", "p.seats", "p.reason", "p.is_paused"],
    "phase p JOIN subscription s ON s.tenant_id = p.tenant_id AND s.id = p.subscription_id AND s.state = 'ACTIVE'",
    {"p.tenant_id": "bigint"},
    "ORDER BY p.tenant_id, p.starts_at, p.id",
)
COUNTERS: Final = Query(
    ["tenant_id", "period_starts_at", "meter", "used", "reserved", "credited", "pledged"],
    "usage_counter",
    {"tenant_id": "bigint", "period_starts_at": "bigint"},
)
PLEDGES: Final = Query(COUNTERS.columns, "usage_counter", {"tenant_id": "bigint"}, "AND pledged > 0")
OPERATIONS: Final = Query([*OPERATION], "operation", _BY_KEY)
EVENTS: Final = Query(
    [
        "e.tenant_id",
        "e.idempotency_key",
        "e.meter",
        "e.quantity",
        "e.occurred_at",
        "e.properties",
        "e.id",
        "e.reverses",
        "EXISTS (SELECT 1 FROM usage_event r WHERE r.tenant_id = e.tenant_id AND r.reverses = e.id)",
    ],
    "usage_event e",
    {"e.tenant_id": "bigint", "e.idempotency_key": "text"},
)
DOCUMENTS: Final = Query(
    [
        "d.tenant_id",
        "d.id",
        "d.state",
        "EXISTS (SELECT 1 FROM operation o WHERE o.tenant_id = d.tenant_id AND o.document_id = d.id AND "
        "o.kind IN ('INVITE', 'CANCEL', 'RESEND', 'REPLACE', 'DELETE', "
        "'GROUP_INVITE', 'GROUP_CANCEL', 'GROUP_RESEND', 'GROUP_DELETE') AND o.state IN ('RESERVED', 'UNKNOWN'))",
    ],
    "document d",
    {"d.tenant_id": "bigint", "d.id": "uuid"},
)
VALUES: Final = Query(
    ["tenant_id", "period_starts_at", "meter", "value", "events"],
    "usage_value",
    {"tenant_id": "bigint", "period_starts_at": "bigint", "meter": "text", "value": "text"},
)
ALL_VALUES: Final = Query(
    VALUES.columns, "usage_value", {"tenant_id": "bigint", "period_starts_at": "bigint", "meter": "text"}
)
OPEN_GRANTS: Final = Query(
    _GRANTS,
    "credit_grant g",
    {"g.tenant_id": "bigint"},
    "AND (g.remaining > 0 OR g.created_at = "
    "(SELECT MAX(l.created_at) FROM credit_grant l WHERE l.tenant_id = g.tenant_id AND l.meter = g.meter))",
)
GRANTS_BY_KEY: Final = Query(_GRANTS, "credit_grant g", {"g.tenant_id": "bigint", "g.idempotency_key": "text"})
GRANTS_BY_ID: Final = Query(_GRANTS, "credit_grant g", {"g.tenant_id": "bigint", "g.id": "uuid"})
TAKEN: Final = Query(
    ["tenant_id", "note"],
    "credit_entry",
    {"tenant_id": "bigint", "note": "text"},
    "AND kind IN ('REVOKED', 'REFUNDED')",
)
CONSUMED: Final = Query(
    ["tenant_id", "period_starts_at", "meter", "grant_id", "-SUM(units)"],
    "credit_entry",
    {"tenant_id": "bigint", "period_starts_at": "bigint"},
    "GROUP BY tenant_id, period_starts_at, meter, grant_id ORDER BY MAX(created_at) DESC, grant_id DESC",
)
BOUGHT: Final = Query(
    ["tenant_id", "period_starts_at", "meter", "COUNT(*)", "SUM(amount_minor)"],
    "charge",
    {"tenant_id": "bigint", "period_starts_at": "bigint"},
    "AND kind = 'AUTO_TOP_UP' GROUP BY tenant_id, period_starts_at, meter",
)
ORDERS: Final = Query(
    ["tenant_id", "id", "meter", "state", "period_starts_at", "units", "amount_minor", "currency"],
    "top_up_order",
    {"tenant_id": "bigint"},
    "AND is_holding",
)
