"""The ledger of the database that is open."""

from storage.database import raw_pool, sqlite_file
from storage.ledger import LedgerStore
from storage.ledger_postgres import PostgresLedger
from storage.ledger_sqlite import SqliteLedger


def open_ledger(url: str) -> LedgerStore:
    """The store that runs batches on that database."""
    file = sqlite_file(url)
    return SqliteLedger(str(file)) if file is not None else PostgresLedger(raw_pool())
