"""Campaigns with as many pledges as one likes, made in bulk: rows of ours, books, and the provider's own rows to match.

For tests and benchmarks of what is done with every pledge. The campaign has no story: it stands where it was put.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from db import pledge_stats
from db.engine import Database
from db.pledge_stats import Delta
from domain import postings
from domain.campaign import (
    CampaignTerms,
    Funding,
    Kind,
    Phase,
    Rules,
    Tranche,
    Trigger,
)
from domain.ids import new_id
from domain.payments import PaymentState, Purpose
from domain.pledge import PAID, STANDING, CardState, Method, PledgeState
from domain.policy import CampaignPolicy, RefundPolicy
from domain.postings import JournalEntry
from ledger import journal

CURRENCY = "CNY"
FEE_BASIS_POINTS = 60
"""What the sandbox keeps of a payment."""
PRICE = 2_000
SEATED = 2
"""Number of the tier with a limit; number 1 has none."""
_CHUNK = 200
"""Payments whose entries are posted in one transaction."""
_S = PledgeState

Group = tuple[PledgeState, Method]
Row = tuple[object, ...]


@dataclass
class One:
    """One pledge of a crowd with everything that belongs to it; ids of ours, references of the provider's."""

    pledge_id: str
    backer_id: str
    subject: str
    """Of the backer's token."""
    state: PledgeState
    method: Method
    tier: int
    amount: int
    card_id: str | None = None
    payment_id: str | None = None
    reference: str | None = None
    """Of the card of a card pledge, else of the payment."""

    @property
    def paid(self) -> int:
        """What is in the books, minor units."""
        return self.amount if self.state in PAID else 0

    @property
    def fee(self) -> int:
        """What the provider has kept of it."""
        return (self.amount * FEE_BASIS_POINTS + 5_000) // 10_000


@dataclass
class Crowd:
    """A campaign and its pledges, in the order of their ids."""

    campaign_id: str
    creator_id: str
    ones: list[One] = field(default_factory=list)

    @property
    def paid(self) -> int:
        """What its escrow holds at the beginning, minor units."""
        return sum(each.paid for each in self.ones)

    def those(self, state: PledgeState, method: Method | None = None) -> list[One]:
        """Pledges that began in this state."""
        return [each for each in self.ones if each.state is state and method in (None, each.method)]


def campaign(
    url: str,
    phase: Phase,
    *,
    provider: str = "sandbox",
    seats: int = 1_000_000,
    policy: CampaignPolicy | None = None,
    refund_policy: RefundPolicy | None = None,
    fix_seconds: int = 7 * 86_400,
    goal: int = 1_000,
) -> Crowd:
    """A campaign in this phase with two tiers, the second limited to so many seats, and nobody's pledge."""
    made = Crowd(new_id("cmp"), new_id("usr"))
    rules = Rules(
        policy=policy or CampaignPolicy(),
        refund_policy=refund_policy or RefundPolicy(),
        provider=provider,
        return_url="http://127.0.0.1/campaign",
    )
    terms = CampaignTerms(
        campaign_id=made.campaign_id,
        creator_id=made.creator_id,
        title="Forty kilns",
        story="A village of potters",
        currency=CURRENCY,
        kind=Kind.REWARD,
        funding=Funding.ALL_OR_NOTHING,
        goal=goal,
        live_seconds=86_400,
        tranches=(Tranche(title="All", trigger=Trigger.START, basis_points=10_000),),
        rules=rules,
    )
    now = datetime.now(UTC)
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO users (id, issuer, subject, display_name) VALUES (%s, 'crowd', %s, 'Creator')",
            (made.creator_id, made.creator_id),
        )
        connection.execute(
            "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
            " VALUES (%s, 'campaign', %s, %s, %s, %s)",
            (
                made.campaign_id,
                f"campaign-{made.campaign_id}",
                made.creator_id,
                CURRENCY,
                str(phase),
            ),
        )
        connection.execute(
            "INSERT INTO campaigns (id, terms, launched_at, fix_until) VALUES (%s, %s, %s, %s)",
            (
                made.campaign_id,
                terms.model_dump_json(),
                now - timedelta(days=1),
                now + timedelta(seconds=fix_seconds),
            ),
        )
        for number, limit in ((1, None), (SEATED, seats)):
            connection.execute(
                "INSERT INTO campaign_items (campaign_id, number, kind, title, description, price, seats, shipping)"
                " VALUES (%s, %s, 'tier', %s, '', %s, %s, '{}')",
                (made.campaign_id, number, f"Tier {number}", PRICE, limit),
            )
    return made


async def crowd(
    database: Database,
    url: str,
    made: Crowd,
    groups: Mapping[Group, int],
    *,
    sandbox: Path | None = None,
    issuer: str = "crowd",
    provider: str = "sandbox",
    lumped: bool = False,
) -> Crowd:
    """Adds so many pledges of each state and method, in mixed order. `sandbox` is the provider's file, if it has one.

    States that begin with nothing at the provider but a page or a saved card, and those that are paid. `lumped` books
    the payments of each chunk in one entry, which takes a hundredth of the time: for crowds of a hundred thousand.
    """
    ones = list(_people(groups))
    made.ones += ones
    now = datetime.now(UTC)
    with psycopg.connect(url) as connection:
        _rows(connection, made, ones, now, issuer, provider)
    for first in range(0, len(ones), _CHUNK):
        some = ones[first : first + _CHUNK]
        entries = list((_lump if lumped else _entries)(made, some, provider))
        if entries:
            async with database.transaction() as session:
                await journal.post(session, *entries)
    async with database.transaction() as session:
        await pledge_stats.note(session, _deltas(made, ones, now))
    if sandbox is not None:
        _provider_rows(sandbox, ones, now)
    return made


def _people(groups: Mapping[Group, int]) -> Iterator[One]:
    """Round robin over the groups, so that each page of a run meets all of them."""
    left = dict(groups)
    tail = uuid.uuid4().hex[:8]
    number = 0
    while any(left.values()):
        for group in groups:
            if left[group]:
                left[group] -= 1
                number += 1
                yield _one(number, tail, *group)


def _one(number: int, tail: str, state: PledgeState, method: Method) -> One:
    made = One(
        pledge_id=new_id("plg"),
        backer_id=new_id("usr"),
        subject=f"backer{number}-{tail}",
        state=state,
        method=method,
        tier=1 + number % 2,
        amount=PRICE + number % 7 * 100,
    )
    paid_at_once = method is not Method.CARD or state in PAID
    if method is Method.CARD:
        made.card_id = new_id("crd")
        made.reference = f"scard_{uuid.uuid4().hex[:24]}"
    if paid_at_once:
        made.payment_id = new_id("pay")
        made.reference = f"spay_{uuid.uuid4().hex[:24]}"
    return made


def _selection(one: One) -> str:
    return json.dumps({"tier": {"number": one.tier, "quantity": 1}, "extra": one.amount - PRICE})


def _rows(
    connection: psycopg.Connection[tuple[object, ...]],
    made: Crowd,
    ones: Sequence[One],
    now: datetime,
    issuer: str,
    provider: str,
) -> None:
    _copy(
        connection,
        "users (id, issuer, subject, display_name)",
        ((one.backer_id, issuer, one.subject, one.subject) for one in ones),
    )
    _copy(
        connection,
        "saved_cards (id, payer_id, provider, operation_id, reference, checkout_url, currency, status)",
        (
            (
                one.card_id,
                one.backer_id,
                provider,
                f"{one.pledge_id}/card",
                one.reference,
                "http://127.0.0.1/card",
                CURRENCY,
                str(CardState.OPEN if one.state is _S.INITIATED else CardState.SAVED),
            )
            for one in ones
            if one.card_id and not one.payment_id
        ),
    )
    _copy(
        connection,
        "pledges (id, campaign_id, backer_id, state, method, round, currency, amount, selection, tier, paid, card_id,"
        " expires_at, reward, created_at, stands_since)",
        (_pledge(made, one, now) for one in ones),
    )
    _copy(
        connection,
        "payments (id, path_id, pledge_id, payer_id, provider, operation_id, reference, amount, currency, purpose,"
        " status, checkout_url, fee, expires_at, captured_at, settled_at)",
        (_payment(made, one, now, provider) for one in ones if one.payment_id),
    )
    connection.execute(
        "UPDATE pledges SET payment_id = payments.id FROM payments"
        " WHERE payments.pledge_id = pledges.id AND pledges.campaign_id = %s"
        " AND pledges.payment_id IS NULL",
        (made.campaign_id,),
    )
    seated = sum(one.tier == SEATED for one in ones)
    connection.execute(
        "UPDATE campaign_items SET taken = taken + %s WHERE campaign_id = %s AND number = %s",
        (seated, made.campaign_id, SEATED),
    )
    connection.execute("ANALYZE pledges, payments, saved_cards")


def _pledge(made: Crowd, one: One, now: datetime) -> Row:
    began = one.state is _S.INITIATED
    return (
        one.pledge_id,
        made.campaign_id,
        one.backer_id,
        str(one.state),
        str(one.method),
        1,
        CURRENCY,
        one.amount,
        _selection(one),
        one.tier,
        one.paid,
        one.card_id if not one.payment_id else None,
        now + timedelta(minutes=15) if began else None,
        "owed" if one.state is _S.COLLECTED else "none",
        now,
        None if began else now,
    )


def _payment(made: Crowd, one: One, now: datetime, provider: str) -> Row:
    captured = one.paid > 0
    return (
        one.payment_id,
        made.campaign_id,
        one.pledge_id,
        one.backer_id,
        provider,
        f"{one.pledge_id}/pay",
        one.reference,
        one.amount,
        CURRENCY,
        str(Purpose.PLEDGE),
        str(PaymentState.CAPTURED if captured else PaymentState.OPEN),
        "http://127.0.0.1/pay",
        one.fee if captured else 0,
        now + timedelta(minutes=15),
        now if captured else None,
        now if captured else None,
    )


def _copy(
    connection: psycopg.Connection[tuple[object, ...]], target: str, rows: Iterable[Row]
) -> None:
    with connection.cursor().copy(f"COPY {target} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _entries(made: Crowd, ones: Sequence[One], provider: str) -> Iterator[JournalEntry]:
    for one in ones:
        if one.paid and one.payment_id:
            key, path = one.payment_id, made.campaign_id
            yield postings.fund(f"{key}/fund", path, provider, one.amount, CURRENCY)
            yield postings.settle(f"{key}/settle", path, provider, one.amount, one.fee, CURRENCY)


def _lump(made: Crowd, ones: Sequence[One], provider: str) -> Iterator[JournalEntry]:
    paid = [one for one in ones if one.paid]
    if paid:
        key, path = paid[0].payment_id, made.campaign_id
        amount, fee = sum(one.amount for one in paid), sum(one.fee for one in paid)
        yield postings.fund(f"{key}/fund", path, provider, amount, CURRENCY)
        yield postings.settle(f"{key}/settle", path, provider, amount, fee, CURRENCY)


def _deltas(made: Crowd, ones: Sequence[One], now: datetime) -> Iterator[Delta]:
    for one in ones:
        if one.state in STANDING:
            yield Delta(
                campaign_id=made.campaign_id,
                tier=one.tier,
                at=now,
                pledges=1,
                amount=one.amount,
                paid=one.paid,
            )


def _provider_rows(file: Path, ones: Sequence[One], now: datetime) -> None:
    """The same at the sandbox: open pages, saved cards, captured payments and its own books."""
    moment = now.isoformat(timespec="microseconds")
    words = ("Forty kilns", "http://127.0.0.1/campaign", moment)
    cards = [
        (
            one.reference,
            f"{one.pledge_id}/card",
            one.card_id,
            "open" if one.state is _S.INITIATED else "saved",
            CURRENCY,
            *words,
        )
        for one in ones
        if one.card_id and not one.payment_id
    ]
    payments = [
        (
            one.reference,
            f"{one.pledge_id}/pay",
            one.payment_id,
            "captured" if one.paid else "open",
            one.amount,
            CURRENCY,
            one.fee if one.paid else 0,
            1 if one.paid else 0,
            *words,
        )
        for one in ones
        if one.payment_id
    ]
    moves = [
        (one.reference, kind, one.payment_id, amount, CURRENCY, moment, moment[:10])
        for one in ones
        if one.paid and one.payment_id
        for kind, amount in (("payment", one.amount), ("fee", -one.fee))
    ]
    total = sum(one.amount - one.fee for one in ones if one.paid)
    with sqlite3.connect(file, timeout=30) as store:
        store.executemany(
            "INSERT INTO cards (reference, operation_id, subject, status, currency, description, return_url, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            cards,
        )
        store.executemany(
            "INSERT INTO payments (reference, operation_id, subject, status, amount, currency, fee, settled,"
            " description, return_url, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            payments,
        )
        store.executemany(
            "INSERT INTO movements (reference, kind, subject, amount, currency, booked_at, day)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            moves,
        )
        store.execute(
            "INSERT INTO day_totals (day, currency, amount) VALUES (?, ?, ?)"
            " ON CONFLICT (day, currency) DO UPDATE SET amount = amount + excluded.amount",
            (moment[:10], CURRENCY, total),
        )
        store.execute(
            "INSERT INTO balances (currency, amount) VALUES (?, ?)"
            " ON CONFLICT (currency) DO UPDATE SET amount = amount + excluded.amount",
            (CURRENCY, total),
        )
