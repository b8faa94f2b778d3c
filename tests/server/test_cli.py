"""Commands that come to an end: what they print, where, and with which status."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.house.pages import ROOT
from tests.server.command_line import complaint, run

NOBODY = "0195f000-0000-7000-8000-000000000001"
PLAN = '{"fee": "49.00", "included": 20, "overage": {"unitPrice": "2.50"}}'


def invoke(*arguments: str) -> Result:
    """Run a command in this process: for input that is refused before anything is opened."""
    return CliRunner().invoke(app, arguments)


def refusal(*arguments: str) -> list[str]:
    """The lines with which a command refuses, each after "inkmeter: "."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("inkmeter: ") for line in lines), lines
    return [line.removeprefix("inkmeter: ") for line in lines]


def test_keys_create_prints_the_key_and_nothing_else() -> None:
    ran = run("keys", "create", "--role", "operator")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    [key] = ran.stdout.splitlines()
    assert key.startswith("ink_op_")
    assert len(key) == len("ink_op_") + 43
    assert Path("inkmeter.sqlite3").exists()
    assert key.encode() not in Path("inkmeter.sqlite3").read_bytes()


def test_migrate_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKMETER_DATABASE_URL", f"sqlite:///{tmp_path / 'here.sqlite3'}")
    for _ in range(2):
        result = invoke("migrate")
        assert (result.exit_code, result.output) == (0, "the sqlite database is up to date\n")
    assert (tmp_path / "here.sqlite3").exists()


def test_plugins() -> None:
    result = invoke("plugins")
    assert result.exit_code == 0
    assert "Plugins: event-log, flat, metered, per-document, per-seat, tiered" in result.stdout
    for code in ("flat", "metered", "per-document", "per-seat", "tiered"):
        assert f"\n {code} " in result.stdout


def test_a_blocked_plugin_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKMETER_BLOCKED_PLUGINS", "tiered, flat")
    result = invoke("plugins")
    assert "tiered" not in result.stdout
    assert "metered" in result.stdout


def test_a_trace_leaves_stdout_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKMETER_TRACE_PLUGINS", "true")
    result = invoke("keys", "create", "--role", "operator")
    assert len(result.stdout.splitlines()) == 1
    assert "tiered: register_billing_models() -> " in result.stderr


def test_explain() -> None:
    result = invoke("explain", "tiered", PLAN, "25")
    assert result.exit_code == 0
    assert result.stdout.split()[-3:] == ["Total", "61.50", "USD"]
    yen = invoke("explain", "flat", '{"fee": "4900"}', "1", "--currency", "JPY")
    assert yen.stdout.split()[-3:] == ["Total", "4900", "JPY"]
    seats = invoke("explain", "per-seat", '{"seatPrice": "9.00"}', "0", "--seats", "3")
    assert seats.stdout.split()[-3:] == ["Total", "27.00", "USD"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nosuch", "{}", "3"), ["no billing model 'nosuch'"]),
        (("tiered", "{bad", "3"), ["the configuration is not JSON"]),
        (("tiered", "[" * 100_000, "3"), ["the configuration is not JSON"]),
        (("tiered", "[]", "3"), ["the configuration is a JSON object"]),
        (("tiered", "{}", "3"), ["fee: ", "included: ", "overage: "]),
        (("tiered", '{"fee": 49.0, "x": 1}', "3"), ["fee: ", "included: ", "overage: ", "x: "]),
        (("tiered", PLAN, "many"), ["'many' is not a number"]),
        (("tiered", PLAN, "NaN"), ["quantity: "]),
        (("tiered", PLAN, "1e99"), ["quantity: "]),
        (("tiered", PLAN, "3", "--currency", "XXX"), ["currency: "]),
        (("tiered", PLAN, "3", "--seats", "-1", "--currency", "usd"), ["seats: ", "currency: "]),
        (("flat", '{"fee": "9999999999999999"}', "3"), ["fee: "]),
    ],
    ids=lambda value: None if isinstance(value, list) else " ".join(value)[:40],
)
def test_explain_names_everything_that_is_wrong(arguments: tuple[str, ...], told: list[str]) -> None:
    lines = refusal("explain", *arguments)
    assert len(lines) == len(told), lines
    for line, start in zip(sorted(lines), sorted(told), strict=True):
        assert line.startswith(start)


def test_markup_in_a_label_is_text() -> None:
    assert refusal("explain", "[bold]x[/]", "{}", "3")[0].startswith("no billing model '[bold]x[/]'")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("keys", "create", "--role", "tenant"), "--tenant is needed"),
        (("keys", "create", "--role", "operator", "--tenant", NOBODY), "only for one"),
        (("keys", "create", "--role", "tenant", "--tenant", "acme"), "'acme' is not a tenant's id"),
        (("keys", "create", "--role", "tenant", "--tenant", "UGxhbjox"), "is not a tenant's id"),
        (("keys", "create", "--role", "tenant", "--tenant", NOBODY), "no such tenant"),
        (("close", "--tenant", "acme"), "'acme' is not a tenant's id"),
        (("close", "--tenant", NOBODY), "no such tenant"),
        (("sandbox", "stripe", "--port", "99999"), "cannot listen on 127.0.0.1:99999"),
        (("serve", "--port", "99999"), "INKMETER_PORT: "),
        (("serve", "--sandbox", "--port", "65535"), "cannot listen on 127.0.0.1:65536"),
        (("serve", "--host", "no.such.invalid"), "cannot listen on no.such.invalid:8000"),
        (("serve", "--host", "x" * 70), "cannot listen on xxx"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_one_clear_line(arguments: tuple[str, ...], told: str) -> None:
    [line] = refusal(*arguments)
    assert told in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("keys", "create"),
        ("keys", "create", "--role", "admin"),
        ("sandbox", "paypal"),
        ("serve", "--port", "many"),
        ("explain", "tiered"),
        ("close", "--all"),
    ],
    ids=" ".join,
)
def test_wrong_options_have_status_2(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: inkmeter" in result.stderr
    assert "Traceback" not in result.output


def test_close_on_an_empty_database() -> None:
    result = invoke("close")
    assert (result.exit_code, result.stdout) == (0, "0 periods closed\n")


def test_the_schema_is_printed_as_it_stands() -> None:
    assert invoke("export-schema").stdout == (ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8")


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = complaint(run("serve", "--port", port))
    assert line.startswith(f"cannot listen on 127.0.0.1:{port} (Address already in use)")
    assert "--port" in line


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://joe:hunter2@localhost:1/x", "the postgresql database localhost:1/x cannot be used"),
        ("postgresql://joe:hunter2@localhost:port/x", "INKMETER_DATABASE_URL: "),
        ("postgresql://joe:hunter2@[::1/x", "INKMETER_DATABASE_URL: "),
        ("mysql://joe:hunter2@localhost/x", "INKMETER_DATABASE_URL: mysql"),
        ("hunter2", "INKMETER_DATABASE_URL: "),
        ("sqlite:///no/such/folder.sqlite3", "the sqlite database no/such/folder.sqlite3 cannot be used"),
        ("sqlite:///text.sqlite3", "the sqlite database text.sqlite3 cannot be used"),
    ],
)
def test_a_database_that_cannot_be_used(url: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("text.sqlite3").write_text("This is no database, and it is longer than the header of one. " * 9)
    monkeypatch.setenv("INKMETER_DATABASE_URL", url)
    [line] = refusal("migrate")
    assert told in line
    assert "hunter2" not in line


def test_a_database_that_is_down_stops_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKMETER_DATABASE_URL", "postgresql://joe:hunter2@localhost:1/x")
    [line] = refusal("serve", "--port", "0")
    assert "the postgresql database localhost:1/x cannot be used" in line
    assert "hunter2" not in line


def test_each_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "PORT": "70000",
        "GRACE_DAYS": "soon",
        "INVITE_COST": "free",
        "IS_WORKER": "perhaps",
        "MAX_BODY_BYTES": "1",
    }
    for name, value in {**wrong, "STRIPE_API_KEY": "hunter2"}.items():
        monkeypatch.setenv(f"INKMETER_{name}", value)
    [line] = refusal("serve")
    assert all(f"INKMETER_{name}: " in line for name in wrong)
    assert "hunter2" not in line


def test_a_public_url_needs_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKMETER_PUBLIC_URL", "https://billing.example.com")
    [line] = refusal("keys", "create", "--role", "operator")
    assert line == "INKMETER_SIGNNOW_WEBHOOK_SECRET is needed where INKMETER_PUBLIC_URL is set"


def test_query_does_what_the_api_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKMETER_DATABASE_URL", f"sqlite:///{tmp_path / 'here.sqlite3'}")
    made = "mutation ($input: CreateMeterInput!) { createMeter(input: $input) { meter { code } userErrors { code } } }"
    (tmp_path / "meter.graphql").write_text(made)
    pages = {"code": "pages", "unit": "page", "description": "Pages."}
    variables = json.dumps({"input": pages})
    for _ in range(2):
        result = invoke("query", f"@{tmp_path / 'meter.graphql'}", "--variables", variables)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == {"data": {"createMeter": {"meter": {"code": "pages"}, "userErrors": []}}}
    other = json.dumps({"input": {**pages, "unit": "sheet"}})
    result = invoke("query", made, "--variables", other)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["data"]["createMeter"]["userErrors"] == [{"code": "CONFLICT"}]
    result = invoke("query", "{ nothing }")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


def test_query_says_what_it_cannot_read() -> None:
    assert refusal("query", "{ viewer { role } }", "--variables", "[]") == ["the variables are a JSON object"]
    assert "cannot be read" in refusal("query", "@missing.graphql")[0]
