"""Work that does not go well: changes, lateness, disputes; and what silence does."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.jobs import DAY, DEPOSIT, Job, paid_in, released, sent_back

PAID = paid_in("deposit:buyer", DEPOSIT)
BACK = sent_back("deposit:buyer", DEPOSIT)


async def test_changes_are_asked_for_three_times_and_then_only_a_dispute_is_left(
    house: House,
) -> None:
    job = await Job.working(house, 30_000)
    for _ in range(3):
        await job.shown(1)
        await job.on(1, "request-changes", job.buyer, note="Straighter")
    await job.shown(1, note="As straight as can be")
    answer = await job.try_on(1, "request-changes", job.buyer, note="Straighter")
    problem = assert_problem(answer, 409, "limit_reached")
    assert problem["accepted"] == "approve or dispute"
    shown = (await job.now())["milestones"][0]
    assert shown["change_requests"] == 3
    assert [each["changes_wanted"] for each in shown["submissions"]] == ["Straighter"] * 3 + [None]
    await job.on(1, "approve", job.buyer)
    await job.ended("completed", PAID, paid_in("escrow:tender", 30_000), released(30_000), BACK)


async def test_a_worker_silent_after_changes_may_be_cancelled(house: House) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.shown(1)
    await job.on(1, "request-changes", job.buyer, note="Straighter")
    assert_problem(await job.try_on(1, "cancel", job.buyer), 409, "wrong_phase")
    await job.let_pass(7 * DAY + 1)
    await job.until_milestone(1, "overdue")
    done = await job.on(1, "cancel", job.buyer)
    assert [m["state"] for m in done["milestones"]] == ["refunded", "dropped"]
    await job.ended(
        "cancelled",
        PAID,
        paid_in("escrow:tender", 30_000),
        sent_back("escrow:tender", 30_000),
        BACK,
    )


async def test_seven_days_after_it_was_due_the_buyer_may_cancel(house: House) -> None:
    job = await Job.working(house, 30_000, due_days=10)
    early = assert_problem(await job.try_on(1, "cancel", job.buyer), 409, "wrong_phase")
    assert early["field"] == "milestone"
    await job.let_pass(15 * DAY)
    assert_problem(await job.try_on(1, "cancel", job.buyer), 409, "wrong_phase")
    await job.let_pass(3 * DAY)
    await job.until_milestone(1, "overdue")
    await job.on(1, "cancel", job.buyer)
    await job.ended(
        "cancelled",
        PAID,
        paid_in("escrow:tender", 30_000),
        sent_back("escrow:tender", 30_000),
        BACK,
    )


async def test_late_work_counts_while_the_buyer_waits(house: House) -> None:
    job = await Job.working(house, 30_000, due_days=1)
    await job.let_pass(9 * DAY)
    await job.until_milestone(1, "overdue")
    await job.done(1)
    await job.ended("completed", PAID, paid_in("escrow:tender", 30_000), released(30_000), BACK)


async def test_after_seventy_five_days_everything_goes_back_by_itself(house: House) -> None:
    job = await Job.working(house, 30_000, 50_000)
    promised = await job.promised("hard_stop")
    await job.let_pass(76 * DAY)
    await job.ended(
        "cancelled",
        PAID,
        paid_in("escrow:tender", 30_000),
        sent_back("escrow:tender", 30_000),
        BACK,
    )
    assert [line.split(": ", 1)[1] for line in job.postings("refund")] == promised
    assert (await job.timeline())[-4:-2] == ["delivery_lapsed by system", "hard_stop by system"]


async def test_what_was_submitted_is_not_stopped(house: House) -> None:
    job = await Job.working(house, 30_000, due_days=60)
    await job.let_pass(70 * DAY)
    await job.shown(1)
    await job.let_pass(13 * DAY)
    assert (await job.until_milestone(1, "submitted"))["state"] == "submitted"
    await job.let_pass(2 * DAY)
    await job.ended("completed", PAID, paid_in("escrow:tender", 30_000), released(30_000), BACK)


async def test_a_dispute_is_ruled_while_the_next_milestone_goes_on(house: House) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.shown(1)
    await job.on(1, "dispute", job.buyer, note="Not what was agreed")
    await job.pay_milestone(2)
    await job.shown(2)
    assert_problem(await job.try_on(1, "approve", job.buyer), 409, "wrong_phase")
    answer = await job.try_on(1, "rule", "admin", worker_amount=30_001, note="x")
    assert_problem(answer, 422, "amount_out_of_range")
    answer = await job.try_on(1, "rule", "admin", worker_amount=1, note="")
    assert_problem(answer, 422, "invalid_input")
    await job.on(1, "rule", "admin", worker_amount=21_000, note="Seven tenths are as agreed")
    assert (await job.now())["phase"] == "in_progress"
    done = await job.on(2, "approve", job.buyer)
    ruled = done["milestones"][0]
    assert (ruled["state"], ruled["released"]["amount"], ruled["refunded"]["amount"]) == (
        "released",
        21_000,
        9_000,
    )
    await job.ended(
        "completed",
        PAID,
        paid_in("escrow:tender", 30_000),
        paid_in("escrow:tender", 50_000),
        released(21_000),
        sent_back("escrow:tender", 9_000),
        released(50_000),
        BACK,
    )
    assert "ruled by operator" in await job.timeline()


async def test_without_a_ruling_what_was_submitted_is_released(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.shown(1)
    await job.on(1, "dispute", job.worker, note="The buyer does not answer")
    promised = await job.promised("ruling")
    await job.let_pass(60 * DAY + 1)
    await job.ended("completed", PAID, paid_in("escrow:tender", 30_000), released(30_000), BACK)
    assert [line.split(": ", 1)[1] for line in job.postings("release", "refund")] == promised


async def test_without_a_ruling_and_without_anything_submitted_the_buyer_has_it_back(
    house: House,
) -> None:
    job = await Job.working(house, 30_000)
    await job.on(1, "dispute", job.buyer, note="Nothing has come")
    await job.let_pass(60 * DAY + 1)
    await job.ended(
        "completed",
        PAID,
        paid_in("escrow:tender", 30_000),
        sent_back("escrow:tender", 30_000),
        BACK,
    )
    assert (await job.now())["milestones"][0]["state"] == "refunded"


async def test_amounts_and_milestones_that_are_none(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.shown(1)
    for amount, status, code in (
        (30_001, 422, "amount_out_of_range"),
        (0, 422, "invalid_input"),
        (-1, 422, "invalid_input"),
        (1.5, 422, "invalid_input"),
    ):
        answer = await job.try_on(1, "approve", job.buyer, amount=amount)
        assert assert_problem(answer, status, code)["field"] == "amount"
    assert_problem(await job.try_on(2, "approve", job.buyer), 404, "not_found")
    before = len((await house.workflow(f"tender-{job.id}").fetch_history()).events)
    for _ in range(3):
        assert_problem(
            await job.try_on(1, "approve", job.buyer, amount=30_001), 422, "amount_out_of_range"
        )
    after = len((await house.workflow(f"tender-{job.id}").fetch_history()).events)
    assert after == before, "a refusal leaves nothing in the history"
    await job.on(1, "approve", job.buyer)
    assert_problem(await job.try_on(1, "approve", job.buyer), 409, "wrong_phase")
    await job.ended("completed", PAID, paid_in("escrow:tender", 30_000), released(30_000), BACK)
