"""Lists as SignNow's newer endpoints show them."""

from typing import Any, Final

from integrations.signnow.sandbox.calls import Call

_PAGE_SIZE: Final = 15


def page_of(entries: list[dict[str, Any]], call: Call) -> dict[str, Any]:
    """The page that the call asks for, with what it needs to ask for the next."""
    page, size = call.page(_PAGE_SIZE)
    shown = entries[(page - 1) * size : page * size]
    pagination = {
        "total": len(entries),
        "count": len(shown),
        "per_page": size,
        "current_page": page,
        "total_pages": max(-(-len(entries) // size), 1),
        "links": {},
    }
    return {"data": shown, "meta": {"pagination": pagination}}
