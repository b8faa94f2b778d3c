"""`inkmeter upstream import`, `margin` and `reconcile signnow`: SignNow's books from a file, all of it or nothing."""

from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inkmeter.errors import InvalidInput
from server.cli import app
from server.upstream_importing import read_records
from services.upstream_books import NewBill, NewFigure, UnitKind

HEADER = "record,period,invites,kind,folder,user,number,amount,currency\n"
GOOD = HEADER + "usage,2026-03,40,,,,,,\nusage,2026-03,3,DEVELOPMENT,f00,eve@x.test,,,\nbill,2026-03,,,,,7,60.5,USD\n"


def wrong(text: str | bytes) -> dict[str, str]:
    """What is wrong with a file, by where."""
    with pytest.raises(InvalidInput) as raised:
        read_records(text.encode() if isinstance(text, str) else text)
    return {".".join(problem.path): problem.message for problem in raised.value.problems}


def test_lines_become_records() -> None:
    for text in (GOOD, "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n,,,,,,,,\n"):
        records = read_records(text.encode())
        assert [(record.path, record.what) for record in records] == [
            (("line 2",), NewFigure("2026-03", 40)),
            (("line 3",), NewFigure("2026-03", 3, UnitKind.DEVELOPMENT, "f00", "eve@x.test")),
            (("line 4",), NewBill("2026-03", "7", Decimal("60.5"), "USD")),
        ]
    [only] = read_records(b'invites , period,record\n5,"2026-03-05",usage')
    assert only.what == NewFigure("2026-03-05", 5)


def test_every_wrong_line_is_named() -> None:
    lines = [
        "usage,2026-03,40,,,,,,",
        "usage,2026-03,,,,,,,",
        "usage,2026-03,-4,,,,,,",
        "usage,2026-03,4.5,,,,,,",
        "usage,2026-03,4,LIVE,,,,,",
        "usage,2026-03,4,,,,7,,",
        "bill,2026-03,,,,,7,,USD",
        "bill,2026-03,,,,,7,much,USD",
        "bill,2026-03,,,,,7,1E999999,USD",
        "note,2026-03,,,,,,,",
        "usage,2026-03,4",
    ]
    assert wrong(HEADER + "\n".join(lines)) == {
        "line 3": "a usage needs invites",
        "line 4": "invites is a number of zero or more",
        "line 5": "invites is a number of zero or more",
        "line 6": "kind is one of FIELD_INVITE, FREE_FORM_SIGNER, DEVELOPMENT",
        "line 7": "a usage has no number",
        "line 8": "a bill needs amount",
        "line 9": "amount is a number such as 180.00",
        "line 10": "amount is a number such as 180.00",
        "line 11": "record is usage or bill, not 'note'",
        "line 12": "has 3 columns, the header 9",
    }


def test_what_is_no_such_file() -> None:
    assert list(wrong("")) == ["header"]
    assert wrong("record,periods\n") == {"periods": "there is no such column", "period": "this column is needed"}
    assert wrong("record,period,period\n") == {"period": "stands there twice"}
    assert wrong(b"\xff\xfe") == {"file": "is not UTF-8"}
    assert list(wrong(HEADER + 'usage,"2026-03,4\n')) == ["line 2"]
    assert list(wrong(HEADER + "usage,2026-03," + "9" * 200_000)) == ["line 2"]


def test_the_commands(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
        return result.exit_code, " ".join((result.stdout + result.stderr).split())

    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "bad.csv").write_text(GOOD + "bill,2026-3,,,,,8,1.001,USD\nbill,2026-03,,,,,7,1,USD\n")
    assert run("upstream", "import", "good.csv") == (0, "3 new, 0 corrected, 0 unchanged")
    assert run("upstream", "import", "good.csv") == (0, "0 new, 0 corrected, 3 unchanged")
    (tmp_path / "good.csv").write_text(GOOD.replace("60.5", "61.5"))
    status, said = run("upstream", "import", "bad.csv")
    assert status == 1
    assert said == (
        "inkmeter: line 5.period: is a month 2026-03, a day 2026-03-05, or 2026-03-01/2027-03-01 "
        "inkmeter: line 6: stands there twice"
    )
    assert run("upstream", "import", "good.csv") == (0, "0 new, 1 corrected, 2 unchanged")
    assert run("upstream", "import", "none.csv")[0] == 1
    status, said = run("margin", "--month", "2026-03", "--by", "month")
    assert status == 0
    assert "2026-03 0 0 0.00 USD 0.00 USD 0.00 USD 0.00 USD 61.50 USD 0.00 USD -" in said
    status, said = run("margin", "--from", "2026-01-01", "--to", "2026-04-01")
    assert status == 0
    assert "(none)" in said
    for given in ((), ("--month", "x"), ("--from", "2026-01-01"), ("--from", "x", "--to", "2026-04-01")):
        assert run("margin", *given)[0] == 1, given
    assert run("margin", "--month", "2026-03", "--currency", "usd")[0] == 1
    status, said = run("reconcile", "signnow", "--month", "2026-03")
    assert status == 1
    assert said.endswith("Total 0 40 40 - 61.50 USD")
    assert run("reconcile", "signnow", "--month", "2026-02")[0] == 0
