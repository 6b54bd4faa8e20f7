"""What would happen if a path were called off now: the same as what then happens, and nothing before."""

from __future__ import annotations

import uuid

from tests.api.client import assert_problem
from tests.stories.contests import Show
from tests.stories.deals import Deal
from tests.stories.funds import Fund, tier
from tests.stories.house import House, Json
from tests.stories.in_kind import Aid
from tests.stories.jobs import Job
from tests.stories.operators import done, moved, operator, tables
from tests.stories.polls import user_id
from tests.stories.sponsors import Call
from tests.stories.workshop import Workshop
from tests.waiting import eventually


async def unwind(house: House, path_id: str, by: str) -> Json:
    """The preview as somebody sees it."""
    return await house.get(f"/v1/paths/{path_id}/unwind", by=by)


def lines(found: Json) -> list[str]:
    """What it would post, as `side kind amount`."""
    return [
        f"{each['side']} {each['account'].partition(':')[0]} {each['amount']['amount']}"
        for each in found["postings"]
    ]


async def test_it_shows_what_then_happens_and_does_nothing(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await Deal.paid(house)
    aid = await Aid.ready(house, deposit={"amount": 5_000, "currency": "CNY"})
    running: list[Deal | Job | Show | Call | Aid | Workshop] = [
        deal,
        await Job.opened(house),
        await Show.opened(house),
        await Call.opened(house),
        aid,
        await Workshop.published(house),
    ]
    await deal.told("paid")
    before = tables(house)
    shown = [await unwind(house, path.id, one) for path in running]
    assert tables(house) == before, "a preview changes nothing"
    for path, found in zip(running, shown, strict=True):
        assert found["possible"], found
        limit = sum(each["gets"]["amount"] for each in found["who"]) > 100_000
        await done(house, one, {"kind": "cancel_path", "path_id": path.id}, two if limit else None)
        assert moved(house, path.id, "refund") == lines(found)
        again = await unwind(house, path.id, one)
        assert (again["possible"], again["postings"], again["who"]) == (False, [], [])


async def test_who_sees_what(house: House) -> None:
    deal = await Deal.paid(house)
    await deal.told("paid")
    of_buyer = await unwind(house, deal.id, deal.buyer)
    assert lines(of_buyer) == ["debit escrow 20000"]
    [mine] = of_buyer["who"]
    assert (mine["user_id"], mine["gets"]["amount"]) == (deal.sale["buyer_id"], 20_000)
    assert (await unwind(house, deal.id, deal.seller))["who"] == []
    of_operator = await unwind(house, deal.id, "admin")
    assert lines(of_operator) == ["debit escrow 20000", "credit refund_due 20000"]
    stranger = f"stranger-{uuid.uuid4().hex[:8]}"
    refused = await house.call("GET", f"/v1/paths/{deal.id}/unwind", by=stranger)
    assert_problem(refused, 404, "not_found")

    # On its way it cannot be called off any more: the deadlines tell what decides.
    sent, _ = await Deal.shipped(house)
    found = await unwind(house, sent.id, sent.buyer)
    assert found["possible"] is False
    assert "shipped" in found["why_not"]
    assert [each["name"] for each in found["deadlines"]] == ["scan"]


async def test_backers_see_their_share(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier()])
    [first] = await fund.backed_by("wallet", extra=200)
    [second] = await fund.backed_by("wallet")

    def both() -> bool:
        paid = "SELECT count(*) FROM pledges WHERE campaign_id = %s AND paid > 0"
        return house.sql(paid, fund.id) == [(2,)]

    await eventually(both)
    paid = [(await fund.pledge_of(each))["amount"]["amount"] for each in (first, second)]
    for backer, amount in zip((first, second), paid, strict=True):
        found = await unwind(house, fund.id, backer)
        assert (found["own"]["amount"], found["backers"]["amount"]) == (amount, sum(paid))
        assert found["who"] == []
    of_creator = await unwind(house, fund.id, fund.creator)
    assert (of_creator["own"]["amount"], of_creator["backers"]["amount"]) == (0, sum(paid))
    assert await user_id(house, first) not in str(of_creator)
