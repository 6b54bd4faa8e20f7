"""A rehearsal shows what the same work then posts, and leaves every table as it was."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities.rehearsal import Work, rehearsed
from activities.sales import Sales
from activities.transitions import lock_path
from db.engine import OpenTransaction
from domain.errors import Unavailable, WrongPhase
from domain.sale import Event
from domain.sale_messages import SaleAct, SaleStep
from tests.stories.deals import Deal
from tests.stories.house import House
from tests.stories.operators import tables


def _cancelling(house: House, deal: Deal, key: str) -> Work:
    async def work(session: AsyncSession) -> None:
        step = SaleStep(
            sale_id=deal.id,
            key=key,
            event=Event.CANCELLED,
            act=SaleAct(actor="operator"),
            at=datetime.now(UTC),
        )
        sales = Sales(OpenTransaction(session), house.temporal, payout_at_once=False)
        await sales.move(step)

    return work


async def test_what_is_rehearsed_is_what_is_posted(house: House) -> None:
    deal = await Deal.accepted(house)
    await deal.told("accepted")
    before = tables(house)
    shown = await rehearsed(house.database, _cancelling(house, deal, "rehearsed/1"))
    assert tables(house) == before
    assert [str(each) for each in shown.postings] == [
        f"debit escrow:{deal.id} CNY 200.00",
        "credit refund_due:new CNY 200.00",
    ]
    [payer] = shown.who
    assert (payer.user_id, payer.gets, payer.gives) == (deal.sale["buyer_id"], 20_000, 0)
    again = await rehearsed(house.database, _cancelling(house, deal, "rehearsed/2"))
    assert again.sha256 == shown.sha256

    await deal.act("cancel", deal.buyer)
    await deal.until("refunded")
    with pytest.raises(WrongPhase):
        await rehearsed(house.database, _cancelling(house, deal, "rehearsed/3"))
    assert [line for line in await house.postings(deal.sale) if line.startswith("refund:")] == [
        "refund: debit escrow:sale 20000",
        "refund: credit refund_due:ref 20000",
    ]
    await house.assert_at_zero(deal.sale)


async def test_somebody_else_at_work_is_not_waited_for_long(house: House) -> None:
    deal = await Deal.paid(house)
    taken, let_go = asyncio.Event(), asyncio.Event()

    async def busy() -> None:
        async with house.database.transaction() as session:
            await lock_path(session, deal.id)
            taken.set()
            await let_go.wait()

    other = asyncio.create_task(busy())
    await taken.wait()
    with pytest.raises(Unavailable, match="somebody else is at work"):
        await rehearsed(house.database, _cancelling(house, deal, "rehearsed/4"))
    let_go.set()
    await other
    shown = await rehearsed(house.database, _cancelling(house, deal, "rehearsed/5"))
    assert shown.postings
    await deal.act("cancel", deal.buyer)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)
