"""The month on one screen, and the checks that must hold."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from server.demo.story import Tale

METERS = ("documents_created", "invites_sent", "signatures", "documents_completed", "downloads", "api_calls")
PAYMENTS = {"PAID": "[green]paid[/]", "PAST_DUE": "[red]declined[/], in grace"}


def print_report(console: Console, tales: Sequence[Tale]) -> None:
    """Usage, invoices and margin, in three tables."""
    titles = [meter.replace("_", " ") for meter in METERS]
    usage = _table("Usage", *titles, numbers=range(1, len(titles) + 1))
    for tale in tales:
        usage.add_row(tale.character.name, *(f"{tale.usage[meter]:,}" for meter in METERS))
    console.print(usage)

    bill = _table("Invoice", "Line", "Quantity", "Unit price", "Amount (USD)", "Payment", numbers=range(2, 5))
    for tale in tales:
        name = tale.character.name
        for line in tale.invoice["lines"]:
            bill.add_row(name, line["label"], line["quantity"], line["unitPrice"], line["amount"]["amount"], "")
            name = ""
        total = tale.invoice["total"]["amount"]
        bill.add_row("", "[bold]Total", "", "", f"[bold]{total}", PAYMENTS[tale.invoice["state"]], end_section=True)
    console.print(bill)

    margin = _table("Margin", "Billed", "SignNow invites", "SignNow cost", "Margin (USD)", numbers=range(1, 5))
    sums = [Decimal(0)] * 4
    for tale in tales:
        upstream = tale.invoice["upstream"]
        figures = [
            Decimal(tale.invoice["total"]["amount"]),
            Decimal(upstream["units"]),
            Decimal(upstream["cost"]["amount"]),
            Decimal(upstream["margin"]["amount"]),
        ]
        sums = [total + figure for total, figure in zip(sums, figures, strict=True)]
        margin.add_row(tale.character.name, *map(str, figures))
    margin.add_section()
    margin.add_row("[bold]Operator", *(f"[bold]{total}" for total in sums))
    console.print(margin)


def _table(*titles: str, numbers: Sequence[int]) -> Table:
    table = Table(*titles, box=SIMPLE_HEAD)
    for column in numbers:
        table.columns[column].justify = "right"
    return table


def checks(tales: Sequence[Tale]) -> Iterator[tuple[str, bool]]:
    """What must be true of the month, each with whether it is."""
    by_reference = {tale.character.reference: tale for tale in tales}
    for tale in tales:
        who = tale.character
        yield f"{who.name} is billed {who.total}", tale.invoice["total"]["amount"] == who.total
        lines = sum(Decimal(line["amount"]["amount"]) for line in tale.invoice["lines"])
        yield f"the lines of {who.name} sum to its total", lines == Decimal(tale.invoice["total"]["amount"])
        yield f"the usage of {who.name} is as played", all(tale.usage[m] == n for m, n in who.meters.items())
        expected = ("PAST_DUE", "GRACE") if who.is_card_declined else ("PAID", "ACTIVE")
        yield f"{who.name} is {expected[0]}", (tale.invoice["state"], tale.state) == expected
        yield (
            f"SignNow charges {who.meters['invites_sent']} invites",
            int(tale.invoice["upstream"]["units"]) == who.meters["invites_sent"],
        )
        yield f"{who.name} has its signed PDFs", tale.signed_bytes > 0
    [refusal] = by_reference["basalt"].refusals or [{}]
    yield (
        "the hard limit refused the fourth invite",
        (
            refusal.get("__typename"),
            refusal.get("limit"),
            refusal.get("used"),
        )
        == ("QuotaExceeded", "3", "3"),
    )
    yield "the soft limit went into overage, at its price", by_reference["tern"].overage == ["4.25", "4.25"]
