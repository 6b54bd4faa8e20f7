"""A bounty that the owner's bank takes back: before the release the contest pauses, afterwards the owner owes it."""

from __future__ import annotations

from tests.stories.chargebacks import balance, decided, in_dispute, opened
from tests.stories.contests import BOUNTY, Show, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json
from tests.waiting import eventually


def paid(show: Show) -> Json:
    """The contest as the helpers for chargebacks want it."""
    return {"id": show.id, "payment": {"id": show.id.replace("con_", "pay_", 1)}}


async def paused(show: Show) -> None:
    """Waits until the story has heard that the bank has the money."""

    async def stands_still() -> bool:
        receipt = await show.house.workflow(show.story).query("watch")
        return bool(receipt["is_paused"])

    await eventually(stands_still)


async def test_a_lost_bounty_ends_the_contest(house: House) -> None:
    show = await Show.choosing(house, 2)
    dispute = await opened(house, paid(show))
    await paused(show)
    entry = {"prize": 1, "entry_id": show.entries[show.creators[0]]["id"]}
    await refused(await show.tries("announce", awards=[entry]), 409, "wrong_phase", "phase")
    await decided(house, dispute, won=False)
    await show.ended("charged_back")
    assert in_dispute(house, paid(show)) == 0
    assert await show.postings() == [
        "fund: debit clearing:sandbox 100000",
        "fund: credit escrow:contest 100000",
        "chargeback_open: debit dispute:cbk 100000",
        "chargeback_open: debit loss:platform 1500",
        "chargeback_open: credit cash:sandbox 101500",
        "chargeback_lost: debit escrow:contest 100000",
        "chargeback_lost: credit dispute:cbk 100000",
    ]
    hidden = await show.entry(show.creators[0], by=show.owner)
    assert hidden["title"] == "" and hidden["revisions"] == []


async def test_a_bounty_that_is_won_back_lets_the_contest_go_on(house: House) -> None:
    show = await Show.with_entries(house, 1)
    before = (await show.deadlines())["entries"]["due_at"]
    dispute = await opened(house, paid(show))
    await paused(show)
    late = stranger("creator")
    body = {"title": "Late", "file_ids": [await show.file(late)]}
    await refused(await show.tries("entries", by=late, **body), 409, "wrong_phase", "phase")
    await decided(house, dispute, won=True)

    async def goes_on() -> bool:
        return bool((await show.deadlines())["entries"]["due_at"] > before)

    await eventually(goes_on)
    await show.enter(late)
    await show.follows("open")
    await show.entries_close()
    await show.until("choosing")
    await show.announce(late)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(late)
    await show.act("accept")
    await show.ended("completed")
    assert in_dispute(house, paid(show)) == 0


async def test_after_the_release_the_owner_owes_it(house: House) -> None:
    show = await Show.reviewing(house, 1)
    winner = show.creators[0]
    await show.act("accept")
    await show.ended("completed")
    dispute = await opened(house, paid(show))
    await decided(house, dispute, won=False)
    await show.ended("completed")
    assert balance(house, "receivable", await show.user_id(show.owner)) == BOUNTY
    assert await house.payable(winner) == 90_000


async def test_a_guaranteed_bounty_that_is_lost_in_part_is_shared_as_far_as_it_goes(
    house: House,
) -> None:
    show = await Show.choosing(house, 3)
    dispute = await opened(house, paid(show), 40_000)
    await paused(show)
    await decided(house, dispute, won=False)
    await show.ended("charged_back")
    assert [await house.payable(creator) for creator in show.creators] == [18_000] * 3
