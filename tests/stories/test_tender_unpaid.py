"""Money that does not come, comes late, or cannot go back: the tender ends all the same, with nothing left anywhere."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.chargebacks import decided, opened
from tests.stories.house import House
from tests.stories.jobs import (
    DAY,
    DEPOSIT,
    Job,
    forfeited,
    lines,
    paid_in,
    released,
    sent_back,
)
from tests.waiting import eventually

PAID = paid_in("deposit:buyer", DEPOSIT)
BACK = sent_back("deposit:buyer", DEPOSIT)
HALF = [*forfeited(DEPOSIT), *sent_back("deposit:buyer", DEPOSIT // 2)]


async def test_a_first_milestone_that_is_not_paid_costs_half_of_the_deposit(house: House) -> None:
    job = await Job.accepted(house, 30_000, 50_000)
    payment = await job.payment_of(1)
    promised = await job.promised("milestone_payment")
    await job.leave_unpaid(payment)
    done = await job.ended("failed", PAID, HALF)
    assert [m["state"] for m in done["milestones"]] == ["dropped", "dropped"]
    assert done["end_reason"] == "milestone_unpaid"
    assert [line.split(": ", 1)[1] for line in job.postings("release", "refund")] == promised
    assert await house.payable(job.worker) == DEPOSIT // 2 + 1


async def test_a_second_milestone_that_is_not_paid_ends_the_tender_and_what_rolled_on_goes_back(
    house: House,
) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.done(1, amount=20_000)
    await job.leave_unpaid(await job.payment_of(2))
    await job.ended(
        "failed",
        PAID,
        paid_in("escrow:tender", 30_000),
        released(20_000),
        sent_back("escrow:tender", 10_000),
        HALF,
    )
    assert await house.payable(job.worker) == 18_000 + DEPOSIT // 2 + 1


async def test_a_tender_that_has_failed_waits_for_the_ruling_of_its_dispute(house: House) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.shown(1)
    await job.on(1, "dispute", job.worker, note="The buyer is gone")
    await job.leave_unpaid(await job.payment_of(2))
    await job.until_milestone(2, "dropped")
    assert (await job.now())["phase"] == "in_progress"
    await job.on(1, "rule", "admin", worker_amount=30_000, note="It is as agreed")
    await job.ended("failed", PAID, paid_in("escrow:tender", 30_000), HALF, released(30_000))


async def test_a_deposit_that_comes_after_the_end_goes_back(house: House) -> None:
    job = await Job.funding(house)
    await house.misbehave("payment", "late_capture", subject=job.tender["payment"]["id"])
    await job.leave_unpaid(job.tender["payment"], DAY)
    await job.ended("expired")
    await job.pay(job.tender["payment"])
    await job.ended("expired", PAID, BACK)


async def test_a_milestones_payment_that_comes_after_the_end_goes_back(house: House) -> None:
    job = await Job.accepted(house, 30_000)
    payment = await job.payment_of(1)
    await house.misbehave("payment", "late_capture", subject=payment["id"])
    await job.leave_unpaid(payment)
    await job.ended("failed", PAID, HALF)
    await job.pay(payment)
    late = [*paid_in("escrow:tender", 30_000), *sent_back("escrow:tender", 30_000)]
    await job.ended("failed", PAID, HALF, late)


async def test_a_deposit_the_provider_does_not_send_back_becomes_balance(house: House) -> None:
    job = await Job.opened(house)
    reference = house.sql(
        "SELECT reference FROM payments WHERE id = %s", job.tender["payment"]["id"]
    )[0][0]
    await house.misbehave("refund", "refund_refused", subject=reference)
    await job.act("cancel", job.buyer)

    async def refused() -> str:
        rows = house.sql("SELECT id FROM refunds WHERE path_id = %s AND status = 'refused'", job.id)
        return str(rows[0][0]) if rows else ""

    refund_id = await eventually(refused)
    assert (await job.now())["phase"] == "cancelled"
    assert set(await job.deadlines()) == {"refund_offer"}
    await house.post(f"/v1/refunds/{refund_id}/accept-balance", by=job.buyer)
    await job.ended(
        "cancelled",
        PAID,
        lines(
            ("refund", "debit deposit:buyer", DEPOSIT),
            ("refund", "credit refund_due:ref", DEPOSIT),
            ("refund_to_balance", "debit refund_due:ref", DEPOSIT),
            ("refund_to_balance", "credit payable:buyer", DEPOSIT),
        ),
    )
    assert await house.payable(job.buyer) == DEPOSIT


async def test_operators_call_off_what_nobody_has_a_claim_on(house: House) -> None:
    waiting = await Job.funding(house)
    choosing = await Job.selecting(house, 30_000)
    for job in (waiting, choosing):
        await house.workflow(f"tender-{job.id}").cancel()
    await waiting.ended("cancelled")
    await choosing.ended("cancelled", PAID, BACK)
    assert "cancelled by operator" in await choosing.timeline()


async def test_cancelling_the_workflow_of_running_work_changes_nothing(house: House) -> None:
    job = await Job.working(house, 30_000)
    await house.workflow(f"tender-{job.id}").cancel()
    await job.done(1)
    await job.ended("completed", PAID, paid_in("escrow:tender", 30_000), released(30_000), BACK)


async def test_a_buyer_who_was_never_shown_where_to_pay_loses_nothing(house: House) -> None:
    job = await Job.awarded(house, 30_000)
    switch = {"operation": "payment", "effect": "unavailable", "times": 1_000}
    switched = (await house.sandbox.post("/v1/behaviours", json=switch)).json()
    await job.act("accept-award", job.worker)
    [(payment_id,)] = house.sql("SELECT payment_id FROM milestones WHERE tender_id = %s", job.id)
    await job.leave_unpaid({"id": payment_id})
    assert (await job.until("failed"))["milestones"][0]["payment"]["checkout_url"] is None
    await house.sandbox.delete(f"/v1/behaviours/{switched['id']}")
    await job.ended("failed", PAID, BACK)
    assert await house.payable(job.worker) == 0


async def test_a_milestone_whose_bank_takes_the_money_back_for_a_while_waits_and_goes_on(
    house: House,
) -> None:
    job = await Job.working(house, 30_000)
    await job.shown(1)
    before = (await job.deadlines())["approval"]["due_at"]
    payment = (await job.now())["milestones"][0]["payment"]
    dispute = await opened(house, {"id": job.id, "payment": payment})
    watch = house.workflow(f"tender-{job.id}")

    async def paused() -> bool:
        return bool((await watch.query("watch"))["is_paused"])

    await eventually(paused)
    assert_problem(await job.try_on(1, "approve", job.buyer), 409, "wrong_phase")
    await decided(house, dispute, won=True)

    async def resumed() -> bool:
        standing = (await watch.query("watch"))["standing"]
        return bool(standing["deadlines"][0]["due_at"] > before and standing["details"])

    await eventually(resumed)
    await job.on(1, "approve", job.buyer)
    await job.until("completed")
    assert job.postings("release") == released(30_000)
    assert job.postings("chargeback_won")
