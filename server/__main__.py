"""The command `inkmeter`."""

import sys
from pathlib import Path

ROOMS = (
    "billing_models",
    "inkmeter",
    "integrations",
    "plugins",
    "resolvers",
    "schema",
    "server",
    "services",
    "storage",
)


def check_rooms() -> None:
    """Refuse to start if another installed package hides one of our folders: there is a `schema` on PyPI."""
    here = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        module = __import__(room)
        found = Path(module.__file__ or "").resolve().parent.parent
        if found != here:
            sys.exit(f"inkmeter: the package {room!r} is taken from {found}, not from {here}; uninstall the other one")


def main() -> None:
    """Run the command line."""
    check_rooms()
    from server.cli import app

    app()


if __name__ == "__main__":
    main()
