"""The columns of the tables that the ledger writes, in the order of the rows of `Writes`, with PostgreSQL's types."""

from typing import Final

EVENT: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "idempotency_key": "text",
    "meter": "text",
    "quantity": "bigint",
    "occurred_at": "bigint",
    "recorded_at": "bigint",
    "is_late": "boolean",
    "source": "text",
    "document_id": "uuid",
    "upstream_units": "bigint",
    "properties": "text",
    "reverses": "uuid",
    "note": "text",
    "upstream_kind": "text",
}
OPERATION: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "idempotency_key": "text",
    "kind": "text",
    "request": "text",
    "request_hash": "text",
    "state": "text",
    "period_starts_at": "bigint",
    "reserved": "text",
    "decision": "text",
    "document_id": "uuid",
    "refusal": "text",
    "created_at": "bigint",
    "ended_at": "bigint",
}
DOCUMENT: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "name": "text",
    "state": "text",
    "signnow_document_id": "text",
    "created_at": "bigint",
}
COUNTER: Final = {
    "tenant_id": "bigint",
    "period_starts_at": "bigint",
    "meter": "text",
    "used": "bigint",
    "reserved": "bigint",
    "credited": "bigint",
    "pledged": "bigint",
}
VALUE: Final = {
    "tenant_id": "bigint",
    "period_starts_at": "bigint",
    "meter": "text",
    "value": "text",
    "events": "bigint",
}
GRANT: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "idempotency_key": "text",
    "meter": "text",
    "source": "text",
    "units": "bigint",
    "remaining": "bigint",
    "priority": "bigint",
    "expires_at": "bigint",
    "note": "text",
    "created_at": "bigint",
    "balance": "bigint",
}
CREDIT_ENTRY: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "grant_id": "uuid",
    "meter": "text",
    "kind": "text",
    "units": "bigint",
    "period_starts_at": "bigint",
    "event_id": "uuid",
    "note": "text",
    "created_at": "bigint",
}
CHARGE: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "idempotency_key": "text",
    "kind": "text",
    "meter": "text",
    "period_starts_at": "bigint",
    "label": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "created_at": "bigint",
}
PHASE: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "subscription_id": "uuid",
    "starts_at": "bigint",
    "plan_id": "uuid",
    "seats": "bigint",
    "reason": "text",
    "proration": "text",
    "created_at": "bigint",
}
ALERT: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "kind": "text",
    "meter": "text",
    "since": "bigint",
    "percent": "bigint",
    "value": "bigint",
    "bound": "bigint",
    "currency": "text",
    "created_at": "bigint",
}
