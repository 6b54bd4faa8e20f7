"""The contest that goes well: from the draft to the winner's balance."""

from __future__ import annotations

from tests.stories.contests import BOUNTY, Show, funded, released, sent_back, stranger
from tests.stories.house import DAY, House


async def test_from_the_draft_to_the_winners_balance(house: House) -> None:
    show = await Show.funding(house)
    assert show.contest["phase"] == "funding"
    assert show.contest["payment"]["checkout_url"]
    await show.pay()
    await show.until("open")
    first, second = stranger("creator"), stranger("creator")
    await show.enter(first)
    await show.enter(second)
    await show.entries_close()
    await show.until("choosing")
    await show.announce(second)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(second)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator2", 90_000, 10_000)
    assert await house.payable(second) == 90_000
    assert await house.payable(first) == 0
    assert await show.timeline() == [
        "drafted by initiator",
        "funding_asked by initiator",
        "funded by provider",
        "entries_closed by system",
        "announced by initiator",
        "notice_passed by system",
        "handed_over by creator",
        "accepted by initiator",
    ]
    assert show.contest["end_reason"] == "awarded"


async def test_without_entries_everything_goes_back(house: House) -> None:
    show = await Show.opened(house)
    await show.entries_close()
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back(BOUNTY)
    assert show.contest["end_reason"] == "no_entries"
