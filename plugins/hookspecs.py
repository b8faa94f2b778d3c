"""Everything a plugin can hook into. Each hook says when it is called and what a failure means.

A plugin is a module, or any object, with functions of these names marked by `inkmeter.hookimpl`. A function
may take fewer arguments than its hook; one that is marked but named like no hook stops the start. The functions
below only declare; pluggy never calls them.
"""

from collections.abc import Awaitable, Iterable
from typing import Final

from pluggy import HookspecMarker

from inkmeter import BillingModel, Event, InvoiceDraft, Line

hookspec: Final = HookspecMarker("inkmeter")


@hookspec
def register_billing_models() -> Iterable[type[BillingModel]]:
    """Answer the billing models of the plugin.

    Called once, at start. An exception, something that is no billing model, or a code that another plugin
    has taken stops the start with a ConfigurationError or PluginError that names the plugin.
    """
    return ()


@hookspec
def extra_lines(draft: InvoiceDraft) -> Iterable[Line]:
    """Answer lines to be added to an invoice, such as a levy.

    Called for every invoice, after everything is rated and before it is finalized: when a billing period is closed
    (`draft.kind` is PERIOD), when a subscription begins whose fees are due in advance (OPENING), and for a preview.
    It must answer the same for the same draft. It sees the draft without the lines of other plugins. An exception
    keeps the period open, or the subscription from beginning: nobody is billed by a half-made invoice. It is
    reported as a PluginError, and a close is tried again.
    """
    return ()


@hookspec
def on_event(event: Event) -> Awaitable[None] | None:
    """Learn that something has happened. May be `async def`; it is awaited before the next plugin is told.

    Called after the change is committed. An exception is logged and changes nothing: what has happened has
    happened. Nothing repeats an event that was missed.
    """
    return None
