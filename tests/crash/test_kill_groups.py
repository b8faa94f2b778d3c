"""kill -9 between any two steps of making, sending, cancelling and deleting a document group."""

from datetime import timedelta

import pytest

from storage.documents import Document, DocumentState
from storage.operations import Operation
from storage.tenants import Tenant
from storage.usage import UsageEvent
from tests.bookkeeping import used_units
from tests.crash import stories
from tests.crash.conftest import City

pytestmark = pytest.mark.anyio


async def test_groups(city: City) -> None:
    fates = await city.kill_everywhere(stories.send_as_group, prepared=False)
    assert {
        "COMMIT",
        "POST /document",
        "PUT /document/…",
        "POST /documentgroup",
        "UPDATE document",
        "POST /documentgroup/…/groupinvite",
        "POST /documentgroup/…/groupinvite/…/cancelinvite",
        "DELETE /documentgroup/…",
    } <= set(fates.values())

    await city.go_on(stories.send_as_group, list(fates), timedelta(minutes=3))
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        theirs, ours = await city.signnow_books(tenant), await used_units(tenant)
        assert (theirs["uploads"], ours["documents_created"]) == (2, 2), fate
        assert (theirs["invites_charged"], ours["invites_sent"]) == (2, 2), fate
        events = await UsageEvent.filter(tenant_id=tenant.id)
        assert sum(event.upstream_units for event in events) == theirs["invites_charged"], fate
        documents = await Document.filter(tenant_id=tenant.id).order_by("name")
        assert [(d.name, d.state, d.group_id) for d in documents if not d.is_group] == [
            ("first", DocumentState.CANCELLED, None),
            ("second", DocumentState.CANCELLED, None),
        ], fate
        assert [(d.name, d.state) for d in documents if d.is_group] == [("Closing", DocumentState.DELETED)], fate
        assert not await Operation.filter(tenant_id=tenant.id, state__in=["RESERVED", "UNKNOWN"]).exists(), fate
