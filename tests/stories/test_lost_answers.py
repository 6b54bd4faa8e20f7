"""What is only noted can be in the books although the story never heard of it: server and worker died in that moment."""

from __future__ import annotations

from datetime import UTC, datetime

from activities.sales import Sales
from domain.ids import step_key
from domain.sale import Event, Phase
from domain.sale_messages import SaleAct, SaleStep
from tests.stories.deals import DAY, Deal, refused
from tests.stories.house import House


async def accepted(house: House, deal: Deal) -> None:
    """The seller's word is committed, and that is all that is left of the request."""
    sales = Sales(house.database, house.temporal, payout_at_once=False)
    step = SaleStep(
        sale_id=deal.id,
        key=step_key(house.story_of(deal.sale), "accepted-lost"),
        event=Event.ACCEPTED,
        act=SaleAct(actor="seller"),
        at=datetime.now(UTC),
        phase_known=Phase.PAID,
    )
    assert not (await sales.move(step)).caught_up


async def test_the_next_act_finds_the_story_where_the_books_are(house: House) -> None:
    deal = await Deal.paid(house)
    await deal.told("paid")
    await accepted(house, deal)
    # What the books have already cannot be done again, and what comes after it can.
    again = await deal.try_to("accept", deal.seller)
    await refused(again, 409, "wrong_phase", "phase")
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    assert (await deal.timeline())[2:] == [
        "accepted by seller",
        "shipped by seller",
        "delivered by carrier",
        "confirmed by buyer",
    ]
    await deal.closed()


async def test_an_act_that_both_phases_allow_is_done_in_that_of_the_books(house: House) -> None:
    deal = await Deal.paid(house)
    await deal.told("paid")
    await accepted(house, deal)
    await deal.act("cancel", deal.buyer)
    await deal.assert_refunded(
        "cancelled",
        stock=5,
        events=[
            "placed by buyer",
            "payment_captured by provider",
            "accepted by seller",
            "cancelled by buyer",
        ],
    )


async def test_no_deadline_passes_that_the_books_do_not_have_any_more(house: House) -> None:
    """The seller has accepted: the order does not lapse, and the time to ship counts from then."""
    deal = await Deal.paid(house)
    await deal.told("paid")
    await accepted(house, deal)
    await deal.let_pass(4 * DAY)
    await deal.told("accepted")
    assert (await deal.deadline())["name"] == "shipment"
    await deal.let_pass(11 * DAY)
    sale = await deal.until("refunded")
    assert sale["end_reason"] == "shipment_lapsed"
    await deal.closed()
