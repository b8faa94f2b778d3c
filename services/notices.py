"""Notices about payments, for operator and tenant: each is stored once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from inkmeter.errors import NotFound
from storage.database import insert_new
from storage.notices import Notice as Notice
from storage.notices import NoticeKind as NoticeKind


async def note(
    tenant_id: int,
    kind: NoticeKind,
    subject: object,
    now: datetime,
    *,
    invoice_id: UUID | None = None,
    plan_id: UUID | None = None,
    left_plan_id: UUID | None = None,
    until: datetime | None = None,
    url: str | None = None,
) -> bool:
    """Store a notice in the caller's transaction; answers whether it is new for this subject."""
    notice = Notice(
        tenant_id=tenant_id,
        kind=kind,
        subject=str(subject),
        invoice_id=invoice_id,
        plan_id=plan_id,
        left_plan_id=left_plan_id,
        until=until,
        url=url,
        created_at=now,
    )
    return await insert_new(notice, ["tenant_id", "kind", "subject"])


async def list_notices(tenant_id: int, after: UUID | None, limit: int) -> Sequence[Notice]:
    """A tenant's notices, oldest first, after the given one."""
    query = Notice.filter(tenant_id=tenant_id)
    if after is not None:
        query = query.filter(id__gt=after)
    return await query.order_by("id").limit(limit)


async def find_notice(tenant_id: int | None, notice_id: UUID) -> Notice:
    """The notice, of that tenant unless None. Raises NotFound, also for another tenant's."""
    notice = await Notice.get_or_none(id=notice_id)
    if notice is None or tenant_id not in (None, notice.tenant_id):
        raise NotFound("no such notice")
    return notice
