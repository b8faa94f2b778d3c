"""Settings come from the environment, say what is wrong, and keep secrets to themselves."""

import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from inkmeter.errors import ConfigurationError
from inkmeter.money import Money
from server.settings import Settings, parse_money

HIDDEN = "hunter2"


def test_defaults_are_enough_to_start() -> None:
    settings = Settings.load()
    assert settings.database_url == "sqlite:///inkmeter.sqlite3"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert not settings.graphiql
    assert parse_money(settings.invite_cost) == Money(150, "USD")


def test_the_environment_wins_over_the_file_and_arguments_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("INKMETER_PORT=9001\nINKMETER_HOST=0.0.0.0\nINKMETER_GRACE_DAYS=3\nOTHER=1\n")
    monkeypatch.setenv("INKMETER_PORT", "9002")
    monkeypatch.setenv("INKMETER_GRACE_DAYS", "4")
    settings = Settings.load(grace_days=5)
    assert (settings.host, settings.port, settings.grace_days) == ("0.0.0.0", 9002, 5)  # noqa: S104


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load().port = 1  # type: ignore[misc]


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKMETER_BLOCKED_PLUGINS", " acme-envelopes, ,flat")
    monkeypatch.setenv("INKMETER_STRIPE_WEBHOOK_SECRET", "whsec_new, whsec_old")
    settings = Settings.load()
    assert settings.blocked_plugins == ("acme-envelopes", "flat")
    assert settings.stripe_webhook_secrets == ("whsec_new", "whsec_old")
    assert Settings.load(stripe_webhook_secret=SecretStr("")).stripe_webhook_secrets == ()


def _with_secrets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a secret into every setting that holds one."""
    secrets = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    for name in secrets:
        monkeypatch.setenv(f"INKMETER_{name.upper()}", HIDDEN)
    monkeypatch.setenv("INKMETER_DATABASE_URL", f"postgresql://joe:{HIDDEN}@db.example.com/inkmeter")
    return secrets


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = _with_secrets(monkeypatch)
    assert len(secrets) >= 6
    settings = Settings.load()
    for text in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert HIDDEN not in text


def test_whatever_sounds_like_a_secret_is_one() -> None:
    secret = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    sounds = {name for name in Settings.model_fields if re.search(r"secret|password|_key$|token", name)}
    assert secret == sounds


def test_errors_name_every_variable_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_secrets(monkeypatch)
    monkeypatch.setenv("INKMETER_PORT", "-1")
    monkeypatch.setenv("INKMETER_GRACE_DAYS", "366")
    monkeypatch.setenv("INKMETER_CLOSE_DELAY_MINUTES", "1.5")
    monkeypatch.setenv("INKMETER_TRACE_PLUGINS", "often")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    named = set(re.findall(r"INKMETER_[A-Z_]+", caught.value.message))
    assert named == {f"INKMETER_{n}" for n in ("PORT", "GRACE_DAYS", "CLOSE_DELAY_MINUTES", "TRACE_PLUGINS")}
    assert HIDDEN not in caught.value.message
    assert HIDDEN not in repr(caught.value)


@pytest.mark.parametrize(
    "text", ["", "1.50", "USD", "1.505 USD", "1,50 USD", "1.50 usd", "1.50 XXX", "NaN USD", "1e9999 USD", "-1 USD"]
)
def test_a_cost_is_an_amount_and_a_currency(text: str) -> None:
    with pytest.raises(ConfigurationError, match="INKMETER_INVITE_COST"):
        Settings.load(invite_cost=text)


def test_a_cost_may_be_in_any_currency() -> None:
    assert parse_money("150 JPY") == Money(150, "JPY")
    assert parse_money("1.500 KWD") == Money(1500, "KWD")


def test_nothing_is_read_at_import() -> None:
    assert not [name for name in os.environ if name.startswith("INKMETER_") and "TEST" not in name]
    assert not Path("inkmeter.sqlite3").exists()
