"""What must not be in the repository, and locks that fit the project."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.house.pages import ROOT, tracked_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = [lock for name in ("requirements.lock", "requirements-dev.lock") if (lock := ROOT / name).exists()]
BINARY = {".ico", ".pdf", ".png", ".woff2"}
# In brackets, so that this file does not hold what it looks for.
UNWANTED = re.compile(
    r"/[h]ome/\w|/[U]sers/\w|/[r]oot/\w|/[w]ork/\w|[A-Z]:\\[U]sers"  # paths of a machine
    r"|[i]ndex-url|[p]ypi\.org|[p]ythonhosted|/[s]imple/|[a]rtifactory"  # hosts of a registry
    r"|\b[sr]k_[l]ive_\w{8}|[B]EGIN [A-Z ]*PRIVATE KEY"  # secrets
)


def test_nothing_of_a_machine_is_tracked() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked_files()
        if path.suffix not in BINARY
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if UNWANTED.search(line)
    ]
    assert not found, "\n".join(found)


def test_nothing_that_was_made_by_running_is_tracked() -> None:
    made = {".db", ".env", ".log", ".pyc", ".sqlite3"}
    assert not [path for path in tracked_files() if made & {path.suffix, path.name}]


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", requirement).lower()


def _locked(lock: Path) -> dict[str, str]:
    """The version of each package in a lock."""
    pins = re.findall(r"^([\w.-]+)(?:\[.*\])?==([^ ;\\\n]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return {_name(name): version for name, version in pins}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_what_the_project_needs(lock: Path) -> None:
    locked = _locked(lock)
    wanted = [*PROJECT["project"]["dependencies"]]
    if "dev" in lock.name:
        wanted += [entry for entry in PROJECT["dependency-groups"]["dev"] if isinstance(entry, str)]
    for requirement in map(Requirement, wanted):
        version = locked.get(_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run scripts/lock"
        assert requirement.specifier.contains(version), f"{requirement.name} {version} does not fit: run scripts/lock"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_hashes_for_every_package(lock: Path) -> None:
    for entry in re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip()):
        assert entry.startswith("#") or "--hash=sha256:" in entry, entry


def test_the_locks_agree() -> None:
    run, dev = _locked(ROOT / "requirements.lock"), _locked(ROOT / "requirements-dev.lock")
    assert {name: version for name, version in run.items() if dev.get(name) != version} == {}
