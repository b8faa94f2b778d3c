"""API keys: only their hashes are stored."""

from enum import StrEnum
from uuid import UUID

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.database import row
from storage.fields import InstantField
from storage.ids import new_id


class Role(StrEnum):
    """Whom a key speaks for: the operator, or one tenant."""

    OPERATOR = "OPERATOR"
    TENANT = "TENANT"


class ApiKey(Model):
    """A key that was given out once; `prefix` is its readable beginning, for lists and logs."""

    id = UUIDField(primary_key=True, default=new_id)
    hash = TextField()
    prefix = TextField()
    role = CharEnumField(Role)
    tenant_id = BigIntField(null=True)
    created_at = InstantField()
    revoked_at = InstantField(null=True)

    class Meta:
        table = "api_key"


async def find_key(key_hash: str) -> tuple[UUID, Role, int | None] | None:
    """Id, role and tenant of a key that was not revoked. Plain SQL: every request asks this first."""
    found = await row("SELECT id, role, tenant_id FROM api_key WHERE hash = ? AND revoked_at IS NULL", key_hash)
    return (UUID(str(found["id"])), Role(found["role"]), found["tenant_id"]) if found else None
