"""Our units, SignNow's and its bill: every gap has its reason, or is a discrepancy."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.upstream_gaps import Cause, GapReason, explain, figure_of
from storage.discrepancies import Discrepancy
from storage.documents import Document
from storage.tenants import Tenant
from storage.upstream import UpstreamFigure
from storage.usage import UsageEvent
from tests.services.steps import INVITES, Customer, do, fault, problems, raw_id, refused, sign_up
from tests.services.upstream_steps import RECONCILED, reconcile, record
from tests.world import START, World, open_world

pytestmark = pytest.mark.anyio
HEADERS = {"authorization": "Bearer sandbox-api-key"}
APRIL = datetime(2026, 4, 2, tzinfo=UTC)


def causes(row: dict[str, object]) -> dict[str, str]:
    return {cause["reason"]: cause["units"] for cause in row["causes"]}  # type: ignore[attr-defined]


async def theirs(document: str) -> str:
    return (await Document.get(id=raw_id(document))).signnow_document_id


async def invite_in_the_web_app(world: World, signnow_id: str) -> None:
    body = {"to": "eve@x.test", "from": "owner@sandbox.test"}
    (await world.signnow.post(f"/document/{signnow_id}/invite", json=body, headers=HEADERS)).raise_for_status()


async def test_books_that_agree(world: World) -> None:
    acme = await sign_up(world, INVITES)
    await acme.send(1, "ann@x.test", "bob@x.test")
    await acme.send(2)
    await record(world, bills=[{"number": "1", "period": "2026-03", "amount": "3.50", "currency": "USD"}])
    tenant, total = await reconcile(world)
    assert (tenant["name"], total["name"]) == ("acme Inc", None)
    for row in (tenant, total):
        assert (row["ours"], row["theirs"], row["basis"], row["unexplained"]) == ("2", "2", "DOCUMENTS", "0")
        assert row["causes"] == []
        assert row["declared"] == [{"amount": "3.00", "currency": "USD"}]
        assert row["billed"] == [{"amount": "3.50", "currency": "USD"}]
    assert await reconcile(world, tenantId=acme.id) == [tenant]
    assert [row["ours"] for row in await reconcile(world, "2026-04")] == ["0", "0"]
    assert await Discrepancy.all().count() == 0


async def test_each_gap_has_its_reason(world: World) -> None:
    acme = await sign_up(world, INVITES)
    cancelled, gone = await acme.send("cancelled"), await acme.send("gone")
    url = f"/document/{await theirs(cancelled)}/fieldinvitecancel"
    (await world.signnow.put(url, json={"reason": "x"}, headers=HEADERS)).raise_for_status()
    await world.sign(await theirs(gone), "ann@x.test")
    await world.work()
    (await world.signnow.delete(f"/document/{await theirs(gone)}", headers=HEADERS)).raise_for_status()
    await invite_in_the_web_app(world, await theirs(await acme.document("web", "Web")))
    unknown = await acme.document("unknown", "Unknown")
    await fault(world.signnow, "timeout_after", on="/document/", method="POST")
    await acme.invite(unknown, "in-unknown")
    row, _ = await reconcile(world)
    assert (row["ours"], row["theirs"], row["unexplained"]) == ("2", "2", "0")
    assert causes(row) == {"CANCELLED": "-1", "GONE": "-1", "UNKNOWN_OUTCOME": "1", "WEB_APP": "1"}
    await world.travel_to(START + timedelta(minutes=5))
    await world.work()
    row, _ = await reconcile(world)
    assert (row["ours"], causes(row)) == ("3", {"CANCELLED": "-1", "GONE": "-1", "WEB_APP": "1"})


async def test_development_mode_is_counted_and_costs_nothing(database_url: str) -> None:
    async with open_world(database_url, signnow_is_live=False) as world:
        acme = await sign_up(world, INVITES)
        await acme.send(1)
        assert (await acme.usage())["invites_sent"] == (1, 0)
        row, _ = await reconcile(world)
        assert (row["ours"], row["theirs"], causes(row)) == ("0", "1", {"DEVELOPMENT": "1"})
        await world.travel_to(datetime(2026, 4, 10, 12, tzinfo=UTC))
        assert (await acme.close())["invoice"]["upstream"] == {
            "units": "0",
            "cost": {"amount": "0.00"},
            "margin": {"amount": "2.00"},
        }


async def test_an_event_that_is_lost_is_a_discrepancy(world: World) -> None:
    """An operation that ended without its event: nothing explains that away."""
    acme = await sign_up(world, INVITES)
    await acme.send(1)
    await UsageEvent.filter(upstream_units=1).delete()
    await Document.all().update(sent_at=None)
    for _ in range(2):
        row, _ = await reconcile(world)
        assert (row["ours"], row["theirs"], row["unexplained"], row["causes"]) == ("0", "1", "1", [])
    [found] = await Discrepancy.all()
    assert (found.kind, found.subject, found.ours_minor, found.theirs_minor) == ("SIGNNOW_UNITS", "2026-03", 0, 1)
    assert (found.tenant_id, found.state, found.evidence["unexplained"]) == (acme.tenant.id, "OPEN", 1)


async def with_figure(world: World, customer: Customer, invites: int, **more: object) -> None:
    folder = customer.tenant.signnow_folder_id
    said = await record(world, figures=[{"period": "2026-03", "invites": str(invites), "folder": folder, **more}])
    assert said["userErrors"] == []


async def test_a_figure_of_signnows_goes_before_its_documents(world: World) -> None:
    acme = await sign_up(world, INVITES)
    bolt = await sign_up(world, INVITES, reference="bolt", code="other")
    for number in range(3):
        await acme.send(number)
    await bolt.send(1)
    await with_figure(world, acme, 3)
    await record(world, figures=[{"period": "2026-03", "invites": "7"}])
    first, second, total = await reconcile(world)
    assert [(r["basis"], r["ours"], r["theirs"], r["unexplained"]) for r in (first, second, total)] == [
        ("FIGURE", "3", "3", "0"),
        ("DOCUMENTS", "1", "1", "0"),
        ("FIGURE", "4", "7", "3"),
    ]
    await world.travel_to(START + timedelta(days=1))
    await acme.send("after it was taken")
    first, _, _ = await reconcile(world)
    assert (first["ours"], first["unexplained"], causes(first)) == ("4", "0", {"LATE": "-1"})
    await with_figure(world, acme, 9)
    first, _, _ = await reconcile(world)
    assert (first["theirs"], first["unexplained"]) == ("9", "5")
    assert await Discrepancy.filter(tenant_id=acme.tenant.id, kind="SIGNNOW_UNITS").count() == 1


async def test_documents_in_the_folder_that_are_not_ours(world: World) -> None:
    acme = await sign_up(world, INVITES)
    await acme.send(1)
    folder = (await Tenant.get(id=acme.tenant.id)).signnow_folder_id
    for place in (folder, None):  # one beside the folder is nobody's
        files = {"file": ("web.pdf", world.pdf(), "application/pdf")}
        data = {"folder_id": place} if place else {}
        made = (await world.signnow.post("/document", files=files, data=data, headers=HEADERS)).json()
        await invite_in_the_web_app(world, made["id"])
    row, total = await reconcile(world)
    assert (row["ours"], row["theirs"], causes(row), row["unexplained"]) == ("1", "2", {"WEB_APP": "1"}, "0")
    await world.travel_to(START + timedelta(days=31))
    _, total = await reconcile(world, "2026-04")
    assert (total["ours"], total["theirs"]) == ("0", "0"), "ours of another month is not foreign"


async def test_signnow_that_is_away_is_told(world: World) -> None:
    acme = await sign_up(world, INVITES)
    await acme.send(1)
    await fault(world.signnow, "500", times=50, method="GET")
    away = await do(world.operator, "reconcileSignNow", f"rows {{ {RECONCILED} }}", month="2026-03")
    assert refused(away)["__typename"] == "UpstreamUnavailable"
    assert await Discrepancy.all().count() == 0


async def test_a_month_is_a_month(world: World) -> None:
    for month in ("", "2026", "2026-00", "2026-03-01", "26-03", "2026-3", "2026-03/04", "0000-01"):
        answer = await do(world.operator, "reconcileSignNow", f"rows {{ {RECONCILED} }}", month=month)
        assert list(problems(answer)) == ["month"], month


CAUSES = st.lists(st.builds(Cause, st.sampled_from(GapReason), st.integers(-20, 20), st.booleans()), max_size=6)


@given(st.integers(-50, 50), CAUSES)
def test_causes_and_rest_come_to_the_gap(gap: int, known: list[Cause]) -> None:
    told, rest = explain(gap, known)
    assert sum(cause.units for cause in told) + rest == gap
    certain = sum(cause.units for cause in known if cause.is_certain)
    assert abs(rest) <= abs(gap - certain), "what may be never makes it worse"


def figure(units: int, period: tuple[str, str] = ("2026-03-01", "2026-04-01"), **more: object) -> UpstreamFigure:
    content = {"source": "csv", "kind": "", "folder": "", "account": "", "recorded_at": START, **more}
    return UpstreamFigure(starts_on=period[0], ends_on=period[1], units=units, **content)


def test_no_figure_counts_twice() -> None:
    day, week = ("2026-03-01", "2026-03-02"), ("2026-03-01", "2026-03-08")
    for figures, units in (
        ([figure(9), figure(1, day)], 9),
        ([figure(1, day), figure(5, week), figure(2, ("2026-03-08", "2026-03-09"))], 7),
        ([figure(4, kind="FIELD_INVITE"), figure(2, kind="FREE_FORM_SIGNER"), figure(7, kind="DEVELOPMENT")], 6),
        ([figure(4, kind="FIELD_INVITE"), figure(5)], 5),
        ([figure(9), figure(8, source="manual", recorded_at=START + timedelta(hours=1))], 8),
    ):
        found = figure_of(figures, "2026-03", "")
        assert found is not None
        assert found.units == units
    assert figure_of([figure(9, folder="f"), figure(3, account="eve")], "2026-03", "") is None
