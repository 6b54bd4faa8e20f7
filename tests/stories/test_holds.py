"""Money that a provider will let go of: kept longer, else a case, and in the end back to who paid it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from domain.holds import HoldsAsked
from tests.stories.contests import Show
from tests.stories.deals import Deal
from tests.stories.house import House, Json
from tests.stories.money import assert_sound
from tests.stories.operators import at_zero
from tests.waiting import eventually
from workflows.holds import KeepHolds

HOUR = 3_600
DAY = 24 * HOUR


async def keep(house: House) -> None:
    """One round of the schedule, in pages of one."""
    await house.temporal.execute_workflow(
        KeepHolds.run,
        HoldsAsked(limit=1),
        id=f"holds-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


def let_go_in(house: House, path_id: str, seconds: int) -> str:
    """The provider lets the path's money go in so many seconds; the payment's id."""
    [(payment_id,)] = house.sql(
        "UPDATE payments SET hold_deadline = now() + %s * interval '1 second'"
        " WHERE path_id = %s AND status = 'captured' RETURNING id",
        seconds,
        path_id,
    )
    return str(payment_id)


def deadline(house: House, payment_id: str) -> timedelta:
    """In how long its money is let go of."""
    [(at,)] = house.sql("SELECT hold_deadline FROM payments WHERE id = %s", payment_id)
    left: timedelta = at - datetime.now(UTC)
    return left


def cases(house: House, payment_id: str) -> list[tuple[str, str | None, bool]]:
    """State, outcome and whether it is overdue, of the cases about the payment's hold."""
    rows = house.sql(
        "SELECT state, outcome, due_at <= now() FROM cases WHERE kind = 'hold' AND subject = %s"
        " ORDER BY id",
        payment_id,
    )
    return [(str(state), outcome, bool(overdue)) for state, outcome, overdue in rows]


async def refuse(house: House, payment_id: str, times: int = 1) -> None:
    """The provider gives no more time."""
    await house.misbehave("hold", "hold_refused", subject=payment_id, times=times)


async def test_the_provider_gives_more_time(house: House) -> None:
    deal = await Deal.paid(house)
    payment_id = let_go_in(house, deal.id, 8 * DAY)
    await keep(house)
    assert deadline(house, payment_id) < timedelta(days=8), "it is not asked before its time"
    let_go_in(house, deal.id, 6 * DAY)
    await keep(house)
    assert timedelta(days=89) < deadline(house, payment_id) <= timedelta(days=90)
    assert cases(house, payment_id) == []
    await deal.act("cancel", deal.buyer)
    await eventually(lambda: at_zero(house, deal.sale))


async def test_a_lost_answer_extends_once(house: House) -> None:
    deal = await Deal.paid(house)
    payment_id = let_go_in(house, deal.id, 6 * DAY)
    await house.misbehave("hold", "answer_lost", subject=payment_id)
    await keep(house)
    assert deadline(house, payment_id) < timedelta(days=6), (
        "no answer: asked again in the next round"
    )
    assert cases(house, payment_id) == []
    await keep(house)
    assert deadline(house, payment_id) > timedelta(days=89)


async def test_operators_hear_of_a_refusal_and_it_can_still_be_kept(house: House) -> None:
    deal = await Deal.paid(house)
    payment_id = let_go_in(house, deal.id, 6 * DAY)
    await refuse(house, payment_id, times=2)
    for _ in range(2):
        await keep(house)
        assert cases(house, payment_id) == [("open", None, False)]
    assert (await deal.until("paid"))["phase"] == "paid"
    [(facts,)] = house.sql("SELECT facts FROM cases WHERE subject = %s", payment_id)
    assert facts["payment_id"] == payment_id
    assert facts["ways"]
    await keep(house)
    assert cases(house, payment_id) == [("closed", "kept", False)]
    assert deadline(house, payment_id) > timedelta(days=89)


async def test_on_the_last_day_the_money_of_a_sale_goes_back(house: House) -> None:
    deal = await Deal.paid(house)
    payment_id = let_go_in(house, deal.id, 12 * HOUR)
    await refuse(house, payment_id)
    await keep(house)
    await deal.until("refunded")
    await eventually(lambda: at_zero(house, deal.sale))
    assert cases(house, payment_id) == [("closed", "goes_back", False)]
    await keep(house)
    assert len(cases(house, payment_id)) == 1
    await assert_sound(house)


async def test_on_the_last_day_the_bounty_of_a_contest_goes_back(house: House) -> None:
    show = await Show.opened(house)
    payment_id = let_go_in(house, show.id, 12 * HOUR)
    await refuse(house, payment_id)
    await keep(house)

    async def ended() -> bool:
        found: Json = await house.get(f"/v1/contests/{show.id}", by=show.owner)
        [(left,)] = house.sql(
            "SELECT count(*) FROM ledger_accounts WHERE path_id = %s AND balance <> 0", show.id
        )
        return found["phase"] in ("refunded", "cancelled") and left == 0

    await eventually(ended)
    assert cases(house, payment_id) == [("closed", "goes_back", False)]
    await assert_sound(house)


async def test_what_cannot_be_called_off_needs_a_person_at_once(house: House) -> None:
    deal, number = await Deal.shipped(house)
    payment_id = let_go_in(house, deal.id, 12 * HOUR)
    await refuse(house, payment_id, times=2)
    for _ in range(2):
        await keep(house)
        assert cases(house, payment_id) == [("open", None, True)]
    [(summary,)] = house.sql("SELECT summary FROM cases WHERE subject = %s", payment_id)
    assert summary.startswith("At once")
    assert (await deal.until("shipped"))["phase"] == "shipped"
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    await keep(house)
    await eventually(lambda: at_zero(house, deal.sale))


async def test_money_that_is_no_longer_there_is_left_alone(house: House) -> None:
    deal = await Deal.paid(house)
    await deal.act("cancel", deal.buyer)
    await deal.until("refunded")
    payment_id = let_go_in(house, deal.id, 12 * HOUR)
    await refuse(house, payment_id)
    await keep(house)
    assert cases(house, payment_id) == []
    assert deadline(house, payment_id) < timedelta(days=1)
    await house.sandbox.delete("/v1/behaviours")
