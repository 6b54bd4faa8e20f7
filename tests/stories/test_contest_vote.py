"""The crowd decides for an owner who shortlisted several entries and then stayed silent."""

from __future__ import annotations

from tests.stories.contests import Show, funded, released, sent_back, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json
from tests.stories.polls import Poll, people, user_id
from tests.waiting import eventually

BRIEF = 6 * DAY
"""A time to choose without reminders: each timer that fires costs a test a second."""


async def voting(house: House, entries: int, **changes: object) -> tuple[Show, Poll]:
    """A contest whose owner shortlisted all entries and named none; and the ballot that decides."""
    show = await Show.choosing(house, entries, windows={"choose_seconds": BRIEF}, **changes)
    await show.shortlist(*show.creators)
    await show.run_out()
    await show.until("voting")
    poll = Poll(house, show.owner, str(show.contest["ballot_id"]))
    await poll.until("open")
    return show, poll


async def grown_up(house: House, number: int) -> list[str]:
    """People who signed in for the first time long ago."""
    voters = people(number)
    for voter in voters:
        house.sql(
            "UPDATE users SET created_at = created_at - interval '3 days' WHERE id = %s",
            await user_id(house, voter),
        )
    return voters


async def vote(show: Show, poll: Poll, *choices: str) -> list[str]:
    """Somebody for each choice names the entries of these creators: `0`, or `01` for the first two."""
    voters = await grown_up(show.house, len(choices))
    for voter, choice in zip(voters, choices, strict=True):
        await poll.vote(voter, [ids(show)[int(place)] for place in choice])
    return voters


def ids(show: Show) -> list[str]:
    """The entries in the order of arrival."""
    return [show.entries[creator]["id"] for creator in show.creators]


async def decided(show: Show, poll: Poll) -> Json:
    """The votes are counted, nobody contests them, and the winner is announced."""
    await poll.end_voting()
    await poll.until("notice")
    await poll.end_notice()
    return await show.until("announced")


async def voided(poll: Poll, *voters: str) -> None:
    """Operators find that these votes were bought."""
    answer = await poll.void(voter_ids=[await user_id(poll.house, each) for each in voters])
    assert answer.status_code == 200, answer.text


async def holder(show: Show) -> str | None:
    """The entry that has the first prize."""
    found: str | None = (await show.seen())["prizes"][0]["entry_id"]
    return found


async def handed_over(show: Show, winner: str) -> None:
    """Public notice passes, the winner hands over and the owner accepts."""
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(winner)
    await show.act("accept")


async def test_the_crowd_chooses_and_the_winner_is_paid(house: House) -> None:
    show, poll = await voting(house, 3)
    receipt = (await show.deadlines())["vote"]
    assert (receipt["stopped_by"], receipt["postings"]) == (["crowd: vote"], [])
    seen = await house.get(f"/v1/ballots/{poll.id}", by="passer-by")
    assert [each["id"] for each in seen["options"]] == ids(show)
    await vote(show, poll, "2", "12", "0", "2")
    announced = await decided(show, poll)
    assert announced["prizes"][0]["entry_id"] == ids(show)[2]
    third = show.creators[2]
    await handed_over(show, third)
    await show.ended("completed")
    await poll.assert_closed()
    assert await show.postings() == funded() + released("creator3", 90_000, 10_000)
    assert (await show.timeline())[-5:] == [
        "choosing_lapsed by system",
        "voted by system",
        "notice_passed by system",
        "handed_over by creator",
        "accepted by initiator",
    ]


async def test_nobody_votes_and_the_shortlisted_share(house: House) -> None:
    """Also those of a refundable contest: whom the owner shortlisted has a claim."""
    show = await Show.choosing(house, 3, windows={"choose_seconds": BRIEF}, guaranteed=False)
    await show.shortlist(*show.creators[:2])
    await show.run_out()
    await show.until("voting")
    poll = Poll(house, show.owner, str(show.contest["ballot_id"]))
    await poll.until("open")
    await poll.end_voting()
    await eventually(lambda: poll.sql("SELECT 1 FROM ballots WHERE id = %s AND extended"))
    assert (await show.seen())["phase"] == "voting"
    await poll.end_voting(DAY)
    await show.ended("split")
    await poll.assert_closed()
    assert await show.postings() == [
        *funded(),
        "release: debit escrow:contest 100000",
        "release: credit payable:creator1 45000",
        "release: credit payable:creator2 45000",
        "release: credit fee:platform 10000",
    ]


async def test_votes_voided_on_notice_change_the_winner_and_a_tie_goes_to_the_earliest(
    house: House,
) -> None:
    show, poll = await voting(house, 2)
    cheat, _, _ = await vote(show, poll, "1", "1", "0")
    await poll.end_voting()
    assert (await poll.until("notice"))["winner"] == ids(show)[1]
    await voided(poll, cheat)
    assert (await poll.until("notice"))["winner"] == ids(show)[0]
    assert (await show.seen())["phase"] == "voting"
    await poll.end_notice()
    announced = await show.until("announced")
    assert announced["prizes"][0]["entry_id"] == ids(show)[0]
    await handed_over(show, show.creators[0])
    await show.ended("completed")


async def test_a_count_after_the_end_announces_anew_while_nothing_is_paid(house: House) -> None:
    show, poll = await voting(house, 2)
    cheats = await vote(show, poll, "1", "1")
    await vote(show, poll, "0")
    await decided(show, poll)
    assert await holder(show) == ids(show)[1]
    await show.let_pass(DAY)
    before = (await show.deadlines())["notice"]["due_at"]
    await voided(poll, *cheats)

    async def anew() -> bool:
        return await holder(show) == ids(show)[0]

    await eventually(anew)
    assert (await show.seen())["phase"] == "announced"
    assert (await show.deadlines())["notice"]["due_at"] > before, "everybody may object anew"
    await handed_over(show, show.creators[0])
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator1", 90_000, 10_000)
    assert "recounted by system" in await show.timeline()


async def test_a_count_that_changes_no_winner_leaves_the_hand_over_alone(house: House) -> None:
    show, poll = await voting(house, 3)
    firsts = await vote(show, poll, "0", "0", "0")
    seconds = await vote(show, poll, "1", "1")
    await vote(show, poll, "2")
    await decided(show, poll)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(show.creators[0])
    due = (await show.deadlines())["acceptance"]["due_at"]

    await voided(poll, *seconds)
    await counted_again(show, 1)
    assert (await show.seen())["prizes"][0]["state"] == "review"
    assert (await show.deadlines())["acceptance"]["due_at"] == due

    # Now nobody is left who wanted the winner: the prize goes to somebody else, whom everybody may object to.
    await voided(poll, *firsts)
    await counted_again(show, 2)
    assert (await show.until("announced"))["prizes"][0]["entry_id"] == ids(show)[2]
    await handed_over(show, show.creators[2])
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator3", 90_000, 10_000)


async def counted_again(show: Show, times: int) -> None:
    """The contest has heard so many new counts."""

    async def heard() -> bool:
        return (await show.timeline()).count("recounted by system") == times

    await eventually(heard)


async def test_a_winner_who_wins_again_hands_over_again(house: House) -> None:
    show, poll = await voting(house, 2)
    firsts = await vote(show, poll, "0", "0", "0")
    seconds = await vote(show, poll, "1", "1")
    await decided(show, poll)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(show.creators[0])
    await voided(poll, *firsts[:2])
    await counted_again(show, 1)
    assert await holder(show) == ids(show)[1]
    await voided(poll, *seconds)
    await counted_again(show, 2)
    assert await holder(show) == ids(show)[0]
    await handed_over(show, show.creators[0])
    await show.ended("completed")
    given = await house.get(f"{show.path}/hand-overs", show.owner)
    assert [each["number"] for each in given["hand_overs"]] == [1, 2]


async def test_a_count_after_the_money_was_paid_changes_nothing(house: House) -> None:
    show, poll = await voting(house, 2)
    cheats = await vote(show, poll, "1")
    await decided(show, poll)
    await handed_over(show, show.creators[1])
    await show.ended("completed")
    await voided(poll, *cheats)
    assert (await show.seen())["phase"] == "completed"
    await show.ended("completed")


async def test_without_any_vote_that_counts_there_is_no_decision_any_more(house: House) -> None:
    show, poll = await voting(house, 2)
    cheats = await vote(show, poll, "1", "1")
    await decided(show, poll)
    await voided(poll, *cheats)
    await show.ended("split")
    assert await house.payable(show.creators[1]) == 45_000
    assert (await show.timeline())[-1] == "recounted by system"


async def test_what_the_owner_chose_after_an_objection_outlives_a_new_count(house: House) -> None:
    show, poll = await voting(house, 3)
    await vote(show, poll, "2")
    cheats = await vote(show, poll, "1")
    await vote(show, poll, "2")
    await decided(show, poll)
    objection: Json = {"entry_id": ids(show)[2], "ground": "copied", "words": "Seen in a book."}
    made = await house.post(f"{show.path}/objections", objection, by=stranger("reader"))
    ruling: Json = {"upheld": True, "reason": "It is in the book."}
    await house.post(f"{show.path}/objections/{made['id']}/rule", ruling, by="admin")
    await show.until("choosing")
    timers = await show.deadlines()
    assert list(timers) == ["choice"], "a new choice has seven days"
    await show.announce(show.creators[1])
    await voided(poll, *cheats)
    await counted_again(show, 1)
    assert await holder(show) == ids(show)[1]
    await handed_over(show, show.creators[1])
    await show.ended("completed")


async def test_who_has_a_part_in_it_does_not_vote(house: House) -> None:
    show, poll = await voting(house, 2)
    for somebody in (show.owner, *show.creators):
        house.sql(
            "UPDATE users SET created_at = created_at - interval '3 days' WHERE id = %s",
            await user_id(house, somebody),
        )
        answer = await poll.try_vote(somebody, [ids(show)[0]])
        await refused(answer, 403, "self_dealing")
    [newcomer] = people(1)
    answer = await poll.try_vote(newcomer, [ids(show)[0]])
    await refused(answer, 403, "not_eligible", "account_age_seconds")
    withdrawing = f"entries/{ids(show)[0]}/withdraw"
    await refused(await show.tries(withdrawing, by=show.creators[0]), 409, "wrong_phase", "phase")
    await poll.end_voting()
    await eventually(lambda: poll.sql("SELECT 1 FROM ballots WHERE id = %s AND extended"))
    await poll.end_voting(DAY)
    await show.ended("split")


async def test_operators_call_the_contest_off_while_the_crowd_votes(house: House) -> None:
    show, poll = await voting(house, 2)
    await vote(show, poll, "1")
    await house.workflow(show.story).cancel()
    await show.ended("cancelled")
    assert await show.postings() == funded() + sent_back()
    assert (await poll.until("cancelled"))["winner"] is None
    await poll.assert_closed()


async def test_a_vote_that_operators_terminated_has_decided_nothing(house: House) -> None:
    show, poll = await voting(house, 2)
    await vote(show, poll, "1")
    await house.workflow(f"ballot-{poll.id}").terminate()
    await show.ended("split")


async def test_the_crowds_best_get_the_prizes_in_order(house: House) -> None:
    show, poll = await voting(house, 3, prizes=[70_000, 30_000])
    await vote(show, poll, "2", "2", "1", "12", "0")
    announced = await decided(show, poll)
    assert [each["entry_id"] for each in announced["prizes"]] == ids(show)[:0:-1]
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(show.creators[2], prize=1)
    await show.hand_over(show.creators[1], prize=2)
    await show.act("accept", prize=2)
    await show.act("accept", prize=1)
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        *released("creator2", 27_000, 3_000),
        *released("creator3", 63_000, 7_000),
    ]
