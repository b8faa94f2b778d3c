"""What opens the SignNow accounts of tenants that have their own. Secrets: whoever reads the database has them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from storage.database import marks, row, rows
from storage.fields import to_micros


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """An access token, and what renews it."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)


async def load_tokens(tenant_id: int) -> StoredTokens | None:
    """The tenant's, if its user has consented and SignNow has not refused them since."""
    found = await row("SELECT access, refresh FROM signnow_token WHERE tenant_id = ?", tenant_id)
    return StoredTokens(found["access"], found["refresh"]) if found else None


async def keep_tokens(tenant_id: int, tokens: StoredTokens, now: datetime) -> None:
    """Keep them in place of any others."""
    await rows(
        "INSERT INTO signnow_token (tenant_id, access, refresh, updated_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (tenant_id) DO UPDATE SET access = excluded.access, refresh = excluded.refresh, "
        "updated_at = excluded.updated_at",
        tenant_id,
        tokens.access,
        tokens.refresh,
        to_micros(now),
    )


async def replace_tokens(tenant_id: int, instead_of: str, tokens: StoredTokens, now: datetime) -> bool:
    """Keep them if that access token is still the one that is kept. Answers whether it was."""
    replaced = await rows(
        "UPDATE signnow_token SET access = ?, refresh = ?, updated_at = ? "
        "WHERE tenant_id = ? AND access = ? RETURNING 1 AS ok",
        tokens.access,
        tokens.refresh,
        to_micros(now),
        tenant_id,
        instead_of,
    )
    return bool(replaced)


async def forget_tokens(tenant_id: int, access: str | None = None) -> bool:
    """Forget them, with `access` only if that is the token that is kept. Answers whether they were there."""
    condition, values = (" AND access = ?", (access,)) if access is not None else ("", ())
    gone = await rows(f"DELETE FROM signnow_token WHERE tenant_id = ?{condition} RETURNING 1 AS ok", tenant_id, *values)
    return bool(gone)


async def connected_tenants() -> set[int]:
    """The tenants whose tokens are kept."""
    return {found["tenant_id"] for found in await rows("SELECT tenant_id FROM signnow_token")}


async def connected_of(tenant_ids: Sequence[int]) -> set[int]:
    """Those of a few hundred tenants whose tokens are kept."""
    found = await rows(f"SELECT tenant_id FROM signnow_token WHERE tenant_id IN ({marks(tenant_ids)})", *tenant_ids)
    return {entry["tenant_id"] for entry in found}
