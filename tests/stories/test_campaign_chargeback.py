"""Banks of backers take pledges back: before the decision, while it is made, and after the end."""

from __future__ import annotations

from domain.money import split
from tests.stories.chargebacks import (
    BANK_FEE,
    borne,
    chargeback_at,
    decided,
    given_back,
    posted_by_chargebacks,
    taken,
)
from tests.stories.deliveries import (
    balance,
    creators,
    dispute,
    fulfilling,
    last_loss,
    lost,
    lost_beyond,
    payments,
    refunds,
    released,
    ship,
    until_happened,
)
from tests.stories.funds import DAY, PRICE, Fund, tier
from tests.stories.house import House
from tests.stories.money import (
    destination,
    earned,
    payout_at,
    take_out,
    unheard,
)
from tests.stories.runs import history_length
from tests.stories.sponsors import Call
from tests.stories.test_second_looks import news
from tests.waiting import eventually

HOUR = 3_600
TWO_PARTS = [
    {"trigger": "start", "basis_points": 4_000},
    {"trigger": "reserve", "basis_points": 6_000},
]


async def state_of(fund: Fund, backer: str) -> str:
    return str((await fund.pledge_of(backer))["state"])


async def test_the_creator_pays_what_was_released_and_later_income_pays_the_rest(
    house: House,
) -> None:
    """The worked case: 10,000 pledged, 40 % released with a fee of 5 %, 1,000 left of it."""
    fund = await fulfilling(
        house, "wallet", goal=10_000, tiers=[tier(price=10_000)], tranches=TWO_PARTS
    )
    await destination(house, fund.creator)
    await payout_at(house, await take_out(house, fund.creator, 2_800), "paid", by=fund.creator)
    assert creators(fund) == 1_000
    await lost(fund, fund.backers[0])
    assert BANK_FEE == 1_500
    assert posted_by_chargebacks(house, fund.campaign) == [
        *taken(10_000),
        *borne(10_000, escrow=6_000, payable=1_000, receivable=2_800, fee=200),
    ]
    assert fund.states() == ["charged_back"]
    assert (creators(fund), creators(fund, "receivable")) == (0, 2_800)
    found = await fund.adds_up()
    assert found["totals"]["paid"]["amount"] == found["totals"]["in_escrow"]["amount"] == 0
    await fund.let_pass(180 * DAY)
    await fund.until("completed")
    await fund.until_closed()
    await fund.at_zero()
    await earned(house, fund.creator)
    await eventually(lambda: creators(fund, "receivable") == 0)
    assert creators(fund) == 18_400 - 2_800


async def test_before_the_decision_the_pledge_is_gone(house: House) -> None:
    """Taken back for good, whole or in part, it does not count any more; won, it does."""
    fund = await Fund.live(house, tiers=[tier(seats=4)], goal=PRICE)
    gone, partly, won, stays = await fund.backed_by("wallet", "wallet", "wallet", "wallet")
    for backer in fund.backers:
        await eventually_funded(fund, backer)
    await lost(fund, gone)
    await lost(fund, partly, 3_001)
    assert posted_by_chargebacks(house, fund.campaign) == [
        *taken(PRICE),
        *borne(PRICE, escrow=PRICE),
        *taken(3_001),
        *borne(3_001, escrow=3_001),
    ]
    dispute_ = await dispute(fund, won)
    await decided(house, dispute_, won=True)

    async def sent() -> bool:
        return await state_of(fund, partly) == "refunded"

    await eventually(sent, within_seconds=20)
    assert refunds(fund) == [PRICE - 3_001]
    assert await state_of(fund, gone) == "charged_back"
    found = await fund.adds_up()
    assert found["totals"]["pledges"] == 2
    assert found["tiers"][0]["seats_left"] == 2
    await fund.close()
    found = await fund.until("successful")
    assert found["result"]["count"]["paid"] == 2 * PRICE
    await fund.adds_up()
    assert await state_of(fund, stays) == "collected"


async def eventually_funded(fund: Fund, backer: str) -> None:
    """Waits until the pledge is in the books."""

    async def there() -> bool:
        return await state_of(fund, backer) == "funded"

    await eventually(there, within_seconds=20)


async def test_what_banks_dispute_is_not_released_meanwhile(house: House) -> None:
    fund = await Fund.successful(house, "wallet", "card", tranches=TWO_PARTS)
    one, two = fund.backers
    dispute_ = await dispute(fund, one)
    promised = await fund.promised("disbursal")
    await fund.let_pass(14 * DAY + 1)
    await fund.until("fulfilling")
    half = PRICE * 4_000 // 10_000
    events = await history_length(fund.story)
    assert fund.postings("release") == released(half)
    assert promised == [line.removeprefix("release: ") for line in released(half)]
    await decided(house, dispute_, won=True)
    assert posted_by_chargebacks(house, fund.campaign) == [*taken(PRICE), *given_back(PRICE)]
    # The story hears of the new timer with its next one.
    assert "late_pledges" in await fund.deadlines()

    # A part lost: escrow pays what was not released of it, and what is still held of it is less.
    await lost(fund, two, 3_001)
    assert last_loss(fund) == borne(3_001, escrow=3_001)
    # Thousands of disputes must not make the story longer: nothing that it waits for has changed.
    for payment_id, _ in (*payments(fund, one), *payments(fund, two)):
        await house.workflow(f"chargeback-{payment_id}").result()
    assert await history_length(fund.story) == events
    assert await state_of(fund, two) == "collected"
    await ship(fund, one, two)
    await fund.let_pass(180 * DAY)
    await fund.until("completed")
    total = 2 * PRICE - 3_001
    assert sum(int(line.split()[-1]) for line in fund.postings("release")[::3]) == total
    assert creators(fund) == total - (total * 500 + 5_000) // 10_000

    # After the end it is the creator's, and what goes beyond the payment the platform's.
    before = creators(fund)
    # Other stories of the same house feed the protection fund; it pays as far as it goes.
    protected = min(balance(fund, "protection_fund", "platform"), 500)
    await lost_beyond(fund, one, PRICE + 500)
    fee = (total * 500 + 5_000) // 10_000 - ((total - PRICE) * 500 + 5_000) // 10_000
    assert last_loss(fund) == [
        *borne(PRICE, payable=PRICE - fee, fee=fee),
        *borne(500, protection_fund=protected, loss=500 - protected),
    ]
    assert creators(fund) == before - (PRICE - fee)
    await fund.until_closed()
    await fund.at_zero()


async def test_a_disputed_share_of_a_stopped_campaign_waits_for_the_bank(house: House) -> None:
    """Won, it is sent; lost, it pays the bank, and what the creator owes the backers pays the rest."""
    fund = await fulfilling(house, "wallet", "wallet", "wallet", goal=PRICE, tranches=TWO_PARTS)
    won, gone, plain = fund.backers
    await destination(house, fund.creator)
    await payout_at(house, await take_out(house, fund.creator), "paid", by=fund.creator)
    disputes = [await dispute(fund, backer) for backer in (won, gone)]
    await fund.act("cancel", fund.creator)
    total = 3 * PRICE
    first = total * 4_000 // 10_000
    assert (creators(fund, "receivable"), balance(fund, "claim", fund.id)) == (first, first)
    shares = split(total - first, [PRICE] * 3)

    async def sent() -> bool:
        return await state_of(fund, plain) == "refunded"

    await eventually(sent, within_seconds=20)
    assert refunds(fund) == [shares[2]]
    await decided(house, disputes[0], won=True)
    await decided(house, disputes[1], won=False)
    assert last_loss(fund)[-4:] == [
        *borne(shares[1], escrow=shares[1]),
        *borne(PRICE - shares[1], claim=PRICE - shares[1]),
    ]
    # The run that sends everything back comes by again.
    await fund.let_pass(2 * HOUR)
    await fund.until_closed()
    assert refunds(fund) == sorted([shares[0], shares[2]])
    assert sorted(fund.states()) == ["charged_back", "refunded", "refunded"]
    assert balance(fund, "claim", fund.id) == first - (PRICE - shares[1])
    # The bank takes the rest as well: it was still a debt of the creator.
    rest = PRICE - shares[2]
    await lost(fund, plain)
    assert last_loss(fund) == borne(rest, claim=rest)
    await fund.until_closed()
    await fund.at_zero()


async def test_a_backer_who_has_the_money_twice_owes_it(house: House) -> None:
    """The provider refuses the refund because of a dispute that we have not heard of; then the bank keeps it."""
    fund = await Fund.live(house, goal=3 * PRICE)
    [backer] = await fund.backed_by("wallet")
    await eventually_funded(fund, backer)
    async with unheard(house):
        [(payment_id, reference)] = payments(fund, backer)
        dispute_ = (await house.sandbox.post(f"/v1/payments/{reference}/dispute", json={})).json()
    await fund.close()
    await fund.until("failed")

    async def refused() -> str | None:
        query = "SELECT id FROM refunds WHERE path_id = %s AND status = 'refused'"
        rows = house.sql(query, fund.id)
        return str(rows[0][0]) if rows else None

    refund_id = await eventually(refused, within_seconds=20)
    await house.post(f"/v1/refunds/{refund_id}/accept-balance", by=backer)
    await fund.until_closed()
    assert await house.payable(backer) == PRICE
    await news(house, "dispute.opened", payment_id)
    await chargeback_at(house, dispute_["reference"], "open")
    await decided(house, dispute_["reference"], won=False)
    assert last_loss(fund) == borne(PRICE, payable=PRICE)
    assert await house.payable(backer) == 0
    await fund.until_closed()
    await fund.at_zero()


async def test_the_match_of_a_lost_pledge_goes_back_as_far_as_it_is_there(house: House) -> None:
    call = await Call.opened(house, budget=PRICE)
    fund = await Fund.live(house, tranches=TWO_PARTS, late_pledges=True)
    await call.apply(fund.id, fund.creator)
    await call.act(f"projects/{fund.id}/accept", call.sponsor)
    [matched] = await fund.backed_by("wallet")
    await eventually_funded(fund, matched)
    await fund.backed_by("wallet")
    await fund.close()
    await fund.until("successful")
    await fund.let_pass(14 * DAY + 1)
    await fund.until("fulfilling")
    await lost(fund, matched)
    share = PRICE - PRICE * 4_000 // 10_000
    assert fund.postings("match_returned") == [
        f"match_returned: debit escrow:campaign {share}",
        f"match_returned: credit match:mtc {share}",
    ]
    assert await state_of(fund, matched) == "charged_back"
    await call.assert_sums(left=share, used=PRICE - share)
    await fund.adds_up()
    await fund.let_pass(7 * DAY)
    await until_happened(fund, "late_pledges_paid")
    await fund.adds_up()
