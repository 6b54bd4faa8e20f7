"""Values that no table may hold, whoever writes them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.servers import Databases

ROWS: dict[str, dict[str, object]] = {
    "users": {"id": "u", "issuer": "i", "subject": "s", "display_name": "n"},
    "paths": {
        "id": "p", "kind": "sale", "workflow_id": "w", "initiator_id": "u", "currency": "CNY",
        "phase": "paid",
    },
    "listings": {
        "id": "l", "seller_id": "u", "title": "t", "description": "d", "unit_price": 1,
        "currency": "CNY", "stock_kind": "in_stock", "stock": 0, "lead_days": 0,
        "royalty_basis_points": 0, "delivery": ["express"], "picture_ids": [], "on_sale": True,
    },
    "sales": {
        "id": "p", "buyer_id": "u", "seller_id": "u", "total": 1, "terms": "{}",
    },
    "reservations": {
        "sale_id": "p", "listing_id": "l", "quantity": 1, "state": "reserved",
        "expires_at": "2030-01-01T00:00:00Z",
    },
    "payments": {
        "id": "pay", "path_id": "p", "payer_id": "u", "provider": "x", "operation_id": "o",
        "amount": 1, "currency": "CNY", "status": "open", "expires_at": "2030-01-01T00:00:00Z",
    },
    "refunds": {
        "id": "ref", "path_id": "p", "payment_id": "pay", "payer_id": "u", "provider": "x",
        "operation_id": "o", "amount": 1, "currency": "CNY", "reason": "r", "status": "open",
    },
    "payout_destinations": {
        "id": "dst", "user_id": "u", "provider": "x", "currency": "CNY", "account": "a",
        "holder": "h", "status": "active", "automatic": True,
    },
    "payouts": {
        "id": "pyo", "user_id": "u", "destination_id": "dst", "provider": "x",
        "operation_id": "o", "amount": 1, "currency": "CNY", "status": "open",
    },
    "webhook_inbox": {
        "source": "x", "event_id": "e", "kind": "k", "subject": "s", "body": b"",
        "status": "received",
    },
}  # fmt: skip
"""One acceptable row of each table, in an order that foreign keys allow."""

REFUSED: list[tuple[str, dict[str, object]]] = [
    ("paths", {"closed_at": "2030-01-01T00:00:00Z", "deadlines": '[{"name": "scan"}]'}),
    ("paths", {"currency": "yuan"}),
    ("listings", {"unit_price": 0}),
    ("listings", {"stock": -1}),
    ("listings", {"currency": "CN"}),
    ("reservations", {"quantity": 0}),
    ("reservations", {"state": "lost"}),
    ("payments", {"amount": 0}),
    ("payments", {"currency": "cny"}),
    ("refunds", {"amount": -1}),
    ("refunds", {"currency": ""}),
    ("payouts", {"amount": 0}),
    ("payouts", {"currency": "CNYX"}),
    ("payout_destinations", {"status": "gone"}),
    ("payout_destinations", {"currency": "cny"}),
    ("webhook_inbox", {"status": "lost"}),
]


@pytest.fixture(scope="module")
def sql(postgres_server: Databases) -> Iterator[psycopg.Connection]:
    """A database of its own, in a transaction that is never committed."""
    with postgres_server.fresh() as url, psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


def insert(sql: psycopg.Connection, table: str, row: dict[str, object]) -> None:
    columns = psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(name) for name in row)
    values = psycopg.sql.SQL(", ").join(psycopg.sql.Placeholder() * len(row))
    query = psycopg.sql.SQL("INSERT INTO {} ({}) VALUES ({})")
    sql.execute(query.format(psycopg.sql.Identifier(table), columns, values), list(row.values()))


@pytest.mark.parametrize(("table", "spoiled"), REFUSED)
def test_refused(sql: psycopg.Connection, table: str, spoiled: dict[str, object]) -> None:
    with sql.transaction(force_rollback=True):
        for name, row in ROWS.items():
            if name == table:
                break
            insert(sql, name, row)
        with pytest.raises(errors.CheckViolation), sql.transaction():
            insert(sql, table, {**ROWS[table], **spoiled})
        insert(sql, table, ROWS[table])
