import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from inkmeter import (
    BillingModel,
    ConfigurationError,
    Event,
    InvoiceDraft,
    Line,
    Money,
    PluginError,
    TenantProvisioned,
    hookimpl,
)
from plugins.manager import load_plugins

Install = Callable[[str, str, Path], None]
pytestmark = pytest.mark.anyio
BUILT_IN = ("event-log", "flat", "metered", "per-document", "per-seat", "tiered")
PROVISIONED = TenantProvisioned("t-1", datetime(2026, 1, 1, tzinfo=UTC))


class Levy:
    """A plugin may be any object."""

    @hookimpl
    def extra_lines(self, draft: InvoiceDraft) -> Iterable[Line]:
        yield Line("Levy", Decimal("0.02"), draft.total.amount)


class Broken:
    @hookimpl
    def extra_lines(self) -> list[Line]:
        raise KeyError("rate")

    @hookimpl
    def on_event(self, event: Event) -> None:
        raise KeyError("event")


def test_the_built_ins_come_through_entry_points() -> None:
    plugins = load_plugins()
    assert set(BUILT_IN) <= set(plugins.names)
    assert {"flat", "metered", "per-document", "per-seat", "tiered"} <= {model.code for model in plugins.billing_models}


def test_each_call_builds_its_own_manager() -> None:
    load_plugins(extra=[Levy()])
    assert "Levy" not in load_plugins().names


def test_plugins_are_blocked_by_name() -> None:
    plugins = load_plugins(blocked=["flat", "Levy"], extra=[Levy()])
    assert not {"flat", "Levy"} & set(plugins.names)
    assert "flat" not in plugins.billing_models


def test_extra_lines_carry_the_name_of_their_plugin(draft: InvoiceDraft) -> None:
    (added,) = load_plugins(extra=[Levy()]).extra_lines(draft)
    assert (added.model, added.meter, added.line.label) == ("Levy", "", "Levy")
    assert added.line.total == Money(100, "USD")  # 2 % of 49.99


def test_a_failure_in_extra_lines_names_plugin_and_hook(draft: InvoiceDraft) -> None:
    with pytest.raises(PluginError, match="KeyError: 'rate'") as failure:
        load_plugins(extra=[Broken(), Levy()]).extra_lines(draft)
    assert (failure.value.plugin, failure.value.hook) == ("Broken", "extra_lines")


@pytest.mark.parametrize("answer", ["a line", 5, [Line("Levy", Decimal(1), Decimal("1e30"))]])
def test_a_bad_answer_names_plugin_and_hook(draft: InvoiceDraft, answer: object) -> None:
    class Odd:
        @hookimpl
        def extra_lines(self) -> object:
            return answer

    with pytest.raises(PluginError) as failure:
        load_plugins(extra=[Odd()]).extra_lines(draft)
    assert (failure.value.plugin, failure.value.hook) == ("Odd", "extra_lines")


async def test_events_reach_sync_and_async_plugins_even_past_a_broken_one(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, Event]] = []

    class Async:
        @hookimpl
        async def on_event(self, event: Event) -> None:
            heard.append(("async", event))

    class AsyncBroken:
        @hookimpl
        async def on_event(self, event: Event) -> None:
            raise OSError("no mail today")

    class Sync:
        @hookimpl
        def on_event(self, event: Event) -> None:
            heard.append(("sync", event))

    await load_plugins(extra=[Broken(), AsyncBroken(), Async(), Sync()]).publish(PROVISIONED)
    assert heard == [("async", PROVISIONED), ("sync", PROVISIONED)]
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in failures] == [
        "plugin 'AsyncBroken' failed in on_event of TenantProvisioned",
        "plugin 'Broken' failed in on_event of TenantProvisioned",
    ]


def test_an_unknown_hook_is_refused() -> None:
    class Typo:
        @hookimpl
        def on_evnet(self, event: Event) -> None: ...

    with pytest.raises(ConfigurationError, match=r"plugin 'Typo' does not fit: .*on_evnet"):
        load_plugins(extra=[Typo()])


def test_a_hook_with_other_arguments_is_refused() -> None:
    class Odd:
        @hookimpl
        def on_event(self, evt: Event) -> None: ...

    with pytest.raises(ConfigurationError, match=r"plugin 'Odd' does not fit: .*evt"):
        load_plugins(extra=[Odd()])


def test_a_plugin_that_fails_while_it_registers_stops_the_start() -> None:
    class Angry:
        @hookimpl
        def register_billing_models(self) -> list[type[BillingModel]]:
            raise RuntimeError("no licence")

    with pytest.raises(PluginError, match="plugin 'Angry', register_billing_models: RuntimeError: no licence"):
        load_plugins(extra=[Angry()])


def test_a_code_that_is_taken_stops_the_start() -> None:
    flat = load_plugins().billing_models.get("flat")

    class Thief:
        @hookimpl
        def register_billing_models(self) -> list[type[BillingModel]]:
            return [flat]

    with pytest.raises(ConfigurationError, match="'flat' is registered by both 'Thief' and 'flat'; block one"):
        load_plugins(extra=[Thief()])


def test_a_package_that_does_not_import_is_named_and_can_be_blocked(tmp_path: Path, install: Install) -> None:
    (tmp_path / "broken_acme.py").write_text("import nothing_of_that_name\n")
    install("broken-acme", "acme = broken_acme", tmp_path)
    with pytest.raises(ConfigurationError, match=r"plugin 'acme' \(broken_acme\) does not load, ModuleNotFoundError"):
        load_plugins()
    assert "acme" not in load_plugins(blocked=["acme"]).names


def test_two_packages_with_one_plugin_name_are_refused(tmp_path: Path, install: Install) -> None:
    (tmp_path / "acme_flat.py").touch()
    install("acme-flat", "flat = acme_flat", tmp_path)
    with pytest.raises(ConfigurationError, match="plugin 'flat' does not fit"):
        load_plugins()


def test_tracing_tells_every_call_with_its_result(draft: InvoiceDraft) -> None:
    said: list[str] = []
    plugins = load_plugins(extra=[Levy(), Broken()], blocked=["Broken"], trace=said.append)
    plugins.extra_lines(draft)
    assert any(line.startswith("flat: register_billing_models() -> [[") for line in said)
    assert said[-1].startswith("Levy: extra_lines(draft=InvoiceDraft(tenant_id='t-1'")


def test_tracing_tells_failures(draft: InvoiceDraft) -> None:
    said: list[str] = []
    plugins = load_plugins(extra=[Broken()], trace=said.append)
    with pytest.raises(PluginError):
        plugins.extra_lines(draft)
    assert said[-1].endswith("-> KeyError('rate')")


def test_a_module_goes_by_its_name() -> None:
    assert "quiet" in load_plugins(extra=[ModuleType("quiet")]).names
