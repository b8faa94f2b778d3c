"""Billing meters, and the events that are reported to them: an answer of 200 is not "recorded"."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.stripe.sandbox import thin_events
from integrations.stripe.sandbox.books import Books, Object, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Page, Params

DAY: Final = 86_400
OLDEST: Final = 35 * DAY
"""Stripe's docs: a timestamp lies within the past 35 days, and at most five minutes in the future."""
MOST_AHEAD: Final = 300
KNOWN_FOR: Final = DAY
"""Stripe's docs: identifiers are unique within a rolling period of at least 24 hours."""
PROCESSED_AFTER: Final = 60
"""Seconds until an event is counted or found wrong. Stripe says only that it happens asynchronously."""


class Formula(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    formula: Literal["sum", "count", "last"]


class Mapping(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["by_id"] = "by_id"
    event_payload_key: str = "stripe_customer_id"


class Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    event_payload_key: str = "value"


class UpdateMeter(Params):
    display_name: str | None = Field(default=None, max_length=250)


class CreateMeter(Params):
    display_name: str = Field(max_length=250)
    event_name: str = Field(max_length=100)
    default_aggregation: Formula
    customer_mapping: Mapping = Mapping()
    value_settings: Value = Value()


class ListMeters(Page):
    status: Literal["active", "inactive"] | None = None


class CreateEvent(Params):
    event_name: str = Field(max_length=100)
    payload: dict[str, str]
    identifier: str = Field(max_length=100)
    timestamp: int | None = None


class Cancel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    identifier: str = Field(max_length=100)


class CreateAdjustment(Params):
    event_name: str = Field(max_length=100)
    type: Literal["cancel"]
    cancel: Cancel


class ListSummaries(Page):
    customer: str
    start_time: int
    end_time: int
    value_grouping_window: Literal["hour", "day"] | None = None


@dataclass(slots=True)
class Reported:
    """An event as it was sent; what became of it is known some time later."""

    event: Object
    received_at: int
    state: Literal["waiting", "counted", "wrong", "cancelled"] = "waiting"
    meter: str | None = None
    customer: str | None = None
    value: Decimal = Decimal(0)


def create_meter(books: Books, params: CreateMeter) -> Object:
    if any(meter["event_name"] == params.event_name for meter in books.all("billing.meter")):
        raise StripeFailure(f"There is already a meter for the event {params.event_name}.", param="event_name")
    meter = books.new(
        "billing.meter",
        created=books.now(),
        updated=books.now(),
        display_name=params.display_name,
        event_name=params.event_name,
        default_aggregation=params.default_aggregation.model_dump(),
        customer_mapping=params.customer_mapping.model_dump(),
        value_settings=params.value_settings.model_dump(),
        event_time_window=None,
        status="active",
        status_transitions={"deactivated_at": None},
    )
    books.emit("billing.meter.created", meter)
    return books.shown(meter)


def retrieve_meter(books: Books, params: Params, meter_id: str) -> Object:
    return books.shown(books.get("billing.meter", meter_id))


def list_meters(books: Books, params: ListMeters) -> Object:
    return paged(books.all("billing.meter", status=params.status), params, "/v1/billing/meters")


def update_meter(books: Books, params: UpdateMeter, meter_id: str) -> Object:
    meter = books.get("billing.meter", meter_id)
    if params.display_name is not None:
        books.change(meter, display_name=params.display_name)
    return books.shown(meter)


def deactivate_meter(books: Books, params: Params, meter_id: str) -> Object:
    return _switch(books, meter_id, "inactive", books.now())


def reactivate_meter(books: Books, params: Params, meter_id: str) -> Object:
    return _switch(books, meter_id, "active", None)


def _switch(books: Books, meter_id: str, status: str, deactivated_at: int | None) -> Object:
    meter = books.get("billing.meter", meter_id)
    if meter["status"] == status:
        raise StripeFailure(f"The meter is {status} already.", param="id")
    books.change(meter, status=status, status_transitions={"deactivated_at": deactivated_at})
    return books.shown(meter)


def create_event(books: Books, params: CreateEvent) -> Object:
    now = books.now()
    for known in books.reported:
        if known.event["identifier"] == params.identifier and known.received_at + KNOWN_FOR > now:
            raise StripeFailure(f"An event already exists with identifier {params.identifier}.", param="identifier")
    event = {
        "object": "billing.meter_event",
        "created": now,
        "event_name": params.event_name,
        "identifier": params.identifier,
        "livemode": False,
        "payload": dict(params.payload),
        "timestamp": now if params.timestamp is None else params.timestamp,
    }
    books.reported.append(Reported(event, now))
    return dict(event)


def create_adjustment(books: Books, params: CreateAdjustment) -> Object:
    """Stripe's docs: an event can be cancelled within 24 hours of its receipt; a finalized invoice stays as it is."""
    for known in books.reported:
        is_it = (known.event["event_name"], known.event["identifier"]) == (params.event_name, params.cancel.identifier)
        if is_it and known.received_at + DAY > books.now() and known.state in ("waiting", "counted"):
            known.state = "cancelled"
            return {
                "object": "billing.meter_event_adjustment",
                "livemode": False,
                "event_name": params.event_name,
                "type": "cancel",
                "cancel": {"identifier": params.cancel.identifier},
                "status": "pending",
            }
    raise StripeFailure("There is no such event to cancel.", param="cancel[identifier]")


def list_summaries(books: Books, params: ListSummaries, meter_id: str) -> Object:
    """Stripe's docs: the window's ends are aligned to its size, to the minute without one; the end is exclusive."""
    books.get("billing.meter", meter_id)
    process(books)
    sizes = {None: 60, "hour": 3_600, "day": DAY}
    size = sizes[params.value_grouping_window]
    if params.start_time % size or params.end_time % size or params.end_time <= params.start_time:
        raise StripeFailure("start_time and end_time must be aligned, and in order.", param="start_time")
    step = params.end_time - params.start_time if params.value_grouping_window is None else size
    summaries = [
        {
            "id": f"mtrusg_{meter_id[-8:]}{start}",
            "object": "billing.meter_event_summary",
            "livemode": False,
            "meter": meter_id,
            "start_time": start,
            "end_time": start + step,
            "aggregated_value": float(usage(books, meter_id, params.customer, start, start + step)),
        }
        for start in range(params.start_time, params.end_time, step)
        if any(_in_span(known, meter_id, params.customer, start, start + step) for known in books.reported)
    ]
    return paged(summaries, params, f"/v1/billing/meters/{meter_id}/event_summaries")


def usage(books: Books, meter_id: str, customer: str, start: int, end: int, received_by: int | None = None) -> Decimal:
    """What a meter has counted for a customer in [start, end); only what was received by then."""
    found = [
        known
        for known in books.reported
        if _in_span(known, meter_id, customer, start, end) and (received_by is None or known.received_at <= received_by)
    ]
    match books.get("billing.meter", meter_id)["default_aggregation"]["formula"]:
        case "count":
            return Decimal(len(found))
        case "last":
            return found[-1].value if found else Decimal(0)
        case _:
            return sum((known.value for known in found), Decimal(0))


def process(books: Books) -> None:
    """Count what has waited long enough, or find it wrong; what is wrong is told in thin events, by meter."""
    wrong: dict[tuple[str | None, str], list[Reported]] = {}
    for known in books.reported:
        if known.state == "waiting" and known.received_at + PROCESSED_AFTER <= books.clock.now().timestamp():
            error = _count(books, known)
            known.state = "wrong" if error else "counted"
            if error:
                wrong.setdefault((known.meter, error), []).append(known)
    for (meter_id, code), failed in wrong.items():
        thin_events.report_errors(books, meter_id, code, [known.event["identifier"] for known in failed])


def _count(books: Books, known: Reported) -> str | None:
    """Stripe's own code for what is wrong; None if the event counts."""
    event, payload = known.event, known.event["payload"]
    meter = next((m for m in books.all("billing.meter") if m["event_name"] == event["event_name"]), None)
    if meter is None:
        return "no_meter"
    known.meter = meter["id"]
    if meter["status"] == "inactive":
        return "archived_meter"
    if event["timestamp"] < known.received_at - OLDEST:
        return "timestamp_too_far_in_past"
    if event["timestamp"] > known.received_at + MOST_AHEAD:
        return "timestamp_in_future"
    customer, value = meter["customer_mapping"]["event_payload_key"], meter["value_settings"]["event_payload_key"]
    if customer not in payload:
        return "meter_event_no_customer_defined"
    if not any(found["id"] == payload[customer] for found in books.all("customer")):
        return "meter_event_customer_not_found"
    if value not in payload:
        return "meter_event_value_not_found"
    try:
        number = Decimal(payload[value])
    except ArithmeticError:
        return "meter_event_invalid_value"
    if not number.is_finite():
        return "meter_event_invalid_value"
    known.customer, known.value = payload[customer], number
    return None


def _in_span(known: Reported, meter_id: str, customer: str, start: int, end: int) -> bool:
    is_theirs = (known.state, known.meter, known.customer) == ("counted", meter_id, customer)
    return is_theirs and start <= known.event["timestamp"] < end


ENDPOINTS = (
    Endpoint("POST", "/v1/billing/meters", CreateMeter, create_meter),
    Endpoint("GET", "/v1/billing/meters", ListMeters, list_meters),
    Endpoint("GET", "/v1/billing/meters/{id}", Params, retrieve_meter),
    Endpoint("POST", "/v1/billing/meters/{id}", UpdateMeter, update_meter),
    Endpoint("POST", "/v1/billing/meters/{id}/deactivate", Params, deactivate_meter),
    Endpoint("POST", "/v1/billing/meters/{id}/reactivate", Params, reactivate_meter),
    Endpoint("GET", "/v1/billing/meters/{id}/event_summaries", ListSummaries, list_summaries),
    Endpoint("POST", "/v1/billing/meter_events", CreateEvent, create_event),
    Endpoint("POST", "/v1/billing/meter_event_adjustments", CreateAdjustment, create_adjustment),
)
