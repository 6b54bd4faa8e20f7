"""Contests of people who count as one, and of people whose accounts are frozen."""

from __future__ import annotations

import json
from typing import Any

from tests.stories.contest_checks import (
    ADMIN,
    freeze,
    on_entry,
    refuses_with,
    same_bank,
    same_person,
    traces,
    try_enter,
)
from tests.stories.contests import BOUNTY, Show, funded, released, sent_back, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json
from tests.waiting import eventually

HURRIED: dict[str, Any] = {"windows": {"choose_seconds": DAY}}
"""Rules by which a silent owner is not reminded first."""


async def refusals_of(show: Show) -> list[tuple[str, str, str]]:
    """(action, user id, tie) of every refusal that operators see on the contest, oldest first."""
    found = await show.house.call(
        "GET", "/v1/self-dealing-refusals", by=ADMIN, params={"path_id": show.id}
    )
    assert found.status_code == 200, found.text
    return [(each["action"], each["user_id"], each["tie"]) for each in found.json()["items"]][::-1]


async def test_nobody_enters_a_contest_of_their_own(house: House) -> None:
    show = await Show.opened(house)
    twin, roommate = stranger("twin"), stranger("roommate")
    await same_person(house, show.owner, twin)
    await same_bank(house, show.owner, roommate)
    owner_id = await show.user_id(show.owner)
    for barred in (show.owner, twin, roommate):
        file_ids = [await show.file(barred)]
        before = traces(show)
        answer = await try_enter(show, barred, file_ids=file_ids)
        problem = await refused(answer, 403, "self_dealing")
        assert owner_id not in json.dumps(problem), "who it is, operators see"
        assert traces(show) == before
    assert await refusals_of(show) == [
        ("contest.enter", owner_id, "same_person"),
        ("contest.enter", await show.user_id(twin), "same_identity"),
        ("contest.enter", await show.user_id(roommate), "same_destination"),
    ]
    for curious in (show.owner, twin):
        answer = await house.call(
            "GET", "/v1/self-dealing-refusals", by=curious, params={"path_id": show.id}
        )
        assert answer.status_code == 403
    await show.enter(stranger("creator"))


async def test_a_creator_who_turns_out_to_be_the_owner_is_not_chosen(house: House) -> None:
    show = await Show.choosing(house, 3, **HURRIED)
    kin, second, third = show.creators
    await show.shortlist(kin, second)
    await same_person(house, show.owner, kin)
    ids = {creator: entry["id"] for creator, entry in show.entries.items()}
    for awards, runners_up in (([kin], []), ([second], [third, kin])):
        await refuses_with(
            show,
            "announce",
            (403, "self_dealing", None),
            awards=[{"entry_id": ids[each]} for each in awards],
            runners_up=[ids[each] for each in runners_up],
        )
    assert (
        await refusals_of(show)
        == [("contest.decide", await show.user_id(show.owner), "same_identity")] * 2
    )
    # Two are shortlisted, but one of them does not count: the other wins by the owner's silence.
    await show.let_pass(DAY)
    now = await show.until("announced")
    assert now["prizes"][0]["entry_id"] == ids[second]
    assert now["ballot_id"] is None


async def test_the_silence_of_an_owner_does_not_pay_the_owner(house: House) -> None:
    show = await Show.choosing(house, 2, **HURRIED)
    kin, other = show.creators
    await same_bank(house, show.owner, kin)
    await show.let_pass(DAY)
    await show.ended("split")
    assert await show.postings() == funded() + released("creator2", 90_000, 10_000)
    assert (await house.payable(kin), await house.payable(other)) == (0, 90_000)


async def test_when_only_the_owner_has_entered_the_bounty_goes_back(house: House) -> None:
    show = await Show.choosing(house, 1, **HURRIED)
    await same_person(house, show.owner, *show.creators)
    await show.let_pass(DAY)
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back(BOUNTY)


async def test_a_lost_prize_does_not_go_on_to_the_owner(house: House) -> None:
    show = await Show.choosing(house, 3)
    winner, kin, third = show.creators
    await show.announce(winner, runners_up=(kin, third))
    await same_person(house, show.owner, kin)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.let_pass(10 * DAY)

    async def passed_on() -> bool:
        prize = (await show.seen())["prizes"][0]
        return bool(prize["entry_id"] == show.entries[third]["id"])

    await eventually(passed_on)
    await show.hand_over(third)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator3", 90_000, 10_000)


async def test_a_frozen_owner_decides_nothing_and_the_contest_runs_on(house: House) -> None:
    show = await Show.choosing(house, 2, **HURRIED)
    first, second = show.creators
    await freeze(show, show.owner)
    await freeze(show, second)
    entry_id = show.entries[first]["id"]
    for verb, body in (
        ("announce", {"awards": [{"entry_id": entry_id}]}),
        ("shortlist", {"entry_ids": [entry_id]}),
        ("eliminate", {"entry_ids": [entry_id], "reason": "taste"}),
        ("finalists", {"entry_ids": [entry_id]}),
        ("extend", {"amount": BOUNTY}),
        ("take-back", {}),
        ("request-revision", {}),
        ("objections", {"entry_id": entry_id, "ground": "copied", "words": "Seen elsewhere."}),
    ):
        await refuses_with(show, verb, (403, "account_frozen", None), **body)
    draft = {"title": "Another", "bounty": {"amount": 1_000, "currency": "CNY"}}
    answer = await house.call("POST", "/v1/contests", by=show.owner, json=draft)
    await refused(answer, 403, "account_frozen")
    assert (await show.seen())["phase"] == "choosing"
    await show.let_pass(DAY)
    await show.ended("split")
    assert await show.postings() == [
        *funded(),
        f"release: debit escrow:contest {BOUNTY}",
        "release: credit payable:creator1 45000",
        "release: credit held:creator2 45000",
        "release: credit fee:platform 10000",
    ]


async def test_what_was_delivered_to_a_frozen_owner_counts_as_accepted(house: House) -> None:
    show = await Show.handing_over(house)
    winner = show.creators[0]
    await freeze(show, show.owner)
    await show.hand_over(winner)
    await refuses_with(show, "request-revision", (403, "account_frozen", None))
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    assert await house.payable(winner) == 90_000


async def test_a_frozen_owner_may_still_pay_the_winner(house: House) -> None:
    show = await Show.reviewing(house)
    await freeze(show, show.owner)
    await show.act("accept")
    await show.ended("completed")
    assert await house.payable(show.creators[0]) == 90_000


async def test_a_frozen_owner_does_not_fund_a_draft(house: House) -> None:
    show = await Show.drafted(house)
    await freeze(show, show.owner)
    sha = show.contest["licence"]["sha256"]
    await refuses_with(show, "fund", (403, "account_frozen", None), licence_sha256=sha)
    await freeze(show, show.owner, "unfreeze")
    await show.act("fund", licence_sha256=sha)


async def test_a_frozen_creator_hands_in_nothing_but_may_withdraw(house: House) -> None:
    show = await Show.with_entries(house, 1)
    [creator] = show.creators
    work: Json = {"title": "Again", "file_ids": [await show.file(creator)]}
    await freeze(show, creator)
    before = traces(show)
    await refused(await try_enter(show, creator, **work), 403, "account_frozen")
    answer = await on_entry(show, "revisions", creator, by=creator, **work)
    await refused(answer, 403, "account_frozen")
    assert traces(show) == before
    answer = await on_entry(show, "withdraw", creator, by=creator)
    assert answer.json()["status"] == "withdrawn"
    await freeze(show, creator, "unfreeze")
    assert (await try_enter(show, creator, **work)).status_code == 201


async def test_the_prize_of_a_frozen_winner_is_held_until_they_are_cleared(house: House) -> None:
    show = await Show.handing_over(house)
    winner = show.creators[0]
    work = [await show.file(winner)]
    await freeze(show, winner)
    sha = show.contest["licence"]["sha256"]
    await show.act("hand-over", by=winner, licence_sha256=sha, file_ids=work)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        f"release: debit escrow:contest {BOUNTY}",
        "release: credit held:creator1 90000",
        "release: credit fee:platform 10000",
    ]
    assert await house.payable(winner) == 0
    await freeze(show, winner, "unfreeze")
    assert await house.payable(winner) == 90_000
    await house.assert_at_zero(show.contest)
