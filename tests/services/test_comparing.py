"""Two invoices compared: whatever is done to a right one is found, as what it is, and nothing else."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter.money import Money
from integrations.protocols import StripeInvoice, StripeLine
from services.comparing import Difference, DifferenceKind, OurInvoice, OurLine, compare_invoice, corrected

START = datetime(2026, 3, 10, tzinfo=UTC)
END = datetime(2026, 4, 10, tzinfo=UTC)
CYCLE_END = datetime(2026, 4, 20, tzinfo=UTC)
"""The period was cut."""
AMOUNTS = st.integers(-100_000, 1_000_000).filter(bool)


@dataclass
class Books:
    """Our invoice and Stripe's, and the metadata of its items."""

    ours: OurInvoice
    theirs: StripeInvoice
    items: dict[str, dict[str, str]]

    def compare(self) -> list[Difference]:
        return compare_invoice(self.ours, self.theirs, self.items)

    def put(self, lines: list[StripeLine]) -> None:
        """Give Stripe's invoice these lines; its sums follow."""
        total = Money(sum(line.amount.minor for line in lines), "USD")
        self.theirs = replace(self.theirs, lines=tuple(lines), subtotal=total, total=total)


@st.composite
def equal_books(draw: st.DrawFn) -> Books:
    amounts = draw(st.lists(AMOUNTS, min_size=1, max_size=6))
    ours = [
        OurLine(
            f"line-{n}",
            f"ii_{n}",
            f"Line {n}",
            Money(minor, "USD"),
            (START + timedelta(microseconds=7), END),
            (START, CYCLE_END),
        )
        for n, minor in enumerate(amounts)
    ]
    theirs = [
        StripeLine(f"il_{n}", f"ii_{n}", f"Line {n}", Money(minor, "USD"), (START, END))
        for n, minor in enumerate(amounts)
    ]
    cycle = StripeLine("il_cycle", None, "1 × Plan", Money(0, "USD"), (END, END + timedelta(days=30)))
    zero = Money(0, "USD")
    invoice = StripeInvoice(
        id="in_1",
        customer_id="cus_1",
        subscription_id=None,
        status="paid",
        billing_reason="manual",
        is_advancing=False,
        period=(START, END),
        subtotal=zero,
        discounts=zero,
        exclusive_tax=zero,
        total=zero,
        amount_due=zero,
        amount_paid=zero,
        attempt_count=1,
        next_payment_attempt_at=None,
        number="A-1",
        hosted_url=None,
        pdf_url=None,
        finalization_error=None,
        finalization_problem=None,
        metadata={},
        subscription_metadata={},
        lines=(),
    )
    items = {f"ii_{n}": {"line_item_id": f"line-{n}"} for n in range(len(amounts))}
    books = Books(OurInvoice("ours", "PAID", "USD", ours), invoice, items)
    books.put(draw(st.permutations([*theirs, cycle])))
    return books


def line_of(books: Books, n: int) -> tuple[int, StripeLine]:
    """Where Stripe has our n-th line, and the line."""
    return next((at, line) for at, line in enumerate(books.theirs.lines) if line.id == f"il_{n}")


@given(equal_books())
def test_equal_books_do_not_differ(books: Books) -> None:
    assert books.compare() == []


def spoil(books: Books, kind: DifferenceKind, n: int, minor: int) -> None:
    """One thing of that kind."""
    at, line = line_of(books, n)
    lines = list(books.theirs.lines)
    match kind:
        case DifferenceKind.MISSING:
            del lines[at]
        case DifferenceKind.AMOUNT:
            lines[at] = replace(line, amount=Money(line.amount.minor + minor, "USD"))
        case DifferenceKind.CURRENCY:
            lines[at] = replace(line, amount=Money(line.amount.minor, "EUR"))
        case DifferenceKind.PERIOD:
            lines[at] = replace(line, period=(START, END + timedelta(days=1)))
        case DifferenceKind.DUPLICATE:
            books.items["ii_again"] = {"line_item_id": f"line-{n}"}
            lines.append(replace(line, id="il_again", invoice_item_id="ii_again"))
        case DifferenceKind.EXTRA:
            books.items["ii_extra"] = {"line_item_id": "line-of-another"}
            lines.append(replace(line, id="il_extra", invoice_item_id="ii_extra", amount=Money(minor, "USD")))
        case DifferenceKind.STRIPE_ONLY:
            books.items["ii_foreign"] = {}
            lines.append(replace(line, id="il_foreign", invoice_item_id="ii_foreign", amount=Money(minor, "USD")))
    books.put(lines)


LINE_KINDS = (
    DifferenceKind.MISSING,
    DifferenceKind.AMOUNT,
    DifferenceKind.CURRENCY,
    DifferenceKind.PERIOD,
    DifferenceKind.DUPLICATE,
    DifferenceKind.EXTRA,
    DifferenceKind.STRIPE_ONLY,
)


@given(equal_books(), st.sampled_from(LINE_KINDS), AMOUNTS, st.data())
def test_each_change_is_found_as_what_it_is(
    books: Books, kind: DifferenceKind, minor: int, data: st.DataObject
) -> None:
    n = data.draw(st.integers(0, len(books.ours.lines) - 1))
    before = books.theirs.subtotal.minor
    spoil(books, kind, n, minor)
    [found] = books.compare()
    assert found.kind is kind
    if kind is not DifferenceKind.CURRENCY:
        assert found.too_much == books.theirs.subtotal.minor - before


@given(equal_books(), st.lists(st.sampled_from(LINE_KINDS[:4]), min_size=1), st.data())
def test_changes_of_several_lines_are_all_found(
    books: Books, changes: list[DifferenceKind], data: st.DataObject
) -> None:
    expected = []
    for n, kind in enumerate(changes[: len(books.ours.lines)]):
        spoil(books, kind, n, data.draw(AMOUNTS))
        expected.append((kind, f"ours line-{n}"))
    assert sorted((found.kind, found.subject) for found in books.compare()) == sorted(expected)


@given(equal_books(), st.sampled_from(["subtotal", "total"]), AMOUNTS)
def test_sums_that_do_not_follow_from_the_lines(books: Books, which: str, minor: int) -> None:
    was = getattr(books.theirs, which).minor
    spoilt = Money(was + minor, "USD")
    books.theirs = replace(books.theirs, total=spoilt)
    if which == "subtotal":
        books.theirs = replace(books.theirs, subtotal=spoilt)
    [found] = books.compare()
    assert (found.kind, found.subject) == (DifferenceKind.HEADER, f"ours {which}")


@given(equal_books(), st.integers(1, 1000))
def test_tax_on_top_is_no_difference_and_a_discount_is_one(books: Books, minor: int) -> None:
    total = books.theirs.subtotal.minor
    books.theirs = replace(books.theirs, exclusive_tax=Money(minor, "USD"), total=Money(total + minor, "USD"))
    assert books.compare() == []
    books.theirs = replace(books.theirs, discounts=Money(minor, "USD"), total=Money(total, "USD"))
    [found] = books.compare()
    assert (found.kind, found.subject, found.too_much) == (DifferenceKind.STRIPE_ONLY, "ours discount", -minor)


@pytest.mark.parametrize(
    ("ours", "theirs", "differs"),
    [
        ("PAID", "paid", False),
        ("PUSHED", "open", False),
        ("PAST_DUE", "open", False),
        ("VOID", "void", False),
        ("PUSHED", "paid", True),
        ("PAID", "open", True),
        ("PAID", "void", True),
        ("PUSHED", "draft", True),
    ],
)
@given(equal_books())
def test_states(ours: str, theirs: str, differs: bool, books: Books) -> None:
    books.ours, books.theirs = replace(books.ours, state=ours), replace(books.theirs, status=theirs)
    assert [found.kind for found in books.compare()] == ([DifferenceKind.STATE] if differs else [])


@given(equal_books())
def test_an_invoice_in_another_currency_is_one_difference(books: Books) -> None:
    books.ours = replace(books.ours, currency="EUR")
    assert [found.kind for found in books.compare()] == [DifferenceKind.CURRENCY]


@given(equal_books(), st.data())
def test_an_item_whose_id_was_never_stored_is_found_by_its_name(books: Books, data: st.DataObject) -> None:
    """Killed between Stripe's answer and our row."""
    n = data.draw(st.integers(0, len(books.ours.lines) - 1))
    lines = list(books.ours.lines)
    lines[n] = replace(lines[n], item_id=None)
    books.ours = replace(books.ours, lines=lines)
    assert books.compare() == []


@given(equal_books(), AMOUNTS, st.data())
def test_what_was_credited_or_charged_apart_is_made_up_for(books: Books, minor: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, len(books.ours.lines) - 1))
    spoil(books, DifferenceKind.AMOUNT, n, minor)
    [found] = books.compare()
    key = (found.kind.value, found.subject)
    assert corrected([found], {key: minor}) == []
    [left] = corrected([found], {key: minor - 1})
    assert left.too_much == 1


@given(equal_books(), st.data())
def test_a_line_that_was_sent_before_its_period_was_cut(books: Books, data: st.DataObject) -> None:
    at, line = line_of(books, data.draw(st.integers(0, len(books.ours.lines) - 1)))
    lines = list(books.theirs.lines)
    lines[at] = replace(line, period=(START, CYCLE_END))
    books.put(lines)
    assert books.compare() == []
