"""Things that cross each other's way on a tender."""

from __future__ import annotations

from domain.path import Standing
from tests.api.client import assert_problem
from tests.stories.chargebacks import decided, opened
from tests.stories.house import House
from tests.stories.jobs import ADMIN, DAY, DEPOSIT, Job, forfeited, paid_in, people, sent_back
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


async def test_while_the_bank_has_the_deposit_nobody_gets_a_part_of_it_twice(house: House) -> None:
    job = await Job.accepted(house, 30_000)
    payment = await job.payment_of(1)
    dispute = await opened(house, {"id": job.id, "payment": (await job.now())["payment"]})
    unpaid = house.workflow(f"payment-{payment['id']}")
    await house.skipper.fast_forward(unpaid, 8 * DAY)
    assert (await job.now())["phase"] == "accepted"
    assert job.postings("release", "refund") == []
    await decided(house, dispute, won=True)
    await unpaid.result()
    disputed = [line for line in job.postings() if line.startswith("chargeback")]
    await job.ended(
        "failed",
        paid_in("deposit:buyer", DEPOSIT),
        disputed,
        forfeited(DEPOSIT),
        sent_back("deposit:buyer", DEPOSIT // 2),
    )


async def test_bids_of_a_tender_called_off_before_they_were_opened_stay_sealed(
    house: House,
) -> None:
    job = await Job.opened(house)
    maker = people(1)[1][0]
    bid = await job.bid(maker, 30_000)
    await job.act("cancel", job.buyer)
    for judge in (job.buyer, ADMIN):
        page = await house.get(f"/v1/tenders/{job.id}/bids", judge)
        assert (page["sealed"], page["items"]) == (True, [])
        answer = await house.call("GET", f"/v1/tenders/{job.id}/bids/{bid['id']}", by=judge)
        assert_problem(answer, 404, "not_found")
    own = await house.get(f"/v1/tenders/{job.id}/bids", maker)
    assert [each["id"] for each in own["items"]] == [bid["id"]]
