"""Things that cross each other's way on a tender."""

from __future__ import annotations

from domain.path import Standing
from tests.stories.house import House
from tests.stories.jobs import DAY, DEPOSIT, Job, paid_in, sent_back
from tests.waiting import eventually


async def test_the_banks_word_that_comes_after_that_of_a_payment_does_not_undo_it(
    house: House,
) -> None:
    job = await Job.accepted(house, 30_000)
    story = house.workflow(f"tender-{job.id}")
    before = Standing.model_validate((await story.query("watch"))["standing"])
    await story.signal("pause")
    await job.pay_milestone(1)
    # As activities.chargebacks tells it: where the path stood, and its timers, when the bank decided.
    stood = Standing(path_id=job.id, phase=before.phase, deadlines=before.deadlines)
    await story.signal("resume", stood)

    async def goes_on() -> bool:
        watch = await story.query("watch")
        assert watch["standing"]["phase"] == "in_progress"
        return not watch["is_paused"]

    await eventually(goes_on)
    await job.let_pass(76 * DAY)
    await job.ended(
        "cancelled",
        paid_in("deposit:buyer", DEPOSIT),
        paid_in("escrow:tender", 30_000),
        sent_back("escrow:tender", 30_000),
        sent_back("deposit:buyer", DEPOSIT),
    )
