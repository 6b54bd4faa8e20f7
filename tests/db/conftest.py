"""The ledger's fixtures, for reading what it wrote."""

from tests.ledger.conftest import book, ledger_url, shared_ledger_url

__all__ = ["book", "ledger_url", "shared_ledger_url"]
