"""Events, and the webhook endpoints that they are sent to."""

import fnmatch
import secrets
from typing import Final

from pydantic import Field

from integrations.stripe.sandbox.books import Books, Object, created_in, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Metadata, Page, Params, Range

LISTED_S: Final = 30 * 24 * 3_600
"""Stripe's docs: events can be listed for 30 days."""


class ListEvents(Page):
    type: str | None = None
    types: list[str] | None = Field(default=None, max_length=20)
    created: Range | int | None = None
    delivery_success: bool | None = None


class CreateWebhookEndpoint(Params):
    url: str
    enabled_events: list[str]
    api_version: str | None = None
    description: str | None = None
    metadata: Metadata = Field(default_factory=dict)


def list_events(books: Books, params: ListEvents) -> Object:
    """Stripe's docs: 30 days; `type` may end in `*`, `types` are names; `delivery_success=false` finds what no endpoint
    has confirmed.
    """
    if params.type and params.types:
        raise StripeFailure("You may only specify one of these parameters: type, types.", param="type")
    cursor = {params.starting_after, params.ending_before}
    found = [
        event
        for event in books.all("event")
        if event["created"] > books.now() - LISTED_S
        and created_in(event, params.created)
        and (event["type"] in params.types if params.types else fnmatch.fnmatchcase(event["type"], params.type or "*"))
        # The event that a page ended with may have been delivered since.
        and (event["id"] in cursor or params.delivery_success in (None, event["id"] not in books.undelivered))
    ]
    return paged(found, params, "/v1/events")


def retrieve_event(books: Books, params: Params, event_id: str) -> Object:
    return books.shown(books.get("event", event_id))


def create_webhook_endpoint(books: Books, params: CreateWebhookEndpoint) -> Object:
    """The only answer that shows the secret."""
    endpoint = add_webhook_endpoint(
        books, params.url, f"whsec_{secrets.token_hex(16)}", params.enabled_events, params.api_version
    )
    endpoint.update(description=params.description, metadata=params.metadata)
    return {**books.shown(endpoint), "secret": books.endpoint_secrets[endpoint["id"]]}


def retrieve_webhook_endpoint(books: Books, params: Params, endpoint_id: str) -> Object:
    return books.shown(books.get("webhook_endpoint", endpoint_id))


def list_webhook_endpoints(books: Books, params: Page) -> Object:
    return paged(books.all("webhook_endpoint"), params, "/v1/webhook_endpoints")


def delete_webhook_endpoint(books: Books, params: Params, endpoint_id: str) -> Object:
    books.get("webhook_endpoint", endpoint_id)
    del books.tables["webhook_endpoint"][endpoint_id]
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def add_webhook_endpoint(
    books: Books, url: str, secret: str, enabled_events: list[str], api_version: str | None = None
) -> Object:
    """Send events to `url` from now on, signed with `secret`."""
    endpoint = books.new(
        "webhook_endpoint",
        created=books.now(),
        url=url,
        enabled_events=enabled_events,
        api_version=api_version,
        application=None,
        description=None,
        metadata={},
        status="enabled",
    )
    books.endpoint_secrets[endpoint["id"]] = secret
    return endpoint


ENDPOINTS = (
    Endpoint("GET", "/v1/events", ListEvents, list_events),
    Endpoint("GET", "/v1/events/{id}", Params, retrieve_event),
    Endpoint("POST", "/v1/webhook_endpoints", CreateWebhookEndpoint, create_webhook_endpoint),
    Endpoint("GET", "/v1/webhook_endpoints", Page, list_webhook_endpoints),
    Endpoint("GET", "/v1/webhook_endpoints/{id}", Params, retrieve_webhook_endpoint),
    Endpoint("DELETE", "/v1/webhook_endpoints/{id}", Params, delete_webhook_endpoint),
)
