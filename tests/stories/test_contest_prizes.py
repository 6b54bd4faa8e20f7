"""From the announcement to the money: objections, hand-over, revisions, silence, and awards that are taken back."""

from __future__ import annotations

from tests.stories.contests import BOUNTY, Show, funded, released, sent_back, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json
from tests.stories.money import destination, payout_at, take_out
from tests.waiting import eventually

OPERATOR = "admin"
WORDS = "This is a copy of the mark of my own tea house."


async def objection(show: Show, creator: str, *, by: str | None = None) -> Json:
    """Somebody's objection against a creator's entry."""
    body = {"entry_id": show.entries[creator]["id"], "ground": "copied", "words": WORDS}
    return await show.house.post(f"{show.path}/objections", body, by=by or stranger("objector"))


async def rule(show: Show, objection: Json, *, upheld: bool) -> Json:
    """The operators' ruling."""
    path = f"{show.path}/objections/{objection['id']}/rule"
    body = {"upheld": upheld, "reason": "Compared side by side."}
    return await show.house.post(path, body, by=OPERATOR)


async def test_an_objection_is_dismissed(house: House) -> None:
    show = await Show.announced(house)
    winner = show.creators[0]
    said = await objection(show, winner)
    await show.until("contested")
    assert list(await show.deadlines()) == ["ruling"]
    ruled = await rule(show, said, upheld=False)
    assert ruled["status"] == "dismissed"
    await show.until("hand_over")
    await show.hand_over(winner)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator1", 90_000, 10_000)


async def test_two_objections_need_two_rulings(house: House) -> None:
    show = await Show.announced(house)
    first = await objection(show, show.creators[0])
    second = await objection(show, show.creators[0])
    await rule(show, first, upheld=False)
    assert (await show.seen())["phase"] == "contested"
    await refused(
        await house.call(
            "POST",
            f"{show.path}/objections/{first['id']}/rule",
            by=OPERATOR,
            json={"upheld": True, "reason": "Again."},
        ),
        409,
        "wrong_phase",
        "objection_id",
    )
    await rule(show, second, upheld=False)
    await show.until("hand_over")
    await show.hand_over(show.creators[0])
    await show.let_pass(7 * DAY)
    await show.ended("completed")


async def test_an_upheld_objection_makes_the_owner_choose_again(house: House) -> None:
    show = await Show.announced(house)
    copied, honest = show.creators
    await rule(show, await objection(show, copied), upheld=True)
    await show.until("choosing")
    assert (await show.entry(copied))["status"] == "void"
    await show.announce(honest)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(honest)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator2", 90_000, 10_000)


async def test_operators_who_do_not_rule_let_the_decision_stand(house: House) -> None:
    show = await Show.announced(house)
    said = await objection(show, show.creators[0])
    await show.let_pass(7 * DAY)
    await show.until("hand_over")
    found = await house.get(f"{show.path}/objections", OPERATOR)
    assert [each["status"] for each in found["items"]] == ["lapsed"]
    assert found["items"][0]["id"] == said["id"]
    await show.hand_over(show.creators[0])
    await show.let_pass(7 * DAY)
    await show.ended("completed")


async def test_an_objection_after_the_notice_is_a_report(house: House) -> None:
    show = await Show.handing_over(house)
    said = await objection(show, show.creators[1])
    assert said["status"] == "open"
    assert (await show.seen())["phase"] == "hand_over"
    await show.hand_over(show.creators[0])
    await show.let_pass(7 * DAY)
    await show.ended("completed")


async def test_silence_of_the_owner_accepts(house: House) -> None:
    show = await Show.reviewing(house)
    receipt = (await show.deadlines())["acceptance"]
    assert [line["amount"]["amount"] for line in receipt["postings"]] == [100_000, 90_000, 10_000]
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator1", 90_000, 10_000)
    assert (await show.timeline())[-1] == "acceptance_lapsed by system"


async def test_two_revisions_and_no_third(house: House) -> None:
    show = await Show.reviewing(house)
    winner = show.creators[0]
    for _ in range(2):
        await show.act("request-revision", note="A little bolder, please.")
        assert "hand_over" in await show.deadlines()
        await show.hand_over(winner)
        assert "acceptance" in await show.deadlines()
    await refused(await show.tries("request-revision"), 409, "limit_reached", "prize")
    given = await house.get(f"{show.path}/hand-overs", show.owner)
    assert [each["number"] for each in given["hand_overs"]] == [1, 2, 3]
    signed = [(each["role"], each["text_sha256"]) for each in given["signatures"]]
    sha = show.contest["licence"]["sha256"]
    assert signed == [("initiator", sha)] + [("creator", sha)] * 3
    await show.act("accept")
    await show.ended("completed")


async def test_a_silent_winner_loses_the_prize_to_the_runner_up(house: House) -> None:
    show = await Show.choosing(house, 3)
    silent, second, _ = show.creators
    await show.announce(silent, runners_up=(second,))
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.let_pass(10 * DAY)

    async def passed_on() -> bool:
        prize = (await show.seen())["prizes"][0]
        return bool(prize["entry_id"] == show.entries[second]["id"])

    await eventually(passed_on)
    assert (await show.entry(silent))["reason"] == "silent_winner"
    await show.follows("hand_over")
    await show.hand_over(second)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator2", 90_000, 10_000)


async def test_a_silent_winner_without_a_runner_up_is_chosen_anew(house: House) -> None:
    show = await Show.handing_over(house)
    await show.let_pass(10 * DAY)
    await show.until("choosing")
    await show.announce(show.creators[1])
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(show.creators[1])
    await show.act("accept")
    await show.ended("completed")


async def test_nobody_is_left_after_a_silent_winner(house: House) -> None:
    show = await Show.handing_over(house, 1)
    await show.let_pass(10 * DAY)
    await show.until("choosing")
    await show.let_pass(7 * DAY)
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back()


async def test_several_prizes_each_at_its_own_pace(house: House) -> None:
    show = await Show.choosing(house, 3, prizes=[60_000, 30_000, 10_000])
    first, second, third = show.creators
    await show.announce(second, third, first)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(third, prize=2)
    await show.act("accept", prize=2)
    assert show.contest["phase"] == "hand_over"
    await show.hand_over(second, prize=1)
    await show.hand_over(first, prize=3)
    await show.act("accept", prize=3)
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        *released("creator3", 27_000, 3_000),
        *released("creator1", 9_000, 1_000),
        *released("creator2", 54_000, 6_000),
    ]


async def test_plagiarism_after_the_end_takes_the_prize_to_the_next(house: House) -> None:
    show = await Show.choosing(house, 2)
    copied, honest = show.creators
    await show.announce(copied, runners_up=(honest,))
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(copied)
    await show.act("accept")
    await show.ended("completed")
    said = await objection(show, copied)
    await rule(show, said, upheld=True)
    await show.until("hand_over")
    assert show.contest["closed_at"] is None
    await show.hand_over(honest)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        *released("creator1", 90_000, 10_000),
        "clawback: debit payable:creator1 90000",
        "clawback: debit fee:platform 10000",
        "clawback: credit escrow:contest 100000",
        *released("creator2", 90_000, 10_000),
    ]
    assert (await house.payable(copied), await house.payable(honest)) == (0, 90_000)


async def test_plagiarism_without_a_runner_up_gives_the_owner_everything_back(house: House) -> None:
    show = await Show.reviewing(house, 1)
    winner = show.creators[0]
    await show.act("accept")
    await show.ended("completed")
    await destination(house, winner)
    payout = await take_out(house, winner)
    await payout_at(house, payout, "paid", by=winner)
    entry_id = show.entries[winner]["id"]
    await show.act("void-award", by=OPERATOR, entry_id=entry_id, reason="Clip art")
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        *released("creator1", 90_000, 10_000),
        "clawback: debit receivable:creator1 90000",
        "clawback: debit fee:platform 10000",
        "clawback: credit escrow:contest 100000",
        *sent_back(BOUNTY),
    ]
    assert show.contest["end_reason"] == "taken_back_from_winner"


async def test_an_award_stands_after_ninety_days(house: House) -> None:
    show = await Show.reviewing(house, 1)
    await show.act("accept")
    await show.ended("completed")
    house.sql(
        "UPDATE contests SET state = jsonb_set(state, '{completed_at}', '\"2020-01-01T00:00:00Z\"')"
        " WHERE id = %s",
        show.id,
    )
    entry_id = show.entries[show.creators[0]]["id"]
    answer = await show.tries("void-award", by=OPERATOR, entry_id=entry_id, reason="Too late")
    await refused(answer, 409, "too_late")
    assert (await show.timeline())[-1] == "accepted by initiator"
    await house.assert_at_zero(show.contest)


async def test_fraud_found_during_the_hand_over(house: House) -> None:
    show = await Show.choosing(house, 2)
    copied, honest = show.creators
    await show.announce(copied, runners_up=(honest,))
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(copied)
    entry_id = show.entries[copied]["id"]
    await show.act("void-award", by=OPERATOR, entry_id=entry_id, reason="A copy")
    assert show.contest["prizes"][0]["entry_id"] == show.entries[honest]["id"]
    await show.hand_over(honest)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == funded() + released("creator2", 90_000, 10_000)
