"""Finds plugins, checks them, and calls their hooks with types and with the name of whoever fails."""

import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pluggy import HookCaller, HookImpl, PluginManager, PluginValidationError, Result

from inkmeter import ConfigurationError, DraftLine, Event, InvoiceDraft, PluginError, rated
from plugins import hookspecs
from plugins.registry import BillingModels

log = logging.getLogger(__name__)


def load_plugins(
    *,
    blocked: Collection[str] = (),
    extra: Iterable[object] = (),
    trace: Callable[[str], object] | None = None,
) -> "Plugins":
    """Load the plugins of all installed packages (entry points of the group "inkmeter"), and `extra` ones.

    `blocked` leaves plugins out by name, unimported, so that Inkmeter starts without a broken one. `trace`,
    e.g. `print`, is told every hook call with its result. Raises ConfigurationError for a plugin that does
    not load, implements an unknown hook, or registers something that does not fit; PluginError for one that
    fails while it registers.
    """
    manager = PluginManager("inkmeter")
    manager.add_hookspecs(hookspecs)
    if trace is not None:
        _trace(manager, trace)
    for point in sorted(entry_points(group="inkmeter")):
        if point.name not in blocked:
            _register(manager, _import(point), point.name)
    for plugin in extra:
        name = getattr(plugin, "__name__", type(plugin).__name__)
        if name not in blocked:
            _register(manager, plugin, name)
    return Plugins(manager)


class Plugins:
    """The loaded plugins. They are asked in the order of their names; each sees the same, none the others."""

    def __init__(self, manager: PluginManager) -> None:
        self.names = tuple(sorted(name for name, _ in manager.list_name_plugin()))
        self._extra_lines = _one_by_one(manager, "extra_lines")
        self._on_event = _one_by_one(manager, "on_event")
        registered: list[tuple[str, object]] = []
        for name, call in _one_by_one(manager, "register_billing_models"):
            with _blaming(name, "register_billing_models"):
                registered += ((name, model) for models in call() for model in models)
        self.billing_models = BillingModels(registered)

    def extra_lines(self, draft: InvoiceDraft) -> tuple[DraftLine, ...]:
        """The lines that plugins add to an invoice, rated, each with its plugin's name as `model`.

        Raises PluginError for the first plugin that fails: the period must stay open.
        """
        added: list[DraftLine] = []
        for name, call in self._extra_lines:
            with _blaming(name, "extra_lines"):
                lines = [line for answer in call(draft=draft) for line in answer]
                added += (DraftLine("", name, line) for line in rated(lines, draft.currency).lines)
        return tuple(added)

    async def publish(self, event: Event) -> None:
        """Tell every plugin of an event that is committed. What a plugin raises is logged, nothing more."""
        for name, call in self._on_event:
            try:
                for heard in call(event=event):
                    if inspect.isawaitable(heard):
                        await heard
            except Exception:
                log.exception("plugin %r failed in on_event of %s", name, type(event).__name__)


def _one_by_one(manager: PluginManager, hook: str) -> list[tuple[str, HookCaller]]:
    """The plugins that implement a hook, sorted by name, each with a way to call it alone.

    pluggy calls all at once and does not tell which one failed. Each call answers a list of one or none.
    """
    plugins = {found.plugin_name: found.plugin for found in getattr(manager.hook, hook).get_hookimpls()}
    return [
        (name, manager.subset_hook_caller(hook, [plugins[other] for other in plugins if other != name]))
        for name in sorted(plugins)
    ]


@contextmanager
def _blaming(plugin: str, hook: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise PluginError(f"{type(error).__name__}: {error}", plugin=plugin, hook=hook) from error


def _import(point: EntryPoint) -> object:
    try:
        plugin: object = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"plugin {point.name!r} ({point.value}) does not load, {type(error).__name__}: {error}; "
            "repair it, remove it or block it"
        ) from error
    return plugin


def _register(manager: PluginManager, plugin: object, name: str) -> None:
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except (PluginValidationError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"plugin {name!r} does not fit: {reason}") from error


def _trace(manager: PluginManager, say: Callable[[str], object]) -> None:
    def before(hook: str, implementations: object, arguments: object) -> None:
        pass  # pluggy wants one; the result tells all

    def after(
        outcome: Result[Any], hook: str, implementations: Sequence[HookImpl], arguments: Mapping[str, Any]
    ) -> None:
        names = ", ".join(implementation.plugin_name for implementation in implementations)
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        if names:
            result = outcome.exception if outcome.exception is not None else outcome.get_result()
            say(f"{names}: {hook}({given}) -> {result!r}")

    manager.add_hookcall_monitoring(before, after)
