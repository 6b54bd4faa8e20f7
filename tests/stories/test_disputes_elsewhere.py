"""Disputes about paths that are no sales: milestones in escrow, and what was released of any path."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.carts import Cart
from tests.stories.chargebacks import balance
from tests.stories.contests import Show
from tests.stories.deals import refused
from tests.stories.deliveries import WAITING, sent_home
from tests.stories.funds import PRICE
from tests.stories.house import House
from tests.stories.in_kind import Aid
from tests.stories.jobs import Job
from tests.stories.lots import decided as inspected
from tests.stories.money import assert_sound
from tests.stories.quarrels import DAY, Quarrel, talked
from tests.stories.workshop import Workshop
from tests.waiting import eventually


async def user_id(house: House, name: str) -> str:
    """Somebody's id."""
    return str((await house.get("/v1/me", by=name))["id"])


async def about_milestone(job: Job, by: str, **body: object) -> Quarrel:
    """One side has talked and disputes the first milestone."""
    other = job.worker if by == job.buyer else job.buyer
    await talked(job.house, job.id, by, to_id=await user_id(job.house, other))
    return await Quarrel.opened(job.house, job.id, by, other, milestone=1, **body)


async def test_a_milestone_is_ruled_seventy_to_thirty(house: House) -> None:
    job = await Job.working(house, 30_000, 20_000)
    await job.on(1, "submit", job.worker, note="Done")
    case = await about_milestone(job, job.buyer)
    await job.until_milestone(1, "disputed")
    await case.to_ruling()
    preview = f"/v1/disputes/{case.id}/preview"
    shown = await house.get(preview, by="admin", to_payer=7_000)
    amounts = [each["amount"]["amount"] for each in shown["postings"]]
    assert (shown["possible"], sorted(amounts)) == (
        True,
        [900, 1_500, 1_500, 8_100, 9_000, 21_000, 21_000],
    )
    await case.ruled(7_000)
    await case.let_pass(5 * DAY + 1)
    await case.ended("decided", back=21_000, outcome=7_000, fee=1_500)
    await job.until_milestone(1, "released")
    # 30 % less a tenth, less the fee of the ruling.
    assert await house.payable(job.worker) == 9_000 - 900 - 1_500
    await job.pay_milestone(2)
    await job.on(2, "submit", job.worker, note="Done")
    await job.on(2, "approve", job.buyer)
    await job.until("completed")
    await assert_sound(house)


async def test_silence_of_the_buyer_gives_the_milestone_to_its_worker(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.on(1, "submit", job.worker, note="Done")
    case = await about_milestone(job, job.worker, to_payer=0)
    await case.let_pass(5 * DAY + 1)
    await case.ended("decided", back=0, outcome=0)
    await job.until("completed")
    assert await house.payable(job.worker) == 27_000


async def test_without_a_ruling_the_rule_of_tenders_decides(house: House) -> None:
    for submitted in (True, False):
        job = await Job.working(house, 30_000)
        if submitted:
            await job.on(1, "submit", job.worker, note="Done")
        case = await about_milestone(job, job.buyer)
        await case.to_ruling()
        await case.let_pass(57 * DAY + 1)
        back = 0 if submitted else 30_000
        await case.ended("decided", back=back, outcome=back // 3)
        await job.until("completed")
        assert await house.payable(job.worker) == (27_000 if submitted else 0)


async def test_a_disputed_milestone_is_conceded_not_withdrawn(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.on(1, "submit", job.worker, note="Done")
    case = await about_milestone(job, job.buyer, to_payer=4_000)
    await refused(await case.try_to("withdraw", job.buyer), 409, "wrong_phase", "phase")
    again = await Quarrel.try_to_open(house, job.id, job.worker, milestone=1)
    await refused(again, 409, "wrong_phase", "about_id")
    await case.act("concede", job.worker)
    await case.ended("settled", back=12_000, outcome=4_000)
    await job.until("completed")
    assert await house.payable(job.worker) == 16_200


async def test_a_milestone_that_operators_ruled_on_directly_is_divided_once(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.on(1, "submit", job.worker, note="Done")
    case = await about_milestone(job, job.buyer)
    await job.on(1, "rule", "admin", worker_amount=10_000, note="At once")
    await case.act("concede", job.worker)
    await case.ended("settled", back=20_000, outcome=10_000)
    await job.until("completed")
    assert await house.payable(job.worker) == 9_000


async def test_milestones_nobody_can_dispute(house: House) -> None:
    job = await Job.working(house, 30_000, 20_000)
    await talked(house, job.id, job.buyer, to_id=await user_id(house, job.worker))
    answer = await Quarrel.try_to_open(house, job.id, job.buyer, milestone=2)
    await refused(answer, 409, "wrong_phase", "milestone")
    answer = await Quarrel.try_to_open(house, job.id, job.buyer, milestone=3)
    assert_problem(answer, 404, "not_found")
    answer = await Quarrel.try_to_open(house, job.id, "stranger", milestone=1)
    assert_problem(answer, 403, "forbidden")


async def test_a_prize_that_was_paid_is_disputed(house: House) -> None:
    show = await Show.handing_over(house)
    winner = show.creators[0]
    await show.hand_over(winner)
    before = await Quarrel.try_to_open(house, show.id, show.owner)
    await refused(before, 409, "wrong_phase", "phase")
    await show.act("accept")
    await show.ended("completed")
    won = await house.payable(winner)
    await talked(house, show.id, show.owner, to_id=await user_id(house, winner))
    case = await Quarrel.opened(house, show.id, show.owner, winner)
    assert (await case.now())["amount"]["amount"] == 100_000
    await case.to_ruling()
    [ruling] = await case.deadlines()
    assert ruling["postings"] == []
    await case.ruled(5_000)
    await case.let_pass(5 * DAY + 1)
    await case.ended("decided", back=50_000, outcome=5_000)
    assert won == 90_000
    assert await house.payable(winner) == 45_000
    assert await house.payable(show.owner) == 50_000
    await house.assert_at_zero(show.contest)
    # What is left of it can be disputed, and no more.
    over = await Quarrel.try_to_open(house, show.id, show.owner, amount=50_001)
    await refused(over, 422, "invalid_input", "amount")


async def test_what_a_maker_got_for_a_lot_is_disputed_and_owed(house: House) -> None:
    shop = await Workshop.published(house, units=10, lot_most=10)
    lot = await shop.handed_in(10)
    await inspected(lot, 10)
    await lot.until("settled")
    destination = {"account": f"6222{lot.id[-12:]}", "holder": "Lin", "automatic": False}
    await house.post("/v1/payout-destinations", destination, by=lot.maker)
    await house.post("/v1/payouts", {}, by=lot.maker)
    maker = await user_id(house, lot.maker)
    await talked(house, lot.id, shop.requester, to_id=maker)
    case = await Quarrel.opened(house, lot.id, shop.requester, lot.maker, amount=1_000)
    await case.act("answer", lot.maker)
    await case.act("offer", lot.maker, to_payer=10_000)
    await case.act("take", shop.requester)
    await case.ended("settled", back=1_000, outcome=10_000)
    owed = balance(house, "receivable", maker)
    assert 0 < owed < 1_000
    assert await house.payable(shop.requester) == 1_000
    await assert_sound(house)


async def test_a_backer_disputes_what_a_creator_got(house: House) -> None:
    fund = await sent_home(house, "card", "wallet")
    early = await Quarrel.try_to_open(house, fund.id, fund.backers[0])
    await refused(early, 409, "wrong_phase", "phase")
    await fund.let_pass(WAITING + 1)
    await fund.until("fulfilling")

    async def paid() -> bool:
        return await house.payable(fund.creator) > 0

    await eventually(paid)
    backer = fund.backers[0]
    await talked(house, fund.id, backer)
    over = await Quarrel.try_to_open(house, fund.id, backer, amount=PRICE + 1)
    await refused(over, 422, "invalid_input", "amount")
    case = await Quarrel.opened(house, fund.id, backer, fund.creator, amount=500)
    await case.let_pass(5 * DAY + 1)
    await case.ended("decided", back=500, outcome=10_000)
    assert await house.payable(backer) == 500
    await assert_sound(house)


async def test_a_deposit_that_went_to_its_lender_is_disputed(house: House) -> None:
    aid = await Aid.lent(house)
    borrower = aid.picked
    await aid.act("send-back", borrower)
    await aid.claim(4_000)
    await aid.act("answer-claim", borrower, agree=True)
    await aid.until("returned")
    await talked(house, aid.id, borrower)
    case = await Quarrel.opened(house, aid.id, borrower, aid.supporter)
    assert (await case.now())["amount"]["amount"] == 4_000
    await case.act("concede", aid.supporter)
    await case.ended("settled", back=4_000, outcome=10_000)
    assert await house.payable(borrower) == 4_000
    assert await house.payable(aid.supporter) == 0


async def test_a_sale_of_an_order_is_disputed_by_itself(house: House) -> None:
    cart = await Cart.paid(house)
    answer = await Quarrel.try_to_open(house, cart.order["id"], cart.buyer)
    await refused(answer, 409, "wrong_phase", "phase")
    await cart.act(0, "accept")
    await cart.act(0, "ship")
    sale = cart.sales[0]
    await talked(house, sale["id"], cart.buyer)
    case = await Quarrel.opened(house, sale["id"], cart.buyer, cart.sellers[0])
    await cart.complete(1)
    await case.act("answer", cart.sellers[0])
    await case.act("offer", cart.sellers[0], to_payer=2_500)
    await case.act("take", cart.buyer)
    await case.ended("settled", back=5_000, outcome=2_500)
    await house.act(sale, "confirm", by=cart.buyer)
    assert await cart.earned() == [15_000 * 92 // 100, 4_600, 0]

    async def closed() -> bool:
        await cart.assert_at_zero()
        return True

    await eventually(closed)
