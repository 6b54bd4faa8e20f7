"""An owner who stays silent: the contest decides by itself, and everybody knew before how."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stories.contests import BOUNTY, GRACE, Show, funded, released, sent_back, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json
from tests.waiting import eventually

BRIEF = 6 * DAY
"""A time to choose without reminders: each timer that fires costs a test a second."""
FINAL_ROUND = 3 * DAY + GRACE
SEVEN = [12_858, *[12_857] * 6]
"""The worked example: 100,000, commission 10 %, seven people."""


def shared(*parts: int, fee: int) -> list[str]:
    """What a split posts: the earliest creator first, nothing for who gets nothing."""
    return [
        f"release: debit escrow:contest {sum(parts) + fee}",
        *[f"release: credit payable:creator{n} {part}" for n, part in enumerate(parts, 1) if part],
        *([f"release: credit fee:platform {fee}"] if fee else []),
    ]


async def eliminated(show: Show, *creators: str) -> None:
    """The owner puts first entries of these creators aside."""
    body: Json = {"entry_ids": [show.entries[c]["id"] for c in creators], "reason": "taste"}
    await show.house.post(f"{show.path}/eliminate", body, by=show.owner)


async def withdrawn(show: Show, *creators: str) -> None:
    """These creators take their first entries out."""
    for creator in creators:
        entry = show.entries[creator]["id"]
        await show.house.post(f"{show.path}/entries/{entry}/withdraw", by=creator)


async def choosing(house: House, count: int, **changes: Any) -> Show:
    """A contest whose owner has six days to choose among so many entries."""
    return await Show.choosing(house, count, windows={"choose_seconds": BRIEF}, **changes)


async def silence(show: Show) -> None:
    """The owner lets those six days pass."""
    await show.let_pass(BRIEF)


async def test_the_only_shortlisted_entry_wins(house: House) -> None:
    show = await Show.choosing(house, 3, guaranteed=False)
    second = show.creators[1]
    await show.shortlist(second)
    receipt = (await show.deadlines())["choice"]
    assert "as things stand one entry wins" in receipt["outcome"]
    await show.let_pass(14 * DAY)
    announced = await show.until("announced")
    assert announced["prizes"][0]["entry_id"] == show.entries[second]["id"]
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(second)
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator2", 90_000, 10_000)
    assert await show.timeline() == [
        "drafted by initiator",
        "funding_asked by initiator",
        "funded by provider",
        "entries_closed by system",
        "nudged by system",
        "nudged by system",
        "nudged by system",
        "choosing_lapsed by system",
        "notice_passed by system",
        "handed_over by creator",
        "acceptance_lapsed by system",
    ]
    assert (await house.workflow(show.story).describe()).history_length < 150


async def test_a_guaranteed_bounty_is_shared_by_the_qualified(house: House) -> None:
    show = await choosing(house, 7)
    receipt = (await show.deadlines())["choice"]
    assert "7 creators share CNY 1,000.00" in receipt["outcome"]
    assert [(line["side"], line["amount"]["amount"]) for line in receipt["postings"]] == [
        ("debit", BOUNTY),
        *[("credit", part) for part in SEVEN],
        ("credit", 10_000),
    ]
    await silence(show)
    await show.ended("split")
    assert await show.postings() == funded() + shared(*SEVEN, fee=10_000)
    assert [await house.payable(creator) for creator in show.creators] == SEVEN
    assert show.contest["end_reason"] == "split"
    assert show.contest["prizes"][0]["state"] == "shared"
    described = await house.workflow(show.story).describe()
    assert described.history_length < 150


async def test_a_guaranteed_bounty_is_shared_by_the_finalists(house: House) -> None:
    """The worked example."""
    show = await Show.with_entries(
        house, 9, rounds=2, max_finalists=7, windows={"choose_seconds": BRIEF}
    )
    others, finalists = show.creators[:2], show.creators[2:]
    await show.entries_close()
    await show.until("picking")
    await show.follows("picking")
    await show.act("finalists", entry_ids=[show.entries[c]["id"] for c in finalists])
    await show.let_pass(3 * DAY + 60 + BRIEF)
    await show.ended("split")
    assert await show.postings() == [
        *funded(),
        "release: debit escrow:contest 100000",
        "release: credit payable:creator3 12858",
        *[f"release: credit payable:creator{number} 12857" for number in range(4, 10)],
        "release: credit fee:platform 10000",
    ]
    assert [await house.payable(creator) for creator in finalists] == SEVEN
    assert [await house.payable(creator) for creator in others] == [0, 0]


async def test_each_creator_shares_once(house: House) -> None:
    show = await Show.with_entries(house, 1, windows={"choose_seconds": BRIEF})
    [first] = show.creators
    await show.enter(first)
    await show.enter(stranger("creator"))
    await show.entries_close()
    await show.until("choosing")
    await silence(show)
    await show.ended("split")
    assert await show.postings() == funded() + shared(45_000, 45_000, fee=10_000)


async def test_a_refundable_bounty_goes_back_and_hides_all_entries(house: House) -> None:
    show = await choosing(house, 2, guaranteed=False)
    first = show.creators[0]
    seen = await show.entry(first, by=show.owner)
    [file] = seen["revisions"][0]["files"]
    content = f"/v1/files/{file['id']}/content"
    assert (await house.call("GET", content, by=show.owner)).status_code == 200
    assert (await show.deadlines())["choice"]["outcome"].endswith(
        "as things stand CNY 1,000.00 goes back to the owner."
    )
    await silence(show)
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back()
    assert (show.contest["end_reason"], show.contest["prizes"][0]["state"]) == (
        "not_chosen",
        "refunded",
    )
    await assert_hidden(show, first, content)


async def assert_hidden(show: Show, creator: str, content: str) -> None:
    """The owner sees nothing of an entry any more, its creator everything."""
    hidden = await show.entry(creator, by=show.owner)
    assert (hidden["revisions"], hidden["title"]) == ([], "")
    await refused(await show.house.call("GET", content, by=show.owner), 404, "not_found")
    listed = await show.house.get(f"{show.path}/entries", show.owner)
    assert [each["revisions"] for each in listed["items"]] == [[]] * len(show.entries)
    own = await show.entry(creator)
    assert own["revisions"][0]["files"]
    assert (await show.house.call("GET", content, by=creator)).status_code == 200


async def test_putting_everybody_aside_is_no_way_around_the_guarantee(house: House) -> None:
    show = await choosing(house, 2)
    await eliminated(show, *show.creators)
    assert "2 creators share" in (await show.deadlines())["choice"]["outcome"]
    await silence(show)
    await show.ended("split")
    assert await show.postings() == funded() + shared(45_000, 45_000, fee=10_000)


async def test_what_was_put_aside_does_not_share_with_the_others(house: House) -> None:
    show = await choosing(house, 3)
    await eliminated(show, show.creators[1])
    await withdrawn(show, show.creators[2])
    await silence(show)
    await show.ended("split")
    assert await show.postings() == funded() + shared(90_000, fee=10_000)


async def test_all_withdraw_while_the_owner_chooses(house: House) -> None:
    show = await choosing(house, 2)
    await show.shortlist(show.creators[0])
    await withdrawn(show, *show.creators)
    assert "goes back to the owner" in (await show.deadlines())["choice"]["outcome"]
    await silence(show)
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back()


async def test_all_withdraw_before_entries_close(house: House) -> None:
    show = await Show.with_entries(house, 2)
    await withdrawn(show, *show.creators)
    await show.entries_close()
    await show.ended("refunded")
    assert show.contest["end_reason"] == "no_entries"


async def test_a_refundable_bounty_is_guaranteed_once_the_final_round_has_begun(
    house: House,
) -> None:
    show = await Show.with_entries(
        house, 2, rounds=2, guaranteed=False, windows={"choose_seconds": BRIEF}
    )
    await show.entries_close()
    assert (await show.until("picking"))["guaranteed"] is False
    await show.act("finalists", entry_ids=[show.entries[show.creators[1]]["id"]])
    assert (show.contest["guaranteed"], show.contest["refundable_until"]) == (True, None)
    await show.let_pass(3 * DAY + 60)
    await show.until("choosing")
    await refused(await show.tries("take-back"), 409, "wrong_phase", "guaranteed")
    await silence(show)
    await show.ended("split")
    assert await show.postings() == funded() + released("creator2", 90_000, 10_000)


async def test_the_owner_is_reminded_three_times(house: House) -> None:
    show = await Show.choosing(house, 1)
    for days, reminders in ((7, 1), (4, 2), (2, 3)):
        timers = await show.deadlines()
        assert timers["reminder"]["due_at"] < timers["choice"]["due_at"]
        await show.let_pass(days * DAY)

        async def reminded(times: int = reminders) -> bool:
            return (await show.timeline()).count("nudged by system") == times

        await eventually(reminded)
    assert list(await show.deadlines()) == ["choice"]
    assert (await show.seen())["phase"] == "choosing"
    await show.announce(show.creators[0])
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(show.creators[0])
    await show.act("accept")
    await show.ended("completed")


# The owner of a refundable contest takes the bounty back.


async def test_the_owner_takes_a_refundable_bounty_back(house: House) -> None:
    show = await choosing(house, 2, guaranteed=False)
    first = show.creators[0]
    [file] = (await show.entry(first, by=show.owner))["revisions"][0]["files"]
    assert show.contest["refundable_until"] is not None
    await show.act("take-back", note="Nothing fits")
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back()
    assert show.contest["end_reason"] == "taken_back"
    await assert_hidden(show, first, f"/v1/files/{file['id']}/content")
    assert (await show.timeline())[4:] == ["taken_back by initiator", "refund_arrived by provider"]
    await refused(await show.tries("take-back"), 409, "wrong_phase", "phase")


async def test_a_bounty_is_taken_back_before_finalists_are_picked(house: House) -> None:
    show = await Show.with_entries(house, 1, rounds=2, guaranteed=False)
    await refused(await show.tries("take-back"), 409, "wrong_phase", "phase")
    await show.entries_close()
    await show.until("picking")
    await show.follows("picking")
    await show.act("take-back")
    await show.ended("refunded")


async def test_a_guaranteed_bounty_is_not_taken_back(house: House) -> None:
    show = await choosing(house, 1)
    await refused(await show.tries("take-back"), 409, "wrong_phase", "guaranteed")
    await refused(await show.tries("take-back", by=show.creators[0]), 403, "forbidden")
    assert (await show.seen())["phase"] == "choosing"
    await silence(show)
    await show.ended("split")


async def test_a_bounty_is_not_taken_back_while_somebody_is_shortlisted(house: House) -> None:
    show = await choosing(house, 1, guaranteed=False)
    await show.shortlist(show.creators[0])
    await refused(await show.tries("take-back"), 409, "wrong_phase", "entries")
    ids = [show.entries[show.creators[0]]["id"]]
    off: Json = {"entry_ids": ids, "shortlisted": False}
    await house.post(f"{show.path}/shortlist", off, by=show.owner)
    await show.act("take-back")
    await show.ended("refunded")


async def test_a_bounty_is_not_taken_back_after_sixty_days(house: House) -> None:
    show = await choosing(house, 1, guaranteed=False)
    house.sql(
        "UPDATE contests SET state = jsonb_set(state, '{funded_at}',"
        " to_jsonb((state->>'funded_at')::timestamptz - interval '60 days')) WHERE id = %s",
        show.id,
    )
    await refused(await show.tries("take-back"), 409, "too_late")
    assert (await show.seen())["phase"] == "choosing"
    await silence(show)
    await show.ended("refunded")


# Small money, and several prizes.


async def test_a_bounty_without_decimals_is_shared_to_the_last_yen(house: House) -> None:
    show = await choosing(house, 3, bounty={"amount": 101, "currency": "JPY"})
    await silence(show)
    await show.ended("split")
    assert await show.postings() == funded(101) + shared(31, 30, 30, fee=10)
    assert [await house.payable(c, "JPY") for c in show.creators] == [31, 30, 30]


async def test_when_there_is_too_little_for_all_the_earliest_get_it(house: House) -> None:
    show = await choosing(house, 7, bounty={"amount": 3, "currency": "CNY"})
    await silence(show)
    await show.ended("split")
    assert await show.postings() == funded(3) + shared(1, 1, 1, 0, 0, 0, 0, fee=0)
    assert [await house.payable(c) for c in show.creators] == [1, 1, 1, 0, 0, 0, 0]


async def first_prize_paid(show: Show) -> None:
    """The silent owner's one shortlisted entry wins the first of two prizes and is paid."""
    winner = show.creators[0]
    await show.shortlist(winner)
    await silence(show)
    announced = await show.until("announced")
    assert [each["entry_id"] for each in announced["prizes"]] == [show.entries[winner]["id"], None]
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(winner)
    await show.let_pass(7 * DAY)
    choosing = await show.until("choosing")
    assert [each["state"] for each in choosing["prizes"]] == ["released", "open"]


async def test_the_second_of_two_prizes_is_shared_by_the_others(house: House) -> None:
    show = await choosing(house, 3, prizes=[70_000, 30_000])
    await first_prize_paid(show)
    assert list(await show.deadlines()) == ["choice"], "a new choice has seven days"
    await refused(await show.tries("take-back"), 409, "wrong_phase", "guaranteed")
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        *released("creator1", 63_000, 7_000),
        "release: debit escrow:contest 30000",
        "release: credit payable:creator2 13500",
        "release: credit payable:creator3 13500",
        "release: credit fee:platform 3000",
    ]
    assert [each["state"] for each in show.contest["prizes"]] == ["released", "shared"]


@pytest.mark.parametrize("guaranteed", [True, False])
async def test_the_second_of_two_prizes_goes_back(house: House, guaranteed: bool) -> None:
    """Nobody else is there, or the bounty is refundable; the award of the first prize stands."""
    count = 1 if guaranteed else 2
    show = await choosing(house, count, prizes=[70_000, 30_000], guaranteed=guaranteed)
    await first_prize_paid(show)
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        *released("creator1", 63_000, 7_000),
        *sent_back(30_000),
    ]
    assert await show.entry(show.creators[0], by=show.owner) == await show.entry(show.creators[0])
    completed = house.sql("SELECT state->>'completed_at' FROM contests WHERE id = %s", show.id)
    assert completed[0][0] is not None, "an award can still be taken back"
