"""API keys: made once, shown once, stored as a hash."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from inkmeter.errors import NotFound
from services.platform import Platform
from storage.keys import ApiKey as ApiKey
from storage.keys import Role as Role
from storage.keys import find_key
from storage.tenants import Tenant

PREFIXES: Final = {Role.OPERATOR: "ink_op_", Role.TENANT: "ink_tn_"}


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is asking. A tenant's key has its `tenant_id` (internal); the operator's has none."""

    key_id: UUID
    role: Role
    tenant_id: int | None

    @property
    def is_operator(self) -> bool:
        return self.role is Role.OPERATOR


async def create_key(platform: Platform, role: Role, tenant_public_id: UUID | None = None) -> str:
    """Make a key and answer it; it cannot be read again. Raises NotFound for an unknown tenant."""
    tenant_id = None
    if role is Role.TENANT:
        tenant = await Tenant.get_or_none(public_id=tenant_public_id)
        if tenant is None:
            raise NotFound("no such tenant", path=("tenantId",))
        tenant_id = tenant.id
    key = PREFIXES[role] + secrets.token_urlsafe(32)
    await ApiKey.create(
        hash=_hash(key),
        prefix=key[: len(PREFIXES[role]) + 4],
        role=role,
        tenant_id=tenant_id,
        created_at=platform.clock.now(),
    )
    return key


async def ensure_key(platform: Platform, key: str) -> None:
    """Make a known operator key valid: for sandboxes, where everybody may know it."""
    if not await ApiKey.exists(hash=_hash(key)):
        await ApiKey.create(
            hash=_hash(key),
            prefix=key[:11],
            role=Role.OPERATOR,
            tenant_id=None,
            created_at=platform.clock.now(),
        )


def bearer(authorization: str | None) -> str:
    """The key in an `Authorization: Bearer …` header; empty if there is none."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def find_viewer(key: str) -> Viewer | None:
    """Whom a key speaks for; None for an unknown or revoked one, or none at all."""
    if not key:
        return None
    found = await find_key(_hash(key))
    return Viewer(*found) if found else None


def _hash(key: str) -> str:
    # A fast hash is right for a secret of 32 random bytes: there is nothing to guess.
    return hashlib.sha256(key.encode()).hexdigest()
