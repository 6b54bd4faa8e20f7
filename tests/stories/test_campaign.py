"""Campaigns from the draft to their decision: every kind of funding, and what failing charges and slow money do."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from temporalio.service import RPCError

from tests.stories.funds import (
    ADMIN,
    DAY,
    FINAL_CHARGES,
    FIX,
    PRICE,
    SLOW,
    Fund,
    paid_in,
    sent_back,
)
from tests.stories.house import House
from tests.stories.money import needs_operator
from tests.waiting import eventually

DECIDED = ["deadline by system", "round_closed by system"]
BEGUN = ["submitted by initiator", "approved by operator"]
BACK = ["given_back by system"]


async def stood(fund: Fund, pledges: int) -> None:
    """Waits until the books know of so many pledges that stand."""

    async def known() -> bool:
        return bool((await fund.now())["totals"]["pledges"] == pledges)

    await eventually(known, within_seconds=20)


def card_of(house: House, backer: str, fund: Fund) -> str:
    """The provider's reference of the card that a backer has saved."""
    [(card,)] = house.sql(
        "SELECT c.reference FROM saved_cards c JOIN pledges p ON p.card_id = c.id WHERE p.id = %s",
        fund.pledges[backer]["id"],
    )
    assert card
    return str(card)


async def decline(house: House, backer: str, fund: Fund, times: int = 9) -> None:
    """The bank says no to this backer's saved card."""
    card = card_of(house, backer, fund)
    await house.misbehave("charge", "decline", subject=card, times=times)


async def unwound(fund: Fund) -> None:
    """Called off after its success, before anything was released: everybody has everything back."""
    await fund.adds_up()
    await fund.act("cancel", fund.creator, note="It cannot be made")
    await fund.until_closed()
    await fund.adds_up()
    await fund.at_zero()


async def test_enough_is_pledged_and_collected(house: House) -> None:
    fund = await Fund.drafted(house)
    assert fund.campaign["phase"] == "draft"
    assert (await fund.act("submit", fund.creator))["phase"] == "in_review"
    assert (await fund.act("approve", ADMIN))["phase"] == "live"
    await fund.backed_by("card", "wallet")
    await fund.close()
    found = await fund.until("successful")
    assert fund.states() == ["collected", "collected"]
    await fund.adds_up()
    assert sorted(fund.postings()) == sorted([*paid_in(PRICE), *paid_in(PRICE)])
    assert found["result"]["succeeded"] and found["result"]["count"]["paid"] == 2 * PRICE
    assert await fund.timeline() == [*BEGUN, *DECIDED, "collected by system"]
    assert found["deliver_by"] == found["tiers"][0]["deliver_on"]
    assert [part["state"] for part in found["tranches"]] == ["planned"] * 4
    backer = await fund.pledge_of(fund.backers[0])
    assert (backer["state"], backer["reward"]) == ("collected", "owed")
    await unwound(fund)


async def test_too_little_is_pledged_and_everybody_gets_everything_back(house: House) -> None:
    fund = await Fund.closed(house, "card", "wallet", goal=3 * PRICE)
    found = await fund.ended("failed", paid_in(PRICE), sent_back(PRICE))
    assert found["result"]["succeeded"] is False
    assert sorted(fund.states()) == ["refunded", "released"]
    assert await fund.timeline() == [*BEGUN, *DECIDED, *BACK]


async def test_without_any_pledge_nothing_happens(house: House) -> None:
    fund = await Fund.closed(house, funding="flexible", kind="donation")
    assert (await fund.ended("failed"))["totals"]["pledges"] == 0


async def test_flexible_takes_what_comes_together(house: House) -> None:
    fund = await Fund.live(house, funding="flexible", goal=100 * PRICE, kind="donation")
    await fund.back("giver", tier=None, extra=501, method="wallet")
    await fund.close()
    found = await fund.until("successful")
    assert (found["totals"]["percent"], found["rule"]["required"]["amount"]) == (0, 1)
    assert (await fund.pledge_of("giver"))["reward"] == "none"
    await fund.let_pass(14 * DAY)
    assert (await fund.until("completed"))["totals"]["released"]["amount"] == 501
    await fund.at_zero()


async def test_two_rounds(house: House) -> None:
    fund = await Fund.closed(
        house,
        "card",
        funding="two_rounds",
        goal=PRICE,
        optimum={"amount": 5 * PRICE, "currency": "CNY"},
        round2_seconds=2 * DAY,
    )
    assert (await fund.until("round2"))["round"] == 2
    await fund.backed_by("wallet")
    await fund.close()
    found = await fund.until("successful")
    assert fund.states() == ["collected"] * 2
    assert found["totals"]["paid"]["amount"] == 2 * PRICE
    assert await fund.timeline() == [*BEGUN, *DECIDED, *DECIDED, "collected by system"]
    await unwound(fund)


async def test_two_rounds_below_the_minimum(house: House) -> None:
    fund = await Fund.closed(
        house,
        "wallet",
        funding="two_rounds",
        goal=PRICE + 1,
        optimum={"amount": 5 * PRICE, "currency": "CNY"},
        round2_seconds=2 * DAY,
    )
    await fund.ended("failed", paid_in(PRICE), sent_back(PRICE))


async def test_a_failed_charge_is_mended(house: House) -> None:
    fund = await Fund.live(house)
    backer, _ = await fund.backed_by("card", "wallet")
    await decline(house, backer, fund, times=1)
    await fund.close()
    await fund.until("collecting")

    async def errored() -> bool:
        return bool((await fund.pledge_of(backer))["state"] == "errored")

    await eventually(errored)
    found = await fund.adds_up()
    assert found["run"] is not None and found["run"]["goal"] == "collect"
    await fund.press(await fund.pledge_of(backer))
    await fund.until("successful")
    assert fund.states() == ["collected"] * 2
    await unwound(fund)


async def test_failed_charges_below_the_rule_send_everything_back(house: House) -> None:
    fund = await Fund.live(house, short_rule="require_share")
    backer, _ = await fund.backed_by("card", "wallet")
    await decline(house, backer, fund)
    await fund.close()
    await fund.until("collecting")
    fixing = (await fund.deadlines())["fixing"]
    assert "backers: pay" in fixing["stopped_by"]
    await fund.let_pass(FIX + FINAL_CHARGES)
    found = await fund.ended("failed", paid_in(PRICE), sent_back(PRICE))
    assert sorted(fund.states()) == ["dropped", "refunded"]
    assert found["result"]["count"]["paid"] == PRICE
    assert found["tiers"][0]["seats_left"] is None


async def test_failed_charges_are_forgiven_if_that_is_the_rule(house: House) -> None:
    fund = await Fund.live(house, short_rule="pay_anyway")
    backer, _ = await fund.backed_by("card", "wallet")
    await decline(house, backer, fund)
    await fund.close()
    await fund.until("collecting")
    await fund.let_pass(FIX + FINAL_CHARGES)
    found = await fund.until("successful")
    assert sorted(fund.states()) == ["collected", "dropped"]
    assert (found["rule"]["short_rule"], found["totals"]["paid"]["amount"]) == (
        "pay_anyway",
        PRICE,
    )
    await unwound(fund)


async def test_slow_money_is_waited_for(house: House) -> None:
    fund = await Fund.live(house)
    await fund.backed_by("card")
    slow = await fund.pledge("slow", method="bank")
    await fund.close()
    await fund.until("waiting_funds")
    assert (await fund.deadlines())["slow_funds"]["postings"] == []
    await fund.press(slow)
    await fund.until("successful")
    assert fund.states() == ["collected"] * 2
    await unwound(fund)


async def test_slow_money_that_does_not_come(house: House) -> None:
    fund = await Fund.live(house)
    await fund.backed_by("wallet")
    await fund.pledge("slow", method="bank")
    await fund.close()
    await fund.until("waiting_funds")
    await fund.let_pass(SLOW)
    await fund.ended("failed", paid_in(PRICE), sent_back(PRICE))
    assert sorted(fund.states()) == ["expired", "refunded"]


async def overtaken(fund: Fund, due_at: datetime) -> None:
    """The campaign's timer was due then. Time cannot be skipped while one of its runs is at work."""
    fund.house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb(%s::text))"
        " WHERE id = %s",
        due_at.isoformat(),
        fund.id,
    )
    standing = (await fund.story.query("watch"))["standing"]
    standing["deadlines"][0]["due_at"] = due_at.isoformat()
    await fund.story.signal("told", standing)


async def test_a_charge_whose_outcome_nobody_knows_is_not_dropped(house: House) -> None:
    """The time for mending is over and the provider has not answered: the decision waits, and operators see why."""
    fund = await Fund.live(house)
    backer, _ = await fund.backed_by("card", "wallet")
    await stood(fund, 2)
    await house.misbehave("charge", "unavailable", subject=card_of(house, backer, fund), times=1000)
    await fund.close()
    await fund.until("collecting")
    over = datetime.now(UTC) - timedelta(seconds=FINAL_CHARGES)
    await overtaken(fund, over)

    async def put_off() -> bool:
        assert await needs_operator(house, f"campaign-{fund.id}")
        due_at = datetime.fromisoformat((await fund.deadlines())["fixing"]["due_at"])
        return due_at > over + timedelta(seconds=FINAL_CHARGES)

    await eventually(put_off, within_seconds=20)
    assert "dropped" not in fund.states()
    assert (await fund.timeline())[-1] == "round_closed by system"
    (await house.sandbox.delete("/v1/behaviours")).raise_for_status()
    # The run may have ended by itself.
    with suppress(RPCError):
        run = house.workflow(f"pledge-run-{fund.id}-collect-1-0")
        await house.skipper.fast_forward(run, DAY)
    await fund.until("successful")
    assert fund.states() == ["collected"] * 2
    assert not await needs_operator(house, f"campaign-{fund.id}")
    await unwound(fund)
