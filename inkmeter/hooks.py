"""The mark that makes a plugin's function a hook, `@hookimpl`. The hooks are told in docs/plugins.md."""

from typing import Final

from pluggy import HookimplMarker

hookimpl: Final = HookimplMarker("inkmeter")
"""Decorates a plugin's function that is named like one of Inkmeter's hooks."""
