"""Every table, as SQLAlchemy sees it. The migrations in db/migrations are what the database gets."""

from __future__ import annotations

from db.tables.base import Base, Json
from db.tables.inbox import IdempotencyRow, InboxRow
from db.tables.ledger import LedgerAccount, LedgerEntry, LedgerPosting
from db.tables.money import Payment, Payout, PayoutDestination, Refund
from db.tables.paths import Path, PathEvent
from db.tables.people import File, User, UserRole
from db.tables.sales import Listing, Reservation, Sale

__all__ = [
    "Base",
    "File",
    "IdempotencyRow",
    "InboxRow",
    "Json",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerPosting",
    "Listing",
    "Path",
    "PathEvent",
    "Payment",
    "Payout",
    "PayoutDestination",
    "Refund",
    "Reservation",
    "Sale",
    "User",
    "UserRole",
]
