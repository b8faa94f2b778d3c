"""Settings: environment variables with the prefix INKMETER_ (or a .env file), each documented where it is declared.

Secrets are never printed: their values show as stars, and the database's URL, which may hold a password, not at all.
"""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from inkmeter.errors import ConfigurationError
from inkmeter.money import Money, booked_money


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        env_prefix="INKMETER_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    database_url: Annotated[str, Field(repr=False)] = "sqlite:///inkmeter.sqlite3"
    """Where everything is kept: `sqlite:///file.sqlite3`, or `postgresql://user:password@host/database`."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes any free one. `serve --sandbox` uses the next two for the sandboxes."""
    public_url: str | None = None
    """Address under which SignNow reaches this server, e.g. `https://billing.example.com`. Without it SignNow is not
    asked to call."""

    stripe_api_key: SecretStr = SecretStr("")
    """Secret key of the operator's Stripe account."""
    stripe_api_base: str | None = None
    """Another address for Stripe's API, e.g. a sandbox."""
    stripe_webhook_secret: SecretStr = SecretStr("")
    """Signing secrets of the Stripe webhook endpoint, with commas between several. Without one every delivery is
    rejected."""

    stripe_rate: Annotated[float, Field(ge=0)] = 80
    """Requests a second that this process sends to Stripe at most; 0 sets no limit."""
    stripe_endpoint_rate: Annotated[float, Field(ge=0)] = 15
    """How many of them go to one endpoint (path and method) at most; 0 sets no limit."""

    signnow_api_base: str = "https://api.signnow.com"
    """Address of SignNow's API."""
    signnow_api_key: SecretStr = SecretStr("")
    """API key of the SignNow account; or use the four settings for the password grant."""
    signnow_client_id: str = ""
    """Client id of the SignNow application (password grant)."""
    signnow_client_secret: SecretStr = SecretStr("")
    """Client secret of the SignNow application (password grant)."""
    signnow_username: str = ""
    """E-mail of the account that owns the SignNow application (password grant)."""
    signnow_password: SecretStr = SecretStr("")
    """Password of that account (password grant)."""
    signnow_calls_per_hour: Annotated[int, Field(ge=1)] | None = None
    """Calls to SignNow that one process makes in an hour at most for an account."""
    signnow_tenant_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The part of them that one tenant of the shared account gets at most, so that the others are not locked out."""
    isolation: Literal["SHARED_ACCOUNT", "DEDICATED_USER", "ORGANIZATION"] = "SHARED_ACCOUNT"
    """Whose SignNow account new tenants sign through, where `provisionTenant` does not say it: yours, with a folder for
    each; a SignNow user of their own; a user in an organization of their own."""
    signnow_webhook_secret: SecretStr = SecretStr("")
    """Secret with which SignNow shall sign its callbacks: choose a long random one. Without it every delivery is
    rejected."""
    signnow_is_live: bool = True
    """Whether the SignNow application is in live mode. Invites of one in development mode cost nothing: they are
    counted for the tenant, and no upstream units with them. Change it while no operation is without an answer."""
    signnow_charges_again: bool = False
    """Whether to count an upstream unit when an invite is sent again or given to another signer. SignNow does not say
    whether it charges that."""

    invite_cost: str = "1.50 USD"
    """What SignNow charges you for one signature invite, until `setUpstreamCost` says otherwise: an amount and a
    currency."""
    grace_days: Annotated[int, Field(ge=0, le=365)] = 7
    """Days that a tenant may go on after a payment failed, where its plan names none."""
    automatic_tax: bool = False
    """Have Stripe add taxes to what tenants owe. Each tenant then needs an address."""
    close_delay_minutes: Annotated[int, Field(ge=0, le=72 * 60)] = 60
    """Minutes that a period waits after its end for late usage, before it is closed by itself."""

    blocked_plugins: Annotated[tuple[str, ...], NoDecode] = ()
    """Names of plugins that are not loaded, with commas between several."""
    trace_plugins: bool = False
    """Print each call of a plugin's hook with its result, on stderr."""
    is_worker: bool = True
    """Whether `serve` also does the background work; if not, run `inkmeter worker` beside it."""
    graphiql: bool = False
    """Show GraphiQL at /graphql to browsers; its page loads assets from a CDN."""
    introspection: bool = True
    """Whether the schema can be read through the API."""
    max_pdf_bytes: Annotated[int, Field(ge=1024)] = 50 * 1024 * 1024
    """Largest PDF. SignNow does not document a limit of its own."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 72 * 1024 * 1024
    """Largest request body; a PDF in GraphQL takes a third more than its own size."""

    @field_validator("blocked_plugins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("invite_cost")
    @classmethod
    def _is_money(cls, value: str) -> str:
        parse_money(value)
        return value

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read the environment; given values win. Raises ConfigurationError that names each wrong variable."""
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            wrong = "; ".join(
                f"INKMETER_{'_'.join(map(str, e['loc'])).upper()}: {e['msg'].removeprefix('Value error, ')}"
                for e in error.errors(include_url=False, include_input=False)
            )
            raise ConfigurationError(wrong) from None

    @property
    def stripe_webhook_secrets(self) -> tuple[str, ...]:
        """All secrets that may have signed a delivery of Stripe."""
        return tuple(filter(None, map(str.strip, self.stripe_webhook_secret.get_secret_value().split(","))))


def parse_money(text: str) -> Money:
    """Read "1.50 USD". Raises ValueError that says how to write it."""
    try:
        amount, currency = text.split()
        money = booked_money(Decimal(amount), currency)
    except (ValueError, ArithmeticError):  # what is no number, and what is too large
        raise ValueError(f'{text!r} is not an amount and a currency such as "1.50 USD"') from None
    if money.minor < 0:
        raise ValueError(f"{text!r} is negative")
    if money.amount != Decimal(amount):
        raise ValueError(f"{text!r} has more digits than {currency}")
    return money
