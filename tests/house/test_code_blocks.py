"""What stands in the pages as code is code: Python runs, documents fit the schema, commands exist."""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from graphql import build_schema, parse, validate

from inkmeter.testing import check_billing_model
from plugins.manager import load_plugins
from tests.house.commands import commands
from tests.house.pages import PAGES, ROOT, Block, blocks

README = ROOT / "README.md"
SCHEMA = build_schema((ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8"))
KNOWN = {"", "console", "graphql", "json", "py", "python", "sh", "toml"}


def each(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, *languages)]


def place(block: Block) -> str:
    return block.place


def test_each_block_has_a_language_that_is_tested() -> None:
    assert {block.language for block in each()} <= KNOWN


@pytest.mark.parametrize("block", each("graphql"), ids=place)
def test_documents_fit_the_schema(block: Block) -> None:
    assert validate(SCHEMA, parse(block.text)) == []


def imported(block: Block, folder: Path) -> ModuleType:
    """The block as a module in a file: pydantic reads docstrings of settings from there."""
    file = folder / "on_a_page.py"
    file.write_text(block.text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("block", each("python"), ids=place)
def test_python_runs(block: Block, tmp_path: Path) -> None:
    module = imported(block, tmp_path)
    if hasattr(module, "register_billing_models"):
        models = set(load_plugins(extra=[module]).billing_models) - set(load_plugins().billing_models)
        assert models == set(module.register_billing_models())


@pytest.mark.parametrize("block", each("py"), ids=place)
def test_python_that_needs_other_files_is_python(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", each("json", "toml"), ids=place)
def test_data_can_be_read(block: Block) -> None:
    json.loads(block.text) if block.language == "json" else tomllib.loads(block.text)


def test_the_plugin_of_the_readme_is_whole(tmp_path: Path) -> None:
    [block] = blocks(README, "python")
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 15
    model = load_plugins(extra=[imported(block, tmp_path)]).billing_models.get("bundle")
    check_billing_model(model, {"packPrice": "12.00"})


def _typed() -> list[tuple[str, str]]:
    """Each line that one would type, with its place."""
    lines = [(block.place, line) for block in each("console") for line in block.text.splitlines()]
    return [(where, line.removeprefix("$ ").partition("  #")[0]) for where, line in lines if line.startswith("$ ")]


@pytest.mark.parametrize(("where", "line"), _typed())
def test_commands_can_be_typed(where: str, line: str) -> None:
    line = re.sub(r"^export \w+=\$\((.*)\)$", r"\1", line)
    first, *words = shlex.split(line)
    if first == "curl":
        return  # test_api_page plays it
    if first.startswith("scripts/"):
        assert os.access(ROOT / first, os.X_OK), where
        return
    assert first in ("inkmeter", ".venv/bin/inkmeter"), where
    count = 2 if words[0] in ("keys", "reconcile") else 1
    name = " ".join(["inkmeter", *words[:count]])
    commands()[name].make_context(name, words[count:]).close()


def test_the_explanation_is_what_is_printed() -> None:
    [block] = [b for b in blocks(ROOT / "docs" / "command-line.md", "console") if "explain" in b.text]
    typed, *expected = block.text.splitlines()
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "server", *shlex.split(typed)[2:]], capture_output=True, text=True, check=True
    )
    assert [line.rstrip() for line in ran.stdout.splitlines()] == expected
