"""Backers of a late campaign vote on the money that is left."""

from __future__ import annotations

from tests.stories.deliveries import (
    fulfilling,
    on_part,
    progress,
    refunds,
    released,
    say,
    ship,
    soon,
    until_happened,
)
from tests.stories.funds import ADMIN, DAY, PRICE, Fund, paid_in, sent_back
from tests.stories.house import House
from tests.stories.polls import Poll

LATE = 52 * DAY
"""From the first release on, of a campaign that was promised in 20 days: a month late."""


async def asked(fund: Fund, backer: str) -> Poll:
    """The vote that a backer has asked for, once people can vote."""
    found = await fund.act("refund-vote", backer, note="Nothing has come")
    poll = Poll(fund.house, fund.creator, str(found["ballot_id"]))
    await poll.until("open")
    return poll


async def test_backers_get_back_what_is_left(house: House) -> None:
    fund = await fulfilling(house, "wallet", "wallet", "card", tiers=soon())
    served, one, two = fund.backers
    await ship(fund, served)
    await say(fund, served, "received")
    too_early = await fund.try_to("refund-vote", one)
    assert too_early.status_code == 409
    assert too_early.json()["field"] == "deliver_by"
    await on_part(fund, 2, "report", note="Nearly")
    await fund.let_pass(6 * DAY)
    await on_part(fund, 2, "refuse", note="This is not a lamp")
    await fund.let_pass(LATE)
    has_some = await fund.try_to("refund-vote", served)
    assert has_some.status_code == 403

    # Nobody votes: nothing is decided, and it takes a while until somebody may ask again.
    poll = await asked(fund, one)
    assert (await progress(fund))["ballot_id"] == poll.id
    assert (await fund.try_to("refund-vote", two)).status_code == 409
    await house.skipper.fast_forward(house.workflow(f"ballot-{poll.id}"), 12 * DAY)
    await until_happened(fund, "not_decided")
    again = await fund.try_to("refund-vote", two)
    assert again.status_code == 409

    await fund.let_pass(105 * DAY)
    await on_part(fund, 2, "report", note="Now it is")
    poll = await asked(fund, two)
    held_up = await fund.try_to("tranches/2/approve", ADMIN)
    assert held_up.status_code == 409
    assert "voting" in held_up.json()["detail"]
    assert set(await fund.deadlines()) == {"vote", "update"}
    for outsider in ("passer-by", served, fund.creator):
        refused = await poll.try_vote(outsider, ["money_back"])
        assert refused.status_code == 403, refused.text
    await poll.vote(one, ["money_back"])
    await poll.vote(two, ["money_back"])
    await house.skipper.fast_forward(house.workflow(f"ballot-{poll.id}"), 9 * DAY)
    await fund.until("stopped")
    first = 3 * PRICE * 4_000 // 10_000
    left = 3 * PRICE - first
    back = [left // 2, left - left // 2]
    await fund.ended("stopped", *[paid_in(PRICE)] * 3, released(first), *map(sent_back, back))
    assert refunds(fund) == back
    assert (await progress(fund))["shortfall"]["given_back"]["amount"] == left
    assert [part["state"] for part in (await fund.now())["tranches"]] == [
        "released", "stopped", "stopped", "stopped",
    ]  # fmt: skip


async def test_what_they_vote_down_goes_on(house: House) -> None:
    fund = await fulfilling(house, "wallet", "wallet", "wallet", tiers=soon())
    await fund.let_pass(LATE)
    one, two, three = fund.backers
    poll = await asked(fund, one)
    await poll.vote(one, ["money_back"])
    await poll.vote(two, ["go_on"])
    await house.skipper.fast_forward(house.workflow(f"ballot-{poll.id}"), 9 * DAY)
    await until_happened(fund, "voted")
    found = await fund.until("fulfilling")
    assert found["ballot_id"] is None
    await on_part(fund, 2, "report", note="A lamp")
    await on_part(fund, 2, "approve")
    parts = (3 * PRICE * 4_000 // 10_000, 3 * PRICE * 7_000 // 10_000)
    assert fund.postings("release") == released(parts[0], parts[1] - parts[0])
    # Called off while they vote again: nobody needs that vote any more.
    await fund.let_pass(120 * DAY)
    poll = await asked(fund, three)
    await fund.act("cancel", fund.creator, note="I give up")
    await poll.until("cancelled")
    await fund.until_closed()
    assert (await fund.now())["ballot_id"] is None
