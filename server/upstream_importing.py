"""SignNow's usage and invoices from a CSV, all lines of it or none.

record,period,invites,kind,folder,user,number,amount,currency
usage,2026-03,120,,,,,,
bill,2026-03,,,,,INV-7,180.00,USD
"""

import csv
import io
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from inkmeter.errors import InvalidInput, Problem
from services.upstream_books import NewBill, NewFigure, NewRecord, UnitKind

_COLUMNS: Final = ("record", "period", "invites", "kind", "folder", "user", "number", "amount", "currency")
_AMOUNT: Final = re.compile(r"-?\d{1,19}(\.\d{1,12})?", re.ASCII)
_NEEDED: Final = {"usage": ("period", "invites"), "bill": ("period", "number", "amount", "currency")}
_OPTIONAL: Final = {"usage": ("kind", "folder", "user"), "bill": ()}


def read_records(content: bytes) -> list[NewRecord]:
    """Every line as a record, with its number as its path. Raises InvalidInput that names every wrong line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput([Problem(("file",), "is not UTF-8")]) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems: list[Problem] = []
    records: list[NewRecord] = []
    header: list[str] | None = None
    try:
        for row in reader:
            line = f"line {reader.line_num}"
            if header is None:
                header = _header(row)
            elif len(row) != len(header) and any(row):
                problems.append(Problem((line,), f"has {len(row)} columns, the header {len(header)}"))
            elif any(row):
                cells = {name: cell.strip() for name, cell in zip(header, row, strict=True) if cell.strip()}
                try:
                    records.append(NewRecord((line,), _read(cells)))
                except ValueError as error:
                    problems.append(Problem((line,), str(error)))
    except csv.Error as error:
        problems.append(Problem((f"line {reader.line_num}",), f"is not CSV: {error}"))
    if header is None:
        problems.append(Problem(("header",), f"is missing; it names columns of {', '.join(_COLUMNS)}"))
    if problems:
        raise InvalidInput(problems)
    return records


def _header(row: list[str]) -> list[str]:
    header = [name.strip() for name in row]
    problems = [Problem((name or "header",), "there is no such column") for name in header if name not in _COLUMNS]
    problems += [Problem((name,), "this column is needed") for name in ("record", "period") if name not in header]
    problems += [Problem((name,), "stands there twice") for name in sorted({n for n in header if header.count(n) > 1})]
    if problems:
        raise InvalidInput(problems)
    return header


def _read(cells: Mapping[str, str]) -> NewFigure | NewBill:
    """Raises ValueError."""
    record = cells.get("record", "")
    if record not in _NEEDED:
        raise ValueError(f"record is usage or bill, not {record!r}")
    if missing := [name for name in _NEEDED[record] if name not in cells]:
        raise ValueError(f"a {record} needs {', '.join(missing)}")
    if more := [name for name in cells if name not in ("record", *_NEEDED[record], *_OPTIONAL[record])]:
        raise ValueError(f"a {record} has no {', '.join(more)}")
    if record == "bill":
        return NewBill(cells["period"], cells["number"], _amount(cells["amount"]), cells["currency"])
    kind = cells.get("kind")
    if kind is not None and kind not in UnitKind.__members__:
        raise ValueError(f"kind is one of {', '.join(UnitKind)}")
    if not (cells["invites"].isascii() and cells["invites"].isdigit() and len(cells["invites"]) <= 18):
        raise ValueError("invites is a number of zero or more")
    return NewFigure(
        cells["period"],
        int(cells["invites"]),
        UnitKind[kind] if kind is not None else None,
        cells.get("folder"),
        cells.get("user"),
    )


def _amount(text: str) -> Decimal:
    if not _AMOUNT.fullmatch(text):
        raise ValueError("amount is a number such as 180.00")
    return Decimal(text)
