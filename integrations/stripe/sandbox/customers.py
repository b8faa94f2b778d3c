"""Customers."""

from pydantic import BaseModel, ConfigDict, Field

from integrations.stripe.sandbox.books import Books, Object, created_in, paged
from integrations.stripe.sandbox.cards import attach, make_default, set_card
from integrations.stripe.sandbox.collection import end_subscription
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import missing
from integrations.stripe.sandbox.forms import Metadata, Page, Params, Range, merged
from integrations.stripe.sandbox.taxes import Address


class InvoiceSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    default_payment_method: str | None = None


class UpdateCustomer(Params):
    name: str | None = None
    email: str | None = None
    description: str | None = None
    phone: str | None = None
    balance: int | None = None
    address: Address | None = None
    metadata: Metadata = Field(default_factory=dict)
    invoice_settings: InvoiceSettings = InvoiceSettings()


class CreateCustomer(UpdateCustomer):
    payment_method: str | None = None


class ListCustomers(Page):
    email: str | None = None
    created: Range | int | None = None


def create_customer(books: Books, params: CreateCustomer) -> Object:
    customer = books.new(
        "customer",
        created=books.now(),
        name=params.name,
        email=params.email,
        description=params.description,
        phone=params.phone,
        metadata=params.metadata,
        address=params.address.model_dump() if params.address else None,
        balance=params.balance or 0,
        currency=None,
        default_source=None,
        delinquent=False,
        invoice_prefix=f"{len(books.tables['customer']) + 1:08d}",
        invoice_settings={
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        next_invoice_sequence=1,
        preferred_locales=[],
        shipping=None,
        tax_exempt="none",
        test_clock=None,
    )
    if params.payment_method:
        attach(books, customer, params.payment_method)
    if default := params.invoice_settings.default_payment_method:
        make_default(books, customer, default)
    elif books.default_card != "none" and not params.payment_method:
        set_card(books, customer, books.default_card)
    books.emit("customer.created", customer)
    return books.shown(customer)


def update_customer(books: Books, params: UpdateCustomer, customer_id: str) -> Object:
    customer = _living(books, customer_id)
    if default := params.invoice_settings.default_payment_method:
        make_default(books, customer, default)
    changes = params.model_dump(
        include={"name", "email", "description", "phone", "balance", "address"}, exclude_unset=True
    )
    books.change(customer, **changes, metadata=merged(customer["metadata"], params.metadata))
    return books.shown(customer)


def retrieve_customer(books: Books, params: Params, customer_id: str) -> Object:
    return books.shown(books.get("customer", customer_id))


def list_customers(books: Books, params: ListCustomers) -> Object:
    found = [c for c in books.all("customer", email=params.email) if created_in(c, params.created)]
    return paged(found, params, "/v1/customers")


def delete_customer(books: Books, params: Params, customer_id: str) -> Object:
    customer = _living(books, customer_id)
    for subscription in books.all("subscription", customer=customer_id):
        if subscription["ended_at"] is None:
            end_subscription(books, subscription, reason="cancellation_requested")
    books.emit("customer.deleted", customer)
    customer.clear()
    customer.update(id=customer_id, object="customer", deleted=True)
    return books.shown(customer)


def _living(books: Books, customer_id: str) -> Object:
    customer = books.get("customer", customer_id)
    if customer.get("deleted"):
        raise missing("customer", customer_id, "id")
    return customer


ENDPOINTS = (
    Endpoint("POST", "/v1/customers", CreateCustomer, create_customer),
    Endpoint("GET", "/v1/customers", ListCustomers, list_customers),
    Endpoint("GET", "/v1/customers/{id}", Params, retrieve_customer),
    Endpoint("POST", "/v1/customers/{id}", UpdateCustomer, update_customer),
    Endpoint("DELETE", "/v1/customers/{id}", Params, delete_customer),
)
