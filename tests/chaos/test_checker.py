"""The checker finds what it is there to find: each kind of difference is planted in a small world and named."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from providers.sandbox_server.schema import STEPS
from tests.chaos import checker
from tests.chaos.checker import check_books
from tests.chaos.checker.books import books_on, theirs_on
from tests.chaos.checker.stories import unfinished_on
from tests.servers import Databases

_OURS_ALONE = {"ledger", "db", "activities", "domain", "api", "workflows", "providers", "worker"}

# One sale of 10,000: paid (fee 60), half of it refunded, the rest released and paid out.
_BOOKS = """
    SET LOCAL session_replication_role = replica;
    ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_not_overdrawn;
    INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase, closed_at)
        VALUES ('sal_1', 'sale', 'sale-sal_1', 'usr_b', 'CNY', 'completed', now());
    INSERT INTO sales (id, buyer_id, seller_id, terms, total)
        VALUES ('sal_1', 'usr_b', 'usr_s', '{}', 10000);
    INSERT INTO events (path_id, key, kind, phase, actor, summary)
        VALUES ('sal_1', 'sale-sal_1/placed', 'placed', 'placed', 'buyer', '');
    INSERT INTO idempotency_keys (user_id, key, request_hash, resource_id, status_code)
        VALUES ('usr_b', 'k1', 'h', 'sal_1', 201);
    INSERT INTO payments (id, path_id, payer_id, provider, operation_id, reference, amount, currency,
        status, fee, expires_at, settled_at)
        VALUES ('pay_1', 'sal_1', 'usr_b', 'sandbox', 'op_pay', 'spay_1', 10000, 'CNY', 'captured',
        60, now(), now());
    INSERT INTO refunds (id, path_id, payment_id, payer_id, provider, operation_id, reference, amount,
        currency, reason, status)
        VALUES ('ref_1', 'sal_1', 'pay_1', 'usr_b', 'sandbox', 'op_ref', 'sref_1', 5000, 'CNY',
        'part', 'succeeded');
    INSERT INTO payouts (id, user_id, destination_id, provider, operation_id, reference, amount,
        currency, status)
        VALUES ('pyo_1', 'usr_s', 'dst_1', 'sandbox', 'op_pyo', 'spyo_1', 4000, 'CNY', 'paid');
    INSERT INTO webhook_inbox (source, event_id, kind, subject, body, status)
        VALUES ('sandbox', 'evt_1', 'payment.captured', 'pay_1', '', 'consumed');
"""
_JOURNAL = (
    ("pay_1/fund", "fund", "clearing:sandbox", "escrow:sal_1", 10_000),
    ("pay_1/settle", "settle", "cash:sandbox", "clearing:sandbox", 9_940),
    ("ref", "refund", "escrow:sal_1", "refund_due:ref_1", 5_000),
    ("ref_1/paid", "refund_paid", "refund_due:ref_1", "cash:sandbox", 5_000),
    ("release", "release", "escrow:sal_1", "payable:usr_s", 5_000),
    ("pyo_1/payout", "payout", "payable:usr_s", "transit:pyo_1", 4_000),
    ("pyo_1/paid", "payout_paid", "transit:pyo_1", "cash:sandbox", 4_000),
)
_FEE = ("pay_1/settle", "psp_fee:platform", "clearing:sandbox", 60)
_THEIRS = """
    INSERT INTO payments (reference, operation_id, subject, status, amount, currency, description,
        return_url, fee, settled, created_at)
        VALUES ('spay_1', 'op_pay', 'pay_1', 'captured', 10000, 'CNY', '', '', 60, 1, '');
    INSERT INTO refunds (reference, operation_id, subject, payment_reference, status, amount,
        currency, created_at)
        VALUES ('sref_1', 'op_ref', 'ref_1', 'spay_1', 'succeeded', 5000, 'CNY', '');
    INSERT INTO payouts (reference, operation_id, subject, status, amount, currency, destination,
        holder, created_at, plan)
        VALUES ('spyo_1', 'op_pyo', 'pyo_1', 'paid', 4000, 'CNY', '', '', '', 'pay');
    INSERT INTO movements (reference, kind, subject, amount, currency, booked_at, day) VALUES
        ('spay_1', 'payment', 'pay_1', 10000, 'CNY', '', ''),
        ('spay_1', 'fee', 'pay_1', -60, 'CNY', '', ''),
        ('sref_1', 'refund', 'ref_1', -5000, 'CNY', '', ''),
        ('spyo_1', 'payout', 'pyo_1', -4000, 'CNY', '', '');
    INSERT INTO balances VALUES ('CNY', 940);
    INSERT INTO deliveries (event_id, channel, event_type, subject, body, state, created_at)
        VALUES ('evt_1', 'payments', 'payment.captured', 'pay_1', '', 'delivered', '');
"""


@dataclass
class World:
    """A platform's database and a provider's file, small and in order until somebody plants something."""

    ours: psycopg.Connection[tuple[object, ...]]
    theirs: sqlite3.Connection

    def here(self, statement: str) -> None:
        """Something done to the database around all of its guards."""
        self.ours.execute(sql.SQL(statement))

    def there(self, statement: str) -> None:
        """Something done to the provider's file."""
        self.theirs.executescript(statement)

    def post(self, key: str, kind: str, debit: str, credit: str, amount: int) -> None:
        """One more entry, with balances that follow from it."""
        self.here(
            "INSERT INTO ledger_entries (key, input_hash, kind, status, currency, total, path_id, note)"
            f" VALUES ('{key}', '', '{kind}', 'posted', 'CNY', {amount}, 'sal_1', '')"
            " ON CONFLICT (key) DO UPDATE SET total = ledger_entries.total + EXCLUDED.total"
        )
        for account, side in ((debit, "debit"), (credit, "credit")):
            name, _, owner = account.partition(":")
            bound = "'sal_1'" if name in ("escrow", "refund_due") else "NULL"
            self.here(
                "INSERT INTO ledger_accounts (kind, owner, currency, path_id)"
                f" VALUES ('{name}', '{owner}', 'CNY', {bound}) ON CONFLICT DO NOTHING"
            )
            which = f"a.kind = '{name}' AND a.owner = '{owner}'"
            self.here(
                f"UPDATE ledger_accounts a SET {side}s_posted = {side}s_posted + {amount}"
                f" WHERE {which};"
                " INSERT INTO ledger_postings (entry_id, account_id, side, amount)"
                f" SELECT e.id, a.id, '{side}', {amount} FROM ledger_entries e, ledger_accounts a"
                f" WHERE e.key = '{key}' AND {which}"
            )

    def found(self) -> set[str]:
        """The checks that have something to say."""
        differences = check_books(books_on(self.ours), theirs_on(self.theirs))
        return {each.check for each in differences}


@pytest.fixture(scope="module")
def migrated(postgres_server: Databases) -> Iterator[str]:
    with postgres_server.fresh() as url:
        yield url


@pytest.fixture
def world(migrated: str) -> Iterator[World]:
    """Gone with its transaction."""
    with psycopg.connect(migrated) as ours, closing(sqlite3.connect(":memory:")) as theirs:
        made = World(ours, theirs)
        made.here(_BOOKS)
        for entry in _JOURNAL:
            made.post(*entry)
        key, debit, credit, amount = _FEE
        made.post(key, "settle", debit, credit, amount)
        made.there(" ".join(STEPS) + _THEIRS)
        yield made
        ours.rollback()


def test_a_world_in_order_has_no_differences(world: World) -> None:
    assert world.found() == set()
    assert unfinished_on(world.ours) == []


Plant = Callable[[World], None]


def _here(statement: str) -> Plant:
    return lambda world: world.here(statement)


def _there(statement: str) -> Plant:
    return lambda world: world.there(statement)


def _posted(key: str, kind: str, debit: str, credit: str, amount: int) -> Plant:
    return lambda world: world.post(key, kind, debit, credit, amount)


_AGAIN = "created_at, plan) SELECT 'spyo_2', 'op_2', subject, status, amount, currency, '', '', '', 'pay' FROM payouts"
PLANTED: dict[str, tuple[Plant, str]] = {
    "an entry that does not balance": (
        _here(
            "UPDATE ledger_postings SET amount = amount + 1 WHERE id = (SELECT min(id) FROM ledger_postings)"
        ),
        "entry unbalanced",
    ),
    "a currency among another": (
        _here("UPDATE ledger_entries SET currency = 'JPY' WHERE key = 'release'"),
        "currency mixed",
    ),
    "a stored balance that nobody has posted": (
        _here("UPDATE ledger_accounts SET credits_posted = 4001 WHERE kind = 'payable'"),
        "balance differs",
    ),
    "money from nowhere": (
        _here("UPDATE ledger_accounts SET debits_posted = 10 WHERE kind = 'payable'"),
        "money not conserved",
    ),
    "an account below zero": (
        _posted("x", "payout", "payable:usr_s", "fee:platform", 2_000),
        "overdrawn",
    ),
    "a closed path with money": (
        _posted("x", "clawback", "payable:usr_s", "escrow:sal_1", 100),
        "closed path holds money",
    ),
    "a refund of a closed path that is still due": (
        _posted("x", "refund", "payable:usr_s", "refund_due:ref_1", 100),
        "closed path holds money",
    ),
    "a hold that was never ended": (
        _here("UPDATE ledger_entries SET status = 'pending' WHERE key = 'release'"),
        "hold never ended",
    ),
    "a payment that was funded twice": (
        _posted("pay_1/fund-again", "fund", "clearing:sandbox", "escrow:sal_1", 10_000),
        "funded twice",
    ),
    "a capture that was never posted": (
        _there("UPDATE payments SET amount = 10001"),
        "capture without its entry",
    ),
    "a fund for a payment nobody has captured": (
        _posted("pay_9/fund", "fund", "clearing:sandbox", "escrow:sal_1", 7),
        "entry without a capture",
    ),
    "a movement nobody has posted": (
        _there("UPDATE payouts SET status = 'returned'"),
        "movement without its entry",
    ),
    "a payout posted twice": (
        _posted("pyo_1/paid-again", "payout_paid", "payable:usr_s", "cash:sandbox", 4_000),
        "entry without a movement",
    ),
    "a settlement of another amount": (
        _there("UPDATE payments SET fee = 61"),
        "movement without its entry",
    ),
    "a payout the provider made twice": (
        _there(
            f"INSERT INTO payouts (reference, operation_id, subject, status, amount, currency, destination, holder, {_AGAIN}"
        ),
        "paid out twice",
    ),
    "a refund the provider made twice": (
        _there(
            "INSERT INTO refunds (reference, operation_id, subject, payment_reference, status, amount, currency,"
            " created_at) SELECT 'sref_2', 'op_2', subject, payment_reference, status, amount, currency, '' FROM refunds"
        ),
        "refunded twice",
    ),
    "more refunded than was paid": (
        _there("UPDATE refunds SET amount = 10001"),
        "refunded too much",
    ),
    "a payment nobody knows": (
        _there("UPDATE payments SET subject = 'pay_2'"),
        "unknown here",
    ),
    "a payout the provider does not know": (
        _there("DELETE FROM payouts"),
        "unknown there",
    ),
    "rows that mean different things": (
        _here("UPDATE refunds SET reference = 'sref_9'"),
        "rows differ",
    ),
    "a line the provider's objects do not explain": (
        _there("UPDATE movements SET amount = -59 WHERE kind = 'fee'"),
        "statement differs",
    ),
    "a failed payout that stays away": (
        _there("UPDATE payouts SET status = 'failed'"),
        "failed payout not put back once",
    ),
    "a payout without its money": (
        _here("UPDATE ledger_entries SET kind = 'freeze' WHERE key = 'pyo_1/payout'"),
        "payout without its entry",
    ),
    "a balance at the provider that is not our cash": (
        _there("UPDATE balances SET amount = 941"),
        "cash differs",
    ),
    "a capture that never settles": (
        _posted("x", "settle", "cash:sandbox", "clearing:sandbox", 3),
        "clearing differs",
    ),
    "a thing nobody has asked for": (
        _here("DELETE FROM idempotency_keys"),
        "made without a key",
    ),
    "a key with two effects": (
        _here(
            "INSERT INTO idempotency_keys SELECT user_id, 'k2', 'h', resource_id, 201 FROM idempotency_keys"
        ),
        "made by two keys",
    ),
    "a transition twice": (
        _here(
            "ALTER TABLE events DROP CONSTRAINT uq_events_key; INSERT INTO events (path_id, key, kind, phase, actor,"
            " summary) SELECT path_id, key, kind, phase, actor, summary FROM events"
        ),
        "transition twice",
    ),
    "a webhook nobody has seen to": (
        _here("UPDATE webhook_inbox SET status = 'received'"),
        "webhook not seen to",
    ),
    "a webhook that was turned away": (
        _here("UPDATE webhook_inbox SET status = 'rejected'"),
        "webhook rejected",
    ),
    "a webhook that was answered and lost": (
        _here("DELETE FROM webhook_inbox"),
        "webhook lost",
    ),
    "a webhook the provider never sent": (
        _there("DELETE FROM deliveries"),
        "webhook forged",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_named(world: World, planted: str) -> None:
    plant, name = PLANTED[planted]
    plant(world)
    assert name in world.found()


def test_what_has_not_ended_is_listed(world: World) -> None:
    world.here(
        "UPDATE paths SET closed_at = NULL; UPDATE refunds SET status = 'pending';"
        "UPDATE payouts SET status = 'in_transit'; UPDATE payments SET settled_at = NULL;"
        "UPDATE webhook_inbox SET status = 'received'"
    )
    assert unfinished_on(world.ours) == [
        "path sal_1 is completed",
        "payment pay_1 is captured",
        "payout pyo_1 is in_transit",
        "refund ref_1 is pending",
        "webhook evt_1 waits",
    ]


def test_the_checker_shares_no_code_with_the_platform() -> None:
    for file in Path(checker.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = (
                [each.name for each in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                assert name.partition(".")[0] not in _OURS_ALONE, f"{file.name} imports {name}"
                assert not name.startswith("tests") or name.startswith("tests.chaos.checker")
