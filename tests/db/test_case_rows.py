"""Cases: one of a kind and subject at a time, whoever finds it first, and nothing that was done about it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.case_rows import end_case, open_case
from domain.model import Message
from domain.money import Money
from domain.operator_cases import CaseKind
from tests.ledger.book import Book

pytestmark = pytest.mark.asyncio
DAY = 86_400


class Seen(Message):
    """Facts of a case."""

    attempts: int


async def found(book: Book, kind: CaseKind = CaseKind.STUCK) -> str:
    """Somebody finds that a sale is stuck, in a transaction of their own."""
    async with book.database.transaction() as session:
        return await open_case(
            session,
            kind,
            "sal_1",
            summary="No worker takes it on",
            within_seconds=2 * DAY,
            money=Money(amount=500, currency="CNY"),
            facts=Seen(attempts=3),
        )


async def over(book: Book, outcome: str = "gone_on") -> None:
    async with book.database.transaction() as session:
        await end_case(session, CaseKind.STUCK, "sal_1", outcome, reason="It moves again")


async def rows(book: Book, query: str) -> list[Sequence[object]]:
    async with book.database.transaction() as session:
        return [tuple(row) for row in await session.execute(text(query))]


async def test_many_who_find_the_same_open_one_case(book: Book) -> None:
    case, *others = await asyncio.gather(*(found(book) for _ in range(8)))
    assert set(others) == {case}
    assert await rows(
        book,
        "SELECT kind, state, amount, currency, facts->>'attempts', due_at - opened_at = interval '2 days'"
        f" FROM cases WHERE id = '{case}'",
    ) == [("stuck", "open", 500, "CNY", "3", True)]
    events = f"SELECT kind, by_id, words FROM case_events WHERE case_id = '{case}' ORDER BY id"
    assert await rows(book, events) == [("opened", None, "No worker takes it on")]
    assert await found(book, CaseKind.HOLD) != case

    await over(book)
    await over(book, "again")
    assert await rows(book, f"SELECT state, outcome FROM cases WHERE id = '{case}'") == [
        ("closed", "gone_on")
    ]
    assert (await rows(book, events))[1:] == [("gone_on", None, "It moves again")]
    assert await found(book) not in {case, *others}, "what comes back is a new case"


async def test_what_was_done_about_a_case_stays(book: Book) -> None:
    await found(book)
    for statement in ("UPDATE case_events SET words = ''", "DELETE FROM case_events"):
        with pytest.raises(IntegrityError, match="a correction is a new event"):
            await rows(book, statement)
