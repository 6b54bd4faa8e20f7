"""Tenders that go well, through the REST API, each ending with the path's accounts at 0."""

from __future__ import annotations

import pytest

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.jobs import DAY, DEPOSIT, Job, paid_in, released, sent_back


async def test_two_milestones_from_draft_to_the_workers_balance(house: House) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.done(1)
    await job.pay_milestone(2)
    done = await job.done(2)

    assert [m["state"] for m in done["milestones"]] == ["released", "released"]
    await job.ended(
        "completed",
        paid_in("deposit:buyer", DEPOSIT),
        paid_in("escrow:tender", 30_000),
        released(30_000),
        paid_in("escrow:tender", 50_000),
        released(50_000),
        sent_back("deposit:buyer", DEPOSIT),
    )
    assert await house.payable(job.worker) == 72_000
    assert job.outcomes() == ["accepted"]
    assert await job.timeline() == [
        "funding_asked by initiator",
        "deposit_paid by provider",
        "bidding_closed by system",
        "awarded by initiator",
        "award_accepted by bidder",
        "milestone_paid by provider",
        "submitted by bidder",
        "approved by initiator",
        "milestone_paid by provider",
        "submitted by bidder",
        "approved by initiator",
        "refund_arrived by provider",
    ]
    history = await house.workflow(f"tender-{job.id}").fetch_history()
    assert len(history.events) < 200


async def test_silence_for_fourteen_days_counts_as_approval(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.shown(1)
    promised = await job.promised("approval")
    await job.let_pass(14 * DAY + 1)
    await job.ended(
        "completed",
        paid_in("deposit:buyer", DEPOSIT),
        paid_in("escrow:tender", 30_000),
        released(30_000),
        sent_back("deposit:buyer", DEPOSIT),
    )
    assert [line.split(": ", 1)[1] for line in job.postings("release", "refund")] == promised
    assert "approval_lapsed by system" in await job.timeline()


async def test_what_is_not_released_rolls_on_to_the_next_milestone(house: House) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.done(1, amount=20_000)
    assert (await job.payment_of(2))["amount"]["amount"] == 50_000
    assert (await job.now())["milestones"][1]["carried"]["amount"] == 10_000
    await job.pay_milestone(2)
    await job.done(2)
    await job.ended(
        "completed",
        paid_in("deposit:buyer", DEPOSIT),
        paid_in("escrow:tender", 30_000),
        released(20_000),
        paid_in("escrow:tender", 50_000),
        released(60_000),
        sent_back("deposit:buyer", DEPOSIT),
    )


async def test_what_is_not_released_of_the_last_milestone_is_one_more(house: House) -> None:
    job = await Job.working(house, 30_000)
    found = await job.done(1, amount=29_999)
    rest = found["milestones"][1]
    assert (rest["title"], rest["state"], rest["payment"]) == ("Remainder", "funded", None)
    assert (rest["amount"]["amount"], rest["carried"]["amount"]) == (0, 1)
    assert set(await job.deadlines()) == {"delivery", "hard_stop"}
    await job.done(2)
    await job.ended(
        "completed",
        paid_in("deposit:buyer", DEPOSIT),
        paid_in("escrow:tender", 30_000),
        released(29_999),
        released(1),
        sent_back("deposit:buyer", DEPOSIT),
    )
    assert await house.payable(job.worker) == 29_999 - 3_000 + 1


@pytest.mark.parametrize("amounts", [(1,), (1, 1)])
async def test_single_minor_units_are_paid_in_full(house: House, amounts: tuple[int, ...]) -> None:
    job = await Job.working(house, *amounts, deposit=1)
    await job.done(1)
    for number in range(2, len(amounts) + 1):
        await job.pay_milestone(number)
        await job.done(number)
    await job.ended(
        "completed",
        paid_in("deposit:buyer", 1),
        *([*paid_in("escrow:tender", 1), *released(1)] for _ in amounts),
        sent_back("deposit:buyer", 1),
    )
    assert await house.payable(job.worker) == len(amounts)


async def test_yen_have_no_decimals(house: House) -> None:
    job = await Job.working(house, 333, 668, currency="JPY", deposit=55)
    assert job.tender["deposit"] == {"amount": 55, "currency": "JPY", "text": "JPY 55"}
    await job.done(1)
    await job.pay_milestone(2)
    await job.done(2)
    await job.ended(
        "completed",
        paid_in("deposit:buyer", 55),
        paid_in("escrow:tender", 333),
        released(333),
        paid_in("escrow:tender", 668),
        released(668),
        sent_back("deposit:buyer", 55),
    )
    assert await house.payable(job.worker, "JPY") == 333 - 33 + 668 - 67


async def test_the_agreement_is_for_its_people_only(house: House) -> None:
    job = await Job.selecting(house, 30_000, 40_000)
    worker, loser = job.makers
    await job.award(worker, 30_000)
    await job.act("accept-award", worker)
    await job.pay_milestone(1)
    await job.shown(1, note="Look")
    inside = await job.now(worker)
    assert inside["milestones"][0]["submissions"][0]["note"] == "Look"
    assert inside["milestones"][0]["payment"] is None
    for outsider in (loser, "stranger"):
        outside = await job.now(outsider)
        assert (outside["phase"], outside["milestones"]) == ("in_progress", [])
        assert (outside["worker_id"], outside["payment"], outside["bids"]) == (None, None, None)
        for part in ("deadlines", "timeline", "statement", "balances"):
            answer = await house.call("GET", f"/v1/tenders/{job.id}/{part}", by=outsider)
            assert_problem(answer, 403, "forbidden")
    await job.on(1, "approve", job.buyer)
    await job.until("completed")
