"""Ways of a pledge that are seldom gone, each to the end of its campaign with all accounts at 0."""

from __future__ import annotations

import uuid

from tests.stories.chargebacks import decided
from tests.stories.deliveries import dispute, lost
from tests.stories.funds import (
    ADMIN,
    DAY,
    FINAL_CHARGES,
    FIX,
    PRICE,
    SLOW,
    Fund,
    paid_in,
    people,
    sent_back,
    tier,
)
from tests.stories.house import House
from tests.stories.money import rewrite_at_provider
from tests.stories.pledging import (
    act,
    backed,
    press,
    sound,
    stands,
    taken,
    time_is_up,
    wound_up,
)
from tests.stories.test_campaign import card_of, decline, unwound
from tests.stories.test_pledge_looks import payment_of


async def test_a_card_that_is_refused_twice_for_good(house: House) -> None:
    """Neither the card nor a page to pay on: the pledge is dropped, and the campaign goes on with the others."""
    fund = await Fund.live(house, short_rule="pay_anyway", tiers=[tier(seats=2)])
    refused, other = people(2)[1]
    for name in (refused, other):
        await backed(fund, name)
    card = card_of(house, refused, fund)
    rewrite_at_provider(house, "UPDATE cards SET status = 'canceled' WHERE reference = ?", card)
    await _operation_is_taken(house, f"{fund.pledges[refused]['id']}/page")
    await fund.close()
    found = await fund.until("successful")
    assert found["result"]["count"]["paid"] == PRICE
    assert fund.states() == ["dropped", "collected"]
    dropped = await fund.pledge_of(refused)
    assert dropped["decline_reason"].startswith("operation_id_reused")
    assert (dropped["holds_seats"], dropped["to_do"], dropped["paid"]["amount"]) == (False, None, 0)
    assert taken(fund) == 1
    await sound(fund)
    await unwound(fund)


async def _operation_is_taken(house: House, operation_id: str) -> None:
    """The provider has a payment of this operation already, under another key, and refuses a second one."""
    wish = {
        "operation_id": operation_id,
        "subject": operation_id,
        "amount": PRICE,
        "currency": "CNY",
        "description": "Of somebody else",
        "return_url": "http://127.0.0.1/",
    }
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = await house.sandbox.post("/v1/payments", json=wish, headers=headers)
    answer.raise_for_status()


async def growing(house: House, goal: int) -> tuple[Fund, str, str]:
    """Paid by bank; then a bigger choice, whose difference is under way at the deadline. Its backer and the page."""
    two = tier("Two lamps", 2 * PRICE, seats=1)
    fund = await Fund.live(house, goal=goal, tiers=[tier(), two])
    [name] = people(1)[1]
    await backed(fund, name, method="bank")
    asked = await act(fund, name, "change", tier={"number": 2})
    await fund.close()
    await fund.until("waiting_funds")
    page = await house.get(f"/v1/campaigns/{fund.id}/timeline", by=ADMIN, limit=100)
    assert page["items"][-1]["summary"].startswith("Waiting for 1 transfers of CNY 100.01: ")
    assert taken(fund, 2) == 1
    return fund, name, asked["to_do"]["checkout_url"]


async def test_more_money_that_was_under_way_comes(house: House) -> None:
    """Without it there was not enough, so the campaign has waited instead of failing."""
    fund, name, page = await growing(house, goal=2 * PRICE)
    assert (await press(fund, page, "pay")).status_code == 200
    found = await fund.until("successful")
    assert found["result"]["count"]["paid"] == 2 * PRICE
    pledge = await stands(fund, name, "collected")
    assert (pledge["amount"]["amount"], pledge["selection"]["tier"]["number"]) == (2 * PRICE, 2)
    assert (pledge["pending"], taken(fund, 2)) == (None, 1)
    await sound(fund)
    await unwound(fund)


async def test_more_money_that_was_under_way_does_not_come(house: House) -> None:
    """The former choice stands; it was enough, and is decided when the time for transfers is over."""
    fund, name, page = await growing(house, goal=PRICE)
    await fund.let_pass(SLOW)
    found = await fund.until("successful")
    assert found["result"]["count"]["paid"] == PRICE
    pledge = await stands(fund, name, "collected")
    assert (pledge["amount"]["amount"], pledge["selection"]["tier"]["number"]) == (PRICE, 1)
    assert (pledge["pending"], taken(fund, 2)) == (None, 0)
    assert (await press(fund, page, "pay")).status_code == 409
    await sound(fund)
    await unwound(fund)


async def pay_late(fund: Fund, payment_id: str) -> None:
    """The backer pays on a page that was closed, as some payment companies let them."""
    house = fund.house
    await house.misbehave("payment", "late_capture", subject=payment_id)
    [(page,)] = house.sql("SELECT checkout_url FROM payments WHERE id = %s", payment_id)
    assert (await press(fund, page, "pay")).status_code == 200


async def test_late_pledges_are_collected_at_once(house: House) -> None:
    """Also one that had run out before its money came."""
    fund = await Fund.successful(house, "wallet", goal=PRICE, late_pledges=True)
    prompt, tardy = people(2)[1]
    await fund.back(prompt, method="wallet")
    await time_is_up(fund, await fund.pledge(tardy, method="wallet"))
    await stands(fund, tardy, "expired")
    await pay_late(fund, payment_of(fund, tardy))
    for name in (prompt, tardy):
        assert (await stands(fund, name, "collected"))["late"] is True
    await sound(fund)
    await unwound(fund)
    assert fund.states() == ["refunded"] * 3


async def test_paid_in_the_moment_it_was_called_off(house: House) -> None:
    """Nobody has heard of the payment: the run that closes its page finds it, and it goes back."""
    fund = await Fund.live(house)
    [name] = people(1)[1]
    made = await fund.pledge(name, method="wallet")
    await house.misbehave("webhook", "drop", subject=payment_of(fund, name), times=9)
    await fund.press(made)
    await fund.act("cancel", fund.creator)
    await fund.ended("cancelled", paid_in(PRICE), sent_back(PRICE))
    assert fund.states() == ["refunded"]


async def test_money_for_pledges_that_are_over_goes_back(house: House) -> None:
    """Taken back before it was paid, or after; taken back by a bank, at once or in two parts."""
    fund = await Fund.live(house, tiers=[tier(), tier("Two lamps", 2 * PRICE)])
    taken_back, gone, in_parts, undone = people(4)[1]
    late = {}
    for name in (taken_back, gone, in_parts):
        await backed(fund, name, method="wallet")
    for name in (taken_back, gone):
        asked = await act(fund, name, "change", tier={"number": 2})
        late[name] = asked["pending"]["payment_id"]
    await fund.pledge(undone, method="wallet")
    late[undone] = payment_of(fund, undone)
    for name, state in ((undone, "cancelled"), (taken_back, "refunded")):
        await act(fund, name, "cancel")
        await stands(fund, name, state)
    await lost(fund, gone)
    await stands(fund, gone, "charged_back")
    first = await dispute(fund, in_parts, 3_001)
    second = await dispute(fund, in_parts, PRICE - 3_001)
    await decided(house, first, won=False)
    # What the bank has not decided on is not sent meanwhile.
    await stands(fund, in_parts, "refunding")
    await decided(house, second, won=False)
    await stands(fund, in_parts, "charged_back")
    for name, payment_id in late.items():
        await pay_late(fund, payment_id)
        found = await stands(fund, name, "refunded")
        assert found["refunded"]["amount"] == found["paid"]["amount"] > 0
    await sound(fund)
    await wound_up(fund)


async def test_a_dropped_pledge_is_paid_while_others_are_mended(house: House) -> None:
    """It is collected after all. One whose campaign was called off meanwhile, and which is paid then, is sent back."""
    fund = await Fund.live(house, tiers=[tier(seats=2)])
    dropped, released = people(2)[1]
    for name in (dropped, released):
        await backed(fund, name)
        await decline(house, name, fund)
    await fund.close()
    for name in (dropped, released):
        await stands(fund, name, "errored")
    # The campaign's clock is ahead of the pledge's by the time for pledges, which was skipped.
    story = house.workflow(f"pledge-{fund.pledges[dropped]['id']}")
    await house.skipper.fast_forward(story, DAY + FIX + FINAL_CHARGES)
    await stands(fund, dropped, "dropped")
    assert taken(fund) == 1
    await pay_late(fund, payment_of(fund, dropped))
    await stands(fund, dropped, "collected")
    assert taken(fund) == 2
    await sound(fund)
    await fund.act("cancel", fund.creator)
    await fund.ended("cancelled", paid_in(PRICE), sent_back(PRICE))
    assert fund.states() == ["refunded", "released"]
    await pay_late(fund, payment_of(fund, released))
    await stands(fund, released, "refunded")
    await fund.ended("cancelled", paid_in(PRICE) * 2, sent_back(PRICE) * 2)
