"""The house stands as it was drawn: floors, rooms, faces, and files that fit two screens."""

import ast
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from server.__main__ import ROOMS as CHECKED_ROOMS
from tests.house.pages import ROOMS, ROOT, room_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MOST_LINES = 300
MOST_LINES_AT_MEDIAN = 110


def test_imports_only_go_down() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " 0 broken" in ran.stdout


def test_the_packages_are_the_rooms() -> None:
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(ROOMS)
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(ROOMS)
    assert set(CHECKED_ROOMS) == set(ROOMS)
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(ROOMS)


def test_an_init_is_empty_or_a_face() -> None:
    for path in ROOT.rglob("__init__.py"):
        if ".venv" in path.parts:
            continue
        code = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if not _is_face(node)]
        assert not code, f"{path.relative_to(ROOT)}:{code[0].lineno} is code: give it a file with a name"


def _is_face(node: ast.stmt) -> bool:
    match node:
        case ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
    return False


def test_files_are_short(record_property: Callable[[str, object], None]) -> None:
    lines = {
        path.relative_to(ROOT): count
        for path in room_files()
        if (count := len(path.read_text(encoding="utf-8").splitlines()))
    }
    record_property("median_lines", statistics.median(lines.values()))
    assert statistics.median(lines.values()) <= MOST_LINES_AT_MEDIAN
    too_long = {str(path): count for path, count in lines.items() if count > MOST_LINES}
    assert not too_long, f"longer than {MOST_LINES} lines; which second noun is in there? {too_long}"


def test_no_junk_rooms() -> None:
    junk = {"core", "common", "utils", "util", "helpers", "misc", "kit"}
    assert not [path for path in room_files() if junk & {path.stem, *path.relative_to(ROOT).parts}]


def test_what_is_public_says_what_it_is() -> None:
    missing = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in room_files()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not node.name.startswith("_") and ast.get_docstring(node) is None and not _is_told_elsewhere(path, node)
    ]
    assert not missing, "a docstring is missing:\n" + "\n".join(missing)


def _is_told_elsewhere(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """GraphQL's types and fields have their description, hooks their specification, endpoints SignNow or Stripe."""
    decorators = {ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list}
    described = {"query", "mutation", "hookimpl", "strawberry.type", "strawberry.input", "strawberry.interface"}
    described |= {"strawberry.enum"}
    return bool(decorators & described) or "sandbox" in path.parts


def test_modules_say_what_they_hold() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in room_files()
        if path.name != "__init__.py" and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert not silent
