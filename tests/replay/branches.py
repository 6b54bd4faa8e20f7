"""Stories of what people leave undone or turn down, whose histories are recorded: the branches beside the main ways."""

from __future__ import annotations

from tests.replay.paths import Recorded
from tests.stories.comebacks import Back, delivered
from tests.stories.contests import Show
from tests.stories.deals import HOUR, Deal
from tests.stories.house import DAY, House
from tests.stories.jobs import Job
from tests.stories.quarrels import Quarrel
from tests.stories.workshop import Workshop
from workflows.names import dispute_workflow_id, return_workflow_id


async def silent_sales(house: House) -> Recorded:
    """Nobody accepts, nobody ships, nobody confirms."""
    unaccepted = await Deal.paid(house)
    await unaccepted.told("paid")
    await unaccepted.let_pass(72 * HOUR + 1)
    await unaccepted.until("refunded")
    unshipped = await Deal.accepted(house)
    await unshipped.let_pass(14 * DAY + 1)
    await unshipped.until("refunded")
    content = await delivered(house)
    await content.told("delivered")
    await content.let_pass(10 * DAY + 1)
    await content.until("completed")
    return {
        "sale_not_accepted": f"sale-{unaccepted.id}",
        "sale_not_shipped": f"sale-{unshipped.id}",
        "sale_confirmed_by_silence": f"sale-{content.id}",
    }


async def turned_down_tender(house: House) -> Recorded:
    """One bidder declines, one is silent, one steps back after accepting; then the buyer chooses nobody."""
    job = await Job.selecting(house, 30_000, 30_000, 30_000)
    first, second, third = job.makers
    await job.award(first, 30_000)
    await job.act("decline-award", first)
    await job.award(second, 30_000)
    await job.let_pass(2 * DAY + 1)
    await job.until("selecting")
    await job.award(third, 30_000)
    await job.act("accept-award", third)
    await job.act("retract", third)
    await job.until("selecting")
    await job.let_pass(4 * DAY + 1)
    await job.until("expired")
    return {"tender_turned_down": f"tender-{job.id}"}


async def ruled_tender(house: House) -> Recorded:
    """Late, then late with the changes, then disputed and ruled on."""
    job = await Job.working(house, 30_000)
    await job.let_pass(67 * DAY + 1)
    await job.until_milestone(1, "overdue")
    await job.shown(1)
    await job.on(1, "request-changes", job.buyer, note="The frame is not straight.")
    await job.let_pass(7 * DAY + 1)
    await job.until_milestone(1, "overdue")
    await job.on(1, "dispute", job.worker, note="It is straight.")
    await job.on(1, "rule", "admin", worker_amount=10_000, note="A third of it is done.")
    await job.until("completed")
    return {"tender_ruled": f"tender-{job.id}"}


async def silent_winner(house: House) -> Recorded:
    """The winner does not hand over, and the owner does not choose again."""
    show = await Show.handing_over(house)
    await show.let_pass(10 * DAY + 1)
    await show.until("choosing")
    await show.let_pass(14 * DAY + 1)
    await show.until("split")
    return {"contest_winner_silent": show.story}


async def lots_without_kit(house: House) -> Recorded:
    """One maker steps back, one waits in vain for the materials."""
    shop = await Workshop.published(house, units=8, lot_most=4)
    withdrawn = await shop.claim(units=4)
    await withdrawn.act("withdraw")
    await withdrawn.until("lapsed")
    waiting = await shop.claim(units=4)
    await waiting.pay_deposit()
    await waiting.let_pass(72 * HOUR + 1)
    await waiting.until("cancelled")
    return {"lot_withdrawn": withdrawn.story, "lot_kit_not_sent": waiting.story}


async def returns_given_up(house: House) -> Recorded:
    """One return is withdrawn, one is granted by silence and never sent."""
    deal = await delivered(house, quantity=2, price=10_000)
    withdrawn = await Back.opened(deal)
    await withdrawn.act("withdraw", deal.buyer)
    await withdrawn.ended("closed")
    unsent = await Back.opened(deal)
    await unsent.let_pass(5 * DAY + 1)
    await unsent.until("agreed")
    await unsent.let_pass(10 * DAY + 1)
    await unsent.ended("closed")
    return {
        "return_withdrawn": return_workflow_id(withdrawn.id),
        "return_not_sent": return_workflow_id(unsent.id),
    }


async def conceded_dispute(house: House) -> Recorded:
    """The seller's refusal of a return is disputed, and the seller gives in."""
    deal = await delivered(house)
    back = await Back.received(deal)
    await back.act("refuse", deal.seller)
    case = await Quarrel.opened(house, deal.id, deal.buyer, deal.seller, return_id=back.id)
    await case.act("concede", deal.seller)
    await case.until("settled")
    return {"dispute_conceded": dispute_workflow_id(case.id)}


STORIES = (
    silent_sales,
    turned_down_tender,
    ruled_tender,
    silent_winner,
    lots_without_kit,
    returns_given_up,
    conceded_dispute,
)
