"""The repository's pages, and the code blocks on them."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = (
    "inkmeter",
    "billing_models",
    "plugins",
    "integrations",
    "storage",
    "services",
    "schema",
    "resolvers",
    "server",
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SECTION = re.compile(r"^#{2,3} ([^\n]+)\n+(.*?)(?=^#{1,3} |\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced piece of a page. `place` is its file and line."""

    place: str
    language: str
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The page's blocks in those languages, in order; all without any."""
    content = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(content):
        line = content.count("\n", 0, match.start()) + 1
        found.append(Block(f"{page.name}:{line}", match[1], match[2]))
    return [block for block in found if not languages or block.language in languages]


def sections(page: Path) -> dict[str, str]:
    """What stands under each heading, in one line: how it is wrapped does not matter."""
    content = re.sub(_BLOCK, "", page.read_text(encoding="utf-8"))
    return {match[1]: " ".join(match[2].split()) for match in _SECTION.finditer(content)}


def tracked_files() -> list[Path]:
    """Every file that git has or would take; the folder's own files where it is no clone."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return [p for room in (*ROOMS, "tests", "docs", "bench") for p in (ROOT / room).rglob("*") if p.is_file()]
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def room_files() -> list[Path]:
    """Every Python file of the rooms."""
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
