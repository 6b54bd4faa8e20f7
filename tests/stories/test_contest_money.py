"""How a contest's bounty comes, does not come, comes late, and grows."""

from __future__ import annotations

from tests.stories.contests import BOUNTY, Show, funded, released, sent_back, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House
from tests.waiting import eventually

MINUTE = 60


async def test_a_bounty_that_nobody_pays_expires(house: House) -> None:
    show = await Show.funding(house)
    assert list(await show.deadlines()) == ["payment"]
    await house.let_pass(show.contest, 15 * MINUTE, workflow="payment")
    await show.ended("expired")
    assert await show.postings() == []
    assert show.contest["end_reason"] == "not_funded"


async def test_a_bank_transfer_may_take_three_days(house: House) -> None:
    show = await Show.funding(house, pay_by="bank_transfer")
    await house.let_pass(show.contest, 2 * DAY, workflow="payment")
    await show.pay()
    await show.until("open")
    await show.follows("open")
    # The payment's clock was ahead by two days when the money came, and the window counts from there.
    await show.let_pass(9 * DAY + 60)
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back()


async def test_the_owner_gives_up_before_paying(house: House) -> None:
    show = await Show.funding(house)
    await show.act("cancel", note="Changed my mind")
    await show.ended("expired")
    assert await show.timeline() == [
        "drafted by initiator",
        "funding_asked by initiator",
        "not_funded by initiator",
    ]


async def test_a_draft_is_changed_and_withdrawn(house: House) -> None:
    show = await Show.drafted(house)
    body = {"title": "A sign", "bounty": {"amount": 5_000, "currency": "JPY"}}
    answer = await house.call("PUT", show.path, by=show.owner, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["bounty"]["text"] == "JPY 5,000"
    await show.act("cancel")
    assert (await show.seen())["phase"] == "expired"
    await house.assert_at_zero(show.contest)
    sha = show.contest["licence"]["sha256"]
    await refused(await show.tries("fund", licence_sha256=sha), 409, "wrong_phase", "phase")


async def test_money_that_comes_after_the_end_goes_back(house: House) -> None:
    show = await Show.funding(house)
    payment = show.contest["payment"]
    await house.misbehave("payment", "late_capture", subject=payment["id"])
    await house.let_pass(show.contest, 15 * MINUTE, workflow="payment")
    await show.until("expired")
    await house.pay({"payment": payment})
    await eventually(lambda: house.sql("SELECT 1 FROM refunds WHERE path_id = %s", show.id))
    await show.ended("expired")
    assert await show.postings() == funded() + sent_back()


async def test_more_bounty_gives_more_time(house: House) -> None:
    show = await Show.opened(house, prizes=[70_000, 30_000])
    before = (await show.seen())["entries_close_at"]
    await refused(await show.tries("extend", amount=9_999), 422, "amount_out_of_range", "amount")
    await show.act("extend", amount=10_001)
    assert show.contest["payment"]["purpose"] == "extension"
    await show.pay()

    async def longer() -> bool:
        return bool((await show.seen())["entries_close_at"] != before)

    await eventually(longer)
    now = await show.seen()
    assert [prize["amount"]["amount"] for prize in now["prizes"]] == [77_001, 33_000]
    assert now["extensions_left"] == 1
    creator = stranger("creator")
    await show.enter(creator)
    await show.entries_close()
    await show.follows("open")
    await show.let_pass(2 * DAY)
    await show.until("choosing")
    await show.announce(creator)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(creator)
    await show.act("accept")
    # The second prize has no entry left: the owner is asked again, stays silent, and gets it back.
    await show.until("choosing")
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    lines = await show.postings()
    assert lines[:4] == funded() + funded(10_001)
    assert lines[4:7] == released("creator1", 69_301, 7_700)
    # The newest payment is sent back first, the rest through the one before.
    assert sorted(lines[7:]) == sorted(sent_back(10_001) + sent_back(22_999))


def pending(show: Show) -> list[str]:
    """What happened to the contest, read past the API."""
    rows = show.house.sql("SELECT kind, actor FROM events WHERE path_id = %s", show.id)
    return [f"{kind} by {actor}" for kind, actor in rows]


async def test_an_extension_that_is_paid_too_late_goes_back(house: House) -> None:
    show = await Show.with_entries(house, 1)
    await show.act("extend", amount=20_000)
    payment = show.contest["payment"]
    await house.misbehave("payment", "late_capture", subject=payment["id"])
    await house.let_pass(show.contest, 15 * MINUTE, workflow="payment")
    await eventually(lambda: "extension_not_paid by system" in pending(show))
    await show.entries_close()
    await show.until("choosing")
    await house.pay({"payment": payment})
    await eventually(lambda: house.sql("SELECT 1 FROM refunds WHERE path_id = %s", show.id))
    assert (await show.seen())["bounty"]["amount"] == BOUNTY
    await show.announce(show.creators[0])
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(show.creators[0])
    await show.act("accept")
    await show.ended("completed")


async def test_only_two_extensions(house: House) -> None:
    show = await Show.with_entries(house, 1)
    for left in (1, 0):
        await show.act("extend", amount=10_000)
        await show.pay()

        async def counted(left: int = left) -> bool:
            return bool((await show.seen())["extensions_left"] == left)

        await eventually(counted)
    await refused(await show.tries("extend", amount=10_000), 409, "limit_reached")
    await show.house.workflow(show.story).cancel()
    await show.ended("cancelled")


async def test_an_operator_who_cancels_an_open_contest_refunds_it(house: House) -> None:
    show = await Show.with_entries(house, 2)
    await house.workflow(show.story).cancel()
    await show.ended("cancelled")
    assert await show.postings() == funded() + sent_back()
    hidden = await show.entry(show.creators[0], by=show.owner)
    assert hidden["title"] == "" and hidden["revisions"] == []
