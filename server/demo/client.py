"""The demo's side of the API: GraphQL over HTTP, as any frontend would call it."""

from typing import Any

import httpx


class Api:
    """Calls Inkmeter with one API key."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: str) -> None:
        self._http, self._url, self._key = http, url, key

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Execute a document and answer its data. Raises RuntimeError for errors that are not in a payload."""
        response = await self._http.post(
            f"{self._url}/graphql",
            json={"query": document, "variables": variables},
            headers={"authorization": f"Bearer {self._key}"},
        )
        answer = response.json()
        if answer.get("errors"):
            raise RuntimeError(f"the API answered {answer['errors']}")
        data: dict[str, Any] = answer["data"]
        return data

    async def do(self, mutation: str, selection: str, input: dict[str, Any]) -> dict[str, Any]:
        """Run one mutation and answer its payload, `userErrors` included."""
        kind = mutation[0].upper() + mutation[1:] + "Input"
        document = (
            f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {selection} "
            "userErrors { __typename code message path ... on QuotaExceeded { meter limit used resetsAt } } } }"
        )
        payload: dict[str, Any] = (await self.ask(document, input=input))[mutation]
        return payload
