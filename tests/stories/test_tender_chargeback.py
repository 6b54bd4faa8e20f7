"""Money of a tender that the buyer's bank takes back for good: the tender ends, and the worker is not the one who pays."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.chargebacks import BANK_FEE, balance, decided, in_dispute, opened
from tests.stories.house import House, Json
from tests.stories.jobs import DEPOSIT, Job, forfeited, lines, paid_in, released, sent_back
from tests.waiting import eventually

PAID = paid_in("deposit:buyer", DEPOSIT)
BACK = sent_back("deposit:buyer", DEPOSIT)
HALF = [*forfeited(DEPOSIT), *sent_back("deposit:buyer", DEPOSIT // 2)]


async def deposit_of(job: Job) -> Json:
    """The deposit's payment, as the helpers for chargebacks want it."""
    return {"id": job.id, "payment": (await job.now())["payment"]}


async def milestone_of(job: Job, number: int) -> Json:
    """A milestone's payment, as the helpers for chargebacks want it."""
    return {"id": job.id, "payment": (await job.now())["milestones"][number - 1]["payment"]}


async def opened_and_heard(job: Job, path: Json, amount: int | None = None) -> str:
    """The bank takes the money back, and the tender's story stands still."""
    dispute = await opened(job.house, path, amount)
    story = job.house.workflow(f"tender-{job.id}")

    async def paused() -> bool:
        return bool((await story.query("watch"))["is_paused"])

    await eventually(paused)
    return dispute


async def lost(job: Job, path: Json, amount: int | None = None) -> None:
    """The buyer's bank takes the money back for good."""
    await decided(job.house, await opened_and_heard(job, path, amount), won=False)


def borne(total: int, **by: int) -> list[str]:
    """What a chargeback of so much posts, by the accounts that bear it; their owner is the buyer or the tender."""
    assert sum(by.values()) == total
    owners = {"escrow": "tender"}
    return lines(
        ("chargeback_open", "debit dispute:cbk", total),
        ("chargeback_open", "debit loss:platform", BANK_FEE),
        ("chargeback_open", "credit cash:sandbox", total + BANK_FEE),
        *(
            ("chargeback_lost", f"debit {kind}:{owners.get(kind, 'buyer')}", part)
            for kind, part in by.items()
        ),
        ("chargeback_lost", "credit dispute:cbk", total),
    )


async def owed(job: Job) -> int:
    """What the buyer owes the platform."""
    return balance(job.house, "receivable", job.tender["buyer_id"])


async def ended(job: Job, *postings: list[str]) -> Json:
    """Checks the end, and that the bank has been answered for."""
    done = await job.ended("failed", *postings)
    assert done["end_reason"] == "charged_back"
    assert in_dispute(job.house, {"id": job.id}) == 0
    assert "charged_back by provider" in await job.timeline()
    return done


async def test_a_deposit_lost_while_bids_come_in_ends_the_tender(house: House) -> None:
    job = await Job.opened(house)
    await job.bid("maker-early-" + job.buyer, 30_000)
    await lost(job, await deposit_of(job))
    await ended(job, PAID, borne(DEPOSIT, deposit=DEPOSIT))
    assert await owed(job) == 0
    assert_problem(await job.try_bid("maker-late-" + job.buyer, 1), 409, "wrong_phase")


async def test_before_anybody_has_taken_the_work_on_the_rest_of_the_deposit_goes_back(
    house: House,
) -> None:
    job = await Job.awarded(house, 30_000)
    await lost(job, await deposit_of(job), 4_000)
    await ended(job, PAID, borne(4_000, deposit=4_000), sent_back("deposit:buyer", DEPOSIT - 4_000))
    assert await house.payable(job.worker) == 0


async def test_half_of_what_is_left_of_the_deposit_is_the_workers(house: House) -> None:
    job = await Job.accepted(house, 30_000)
    payment = await job.payment_of(1)
    await lost(job, await deposit_of(job), 4_000)
    left = DEPOSIT - 4_000
    await ended(
        job,
        PAID,
        borne(4_000, deposit=4_000),
        forfeited(left),
        sent_back("deposit:buyer", left // 2),
    )
    answer = await house.pay({"payment": payment})
    assert answer.status_code != 200, "nobody waits for the milestone's payment any more"


async def test_a_milestone_nobody_has_worked_on_is_lost_and_the_worker_has_half_of_the_deposit(
    house: House,
) -> None:
    job = await Job.working(house, 30_000, 50_000)
    dispute = await opened_and_heard(job, await milestone_of(job, 1))
    assert_problem(await job.try_on(1, "submit", job.worker), 409, "wrong_phase")
    await decided(house, dispute, won=False)
    done = await ended(
        job, PAID, paid_in("escrow:tender", 30_000), borne(30_000, escrow=30_000), HALF
    )
    assert [m["state"] for m in done["milestones"]] == ["refunded", "dropped"]
    assert await owed(job) == 0
    assert await house.payable(job.worker) == DEPOSIT // 2 + 1


async def test_a_milestone_that_was_shown_is_the_workers_when_the_deposit_is_lost(
    house: House,
) -> None:
    job = await Job.working(house, 30_000)
    await job.shown(1)
    await lost(job, await deposit_of(job))
    await ended(
        job,
        PAID,
        paid_in("escrow:tender", 30_000),
        borne(DEPOSIT, deposit=DEPOSIT),
        released(30_000),
    )
    assert await house.payable(job.worker) == 27_000


async def test_of_what_is_in_escrow_a_lost_milestone_takes_only_its_own_part(house: House) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.on(1, "dispute", job.buyer, note="Nothing has come")
    await job.pay_milestone(2)
    await job.shown(2)
    await lost(job, await milestone_of(job, 1))
    done = await ended(
        job,
        PAID,
        paid_in("escrow:tender", 30_000),
        paid_in("escrow:tender", 50_000),
        borne(30_000, escrow=30_000),
        released(50_000),
        HALF,
    )
    assert [m["state"] for m in done["milestones"]] == ["refunded", "released"]
    assert await owed(job) == 0


async def test_what_was_not_shown_goes_back_when_another_milestone_is_lost_in_part(
    house: House,
) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.on(1, "dispute", job.buyer, note="Nothing has come")
    await job.pay_milestone(2)
    await lost(job, await milestone_of(job, 2), 20_000)
    await ended(
        job,
        PAID,
        paid_in("escrow:tender", 30_000),
        paid_in("escrow:tender", 50_000),
        borne(20_000, escrow=20_000),
        sent_back("escrow:tender", 30_000),
        sent_back("escrow:tender", 30_000),
        HALF,
    )


async def test_a_released_milestone_is_the_buyers_debt_as_far_as_nothing_of_theirs_is_left(
    house: House,
) -> None:
    job = await Job.working(house, 30_000, 50_000)
    await job.done(1, amount=20_000)
    await job.pay_milestone(2)
    await job.shown(2)
    await lost(job, await milestone_of(job, 1))
    await ended(
        job,
        PAID,
        paid_in("escrow:tender", 30_000),
        paid_in("escrow:tender", 50_000),
        released(20_000),
        borne(30_000, escrow=10_000, receivable=20_000),
        released(50_000),
        HALF,
    )
    assert await owed(job) == 20_000


async def test_after_the_end_the_buyer_owes_it(house: House) -> None:
    job = await Job.working(house, 30_000)
    payment = await milestone_of(job, 1)
    await job.done(1)
    paid = [PAID, paid_in("escrow:tender", 30_000), released(30_000), BACK]
    await job.ended("completed", *paid)
    await decided(house, await opened(house, payment), won=False)
    done = await job.ended("completed", *paid, borne(30_000, receivable=30_000))
    assert done["end_reason"] != "charged_back"
    assert await owed(job) == 30_000
    assert await house.payable(job.worker) == 27_000
