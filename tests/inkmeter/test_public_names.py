import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import inkmeter

MODULES = sorted(p for p in Path(inkmeter.__file__).parent.glob("*.py") if p.stem not in {"__init__", "testing"})


def defined(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def constants_classes_functions(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_everything_public_is_exported_once_and_sorted() -> None:
    public = [name for path in MODULES for name in defined(path) if not name.startswith("_")]
    assert inkmeter.__all__ == sorted(public, key=constants_classes_functions)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_package_exports_the_very_same_objects(path: Path) -> None:
    module = importlib.import_module(f"inkmeter.{path.stem}")
    assert module.__doc__
    for name in defined(path):
        if not name.startswith("_"):
            assert getattr(inkmeter, name) is getattr(module, name)
