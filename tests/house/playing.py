"""Playing a page of docs: its documents are sent in their order, and its answers must come."""

import json
from typing import Any

from tests.house.pages import ROOT, blocks
from tests.world import World


def steps(page: str) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """Each document of a page of docs, with its variables and its answer, as far as it has them."""
    found: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = []
    for block in blocks(ROOT / "docs" / f"{page}.md", "graphql", "json"):
        if block.language == "graphql":
            found.append((block.text, {}, None))
            continue
        document, variables, _ = found[-1]
        value = json.loads(block.text)
        found[-1] = (document, variables, value) if "data" in value else (document, value, None)
    return found


def filled(value: Any, known: dict[str, Any]) -> Any:
    """Variables with the ids of earlier answers in place of their names in capitals."""
    match value:
        case dict():
            return {key: filled(inner, known) for key, inner in value.items()}
        case list():
            return [filled(inner, known) for inner in value]
        case str():
            return known.get(value, value)
    return value


def compare(expected: Any, answered: Any, known: dict[str, Any], path: str = "") -> None:
    """Hold an answer against the page's, and remember what stands there in capitals."""
    match expected:
        case dict():
            assert isinstance(answered, dict), path
            assert list(expected) == list(answered), path
            for key, inner in expected.items():
                compare(inner, answered[key], known, f"{path}.{key}")
        case list():
            assert len(expected) == len(answered), path
            for index, inner in enumerate(expected):
                compare(inner, answered[index], known, f"{path}.{index}")
        case "PLAN" | "TENANT" | "SUBSCRIPTION" | "DOCUMENT" | "INVOICE" | "GRANT" | "MESSAGE" | "URL":
            assert known.setdefault(expected, answered) == answered, path
        case _:
            assert expected == answered, path


async def play(world: World, page: str, known: dict[str, Any]) -> int:
    """Send every document of a page and hold the answers against it; how many answers it has."""
    answers = 0
    for document, variables, expected in steps(page):
        answer = await world.operator.post(document, **filled(variables, known))
        assert "errors" not in answer, (document, answer)
        if expected is not None:
            compare(expected, answer, known)
            answers += 1
        await world.work()
    return answers
