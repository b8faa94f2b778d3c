"""The pages tell every setting, hook, command and refusal, with the words of the code."""

import inspect
import re
import sys

import pytest
from pydantic import SecretStr
from typer.core import TyperOption

from inkmeter import errors
from inkmeter.errors import InkmeterError, Refused
from plugins import hookspecs
from schema.refusals import USER_ERRORS
from server.settings import Settings
from tests.house.commands import commands
from tests.house.pages import PAGES, ROOT, sections

SETTINGS = sections(ROOT / "docs" / "configuration.md")
COMMANDS = sections(ROOT / "docs" / "command-line.md")
ERRORS = sections(ROOT / "docs" / "errors.md")
HOOKS = [hook for _, hook in inspect.getmembers(hookspecs, inspect.isfunction) if hasattr(hook, "inkmeter_spec")]
REFUSALS = [
    found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, Refused) and found is not Refused and not name.startswith("_")
]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_told(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description, f"{name} needs a docstring"
    told = SETTINGS[f"INKMETER_{name.upper()}"]
    assert told.startswith(" ".join(field.description.split()))
    assert re.search(r"Default: (none|`[^`]+`)", told), "its default is missing"
    assert f"Default: {_default(field.default)}" in told


def _default(value: object) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value in ("", None, ()):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_no_setting_is_told_that_is_none() -> None:
    told = {heading for heading in SETTINGS if heading.startswith("INKMETER_")}
    assert told == {f"INKMETER_{name.upper()}" for name in Settings.model_fields}
    known = told | {"INKMETER_KEY", "INKMETER_TEST_POSTGRES_URL"}  # the first is the reader's own
    for page in PAGES:
        named = set(re.findall(r"\bINKMETER_[A-Z_]+\b", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name}: {named - known}"


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_is_told_and_tried(hook: object) -> None:
    assert inspect.isfunction(hook)
    heading = f"{hook.__name__}({', '.join(inspect.signature(hook).parameters)})"
    assert heading in sections(ROOT / "docs" / "plugins.md")
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "plugins").glob("test_*.py"))
    assert re.search(rf"def {hook.__name__}\(", tests), "no test has a plugin that implements it"
    assert re.search(rf"^@hookimpl\n(async )?def {hook.__name__}\(", _shipped_plugins(), re.MULTILINE), (
        "a hook ships with a plugin that uses it"
    )


def _shipped_plugins() -> str:
    folders = ("billing_models", "plugins", "examples")
    return "".join(path.read_text(encoding="utf-8") for name in folders for path in (ROOT / name).rglob("*.py"))


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_is_told(name: str) -> None:
    command = commands()[name]
    assert command.help
    options = [parameter for parameter in command.params if isinstance(parameter, TyperOption)]
    assert all(option.help for option in options)
    told = set(re.findall(r"\| `(--[a-z-]+)` \|", COMMANDS[name]))
    assert told == {spelling for option in options for spelling in option.opts}
    assert f"[`{name.removeprefix('inkmeter ')}`](#{name.replace(' ', '-')})" in _page("command-line.md")


def test_no_command_is_told_that_is_none() -> None:
    assert {heading for heading in COMMANDS if heading.startswith("inkmeter ")} == set(commands())


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.__name__)
def test_every_refusal_is_told(refusal: type[Refused]) -> None:
    told = ERRORS[refusal.__name__]
    assert told.startswith(f"`{refusal.code}`: ")
    assert len(told) > len(refusal.code) + 60, "when, and what to do"


def test_every_kind_of_user_error_is_a_refusal_that_is_told() -> None:
    assert {kind.__name__ for kind in USER_ERRORS} == {refusal.__name__ for refusal in REFUSALS}


def test_every_other_code_is_told() -> None:
    page = _page("errors.md")
    others = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, InkmeterError)]
    for error in others:
        if error not in (InkmeterError, Refused) and not error.__name__.startswith("_"):
            assert f"`{error.code}`" in page
    served = "".join((ROOT / "server" / f"{name}.py").read_text(encoding="utf-8") for name in _SERVED)
    for code in set(re.findall(r'"([A-Z]{3,}(?:_[A-Z]+)+|UNAUTHENTICATED|TIMEOUT)"', served)) - _NOT_CODES:
        assert f"`{code}`" in page, code


_SERVED = ("graphql", "graphql_errors", "graphql_schema")
_NOT_CODES = {"FORBIDDEN", "TOO_MANY_REQUESTS"}
"""Statuses that nothing answers today."""


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_docs_fit_the_interpreter() -> None:
    assert "Python 3.11 or newer" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert sys.version_info >= (3, 11)
