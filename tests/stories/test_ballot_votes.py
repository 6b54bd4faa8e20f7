"""Voting: who may, what a vote may say, until when, and what nobody sees before the end."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest

from domain.ids import new_id
from tests.stories.deals import refused
from tests.stories.house import House, Json
from tests.stories.money import destination
from tests.stories.polls import ADMIN, DAY, QUESTION, Poll, people, user_id, verified


async def refusals_of(house: House, poll: Poll) -> list[tuple[str, str]]:
    """(user id, tie) of every refusal that operators see on the ballot, newest first."""
    found = await house.get("/v1/self-dealing-refusals", by=ADMIN, path_id=poll.id)
    return [(each["user_id"], each["tie"]) for each in found["items"]]


async def test_a_vote_can_be_changed_until_the_end_and_never_after(house: House) -> None:
    poll = await Poll.opened(house)
    [voter] = people(1)
    first = await poll.vote(voter, ["1"])
    second = await poll.vote(voter, ["3"])
    assert (first["seq"], second["seq"]) == (1, 2)
    mine = await house.get(f"/v1/ballots/{poll.id}/votes/mine", by=voter)
    assert (mine["choice"]["options"], mine["hash"]) == (["3"], second["hash"])
    assert (await poll.see())["voters"] == 1

    # One millisecond after the deadline by the database's clock, with the story still waiting.
    poll.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}',"
        " to_jsonb(clock_timestamp() - interval '1 millisecond')) WHERE id = %s"
    )
    await refused(await poll.try_vote(voter, ["2"]), 409, "too_late", "voting")
    await poll.end_voting()
    await poll.until("notice")
    await refused(await poll.try_vote(voter, ["2"]), 409, "wrong_phase", "phase")
    await refused(await poll.try_vote(people(1)[0], ["2"]), 409, "wrong_phase", "phase")
    assert [(each["choice"]["options"], each["status"]) for each in await poll.papers()] == [
        (["1"], "superseded"),
        (["3"], "counts"),
    ]
    assert (await poll.tally())["turnout"] == 1
    await poll.end_notice()
    await poll.assert_closed()


async def test_a_repeated_request_is_one_vote(house: House) -> None:
    poll = await Poll.opened(house)
    [voter] = people(1)
    answers = [await poll.try_vote(voter, ["1"], key="once") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert poll.sql("SELECT count(*) FROM votes WHERE ballot_id = %s") == [(1,)]


async def test_nobody_sees_a_choice_before_the_votes_are_counted(house: House) -> None:
    poll = await Poll.opened(house)
    [voter] = await poll.votes(["2"])
    for who in (poll.initiator, voter, ADMIN):
        for part in ("tally", "papers"):
            answer = await house.call("GET", f"/v1/ballots/{poll.id}/{part}", by=who)
            await refused(answer, 409, "wrong_phase", "phase")
        answer = await house.call("POST", f"/v1/ballots/{poll.id}/recount", by=who)
        await refused(answer, 409, "wrong_phase", "phase")
        seen = await house.get(f"/v1/ballots/{poll.id}", by=who)
        assert (seen["voters"], seen["outcome"], seen["winner"]) == (1, None, None)
        assert seen["options"] == [
            {"id": str(n), "label": each["label"], "author_id": None}
            for n, each in enumerate(QUESTION["options"], 1)
        ]
    missing = await house.call("GET", f"/v1/ballots/{poll.id}/votes/mine", by=poll.initiator)
    await refused(missing, 404, "not_found")


async def test_the_published_papers_name_nobody_and_prove_the_chain(house: House) -> None:
    poll = await Poll.opened(house, mode="points", points=10)
    await house.get("/v1/me", by="passer-by")
    voters = await poll.votes({"1": 4, "2": 6}, {"3": 1, "1": 0})
    await poll.end_voting()
    await poll.until("notice")
    papers, seen = await poll.papers(), await poll.see()
    ids = [await user_id(house, voter) for voter in voters]
    assert not any(one in json.dumps(papers) for one in ids)
    before = hashlib.sha256(poll.id.encode()).hexdigest()
    for paper in papers:
        choice = {name: value for name, value in paper["choice"].items() if value is not None}
        signed = {
            "at": paper["at"],
            "choice": choice,
            "seq": paper["seq"],
            "voter_tag": paper["tag"],
        }
        text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert paper["previous_hash"] == before
        before = hashlib.sha256(f"{before}|{text}".encode()).hexdigest()
        assert paper["hash"] == before
    assert (await poll.tally())["head_hash"] == before
    assert (await poll.recount())["head_hash"] == before
    assert papers[1]["choice"]["points"] == {"3": 1}, "options without points are left out"
    assert seen["winner"] == "2"
    page = await house.get(f"/v1/ballots/{poll.id}/papers", by="passer-by", limit=1)
    assert page["next"] == "1"
    rest = await house.get(f"/v1/ballots/{poll.id}/papers", by="passer-by", after=1)
    assert rest["items"] == papers[1:]


async def test_a_young_account_waits(house: House) -> None:
    poll = await Poll.opened(house, account_age_seconds=2 * DAY)
    [voter] = people(1)
    answer = await poll.try_vote(voter, ["1"])
    await refused(answer, 403, "not_eligible", "account_age_seconds")
    house.sql(
        "UPDATE users SET created_at = created_at - interval '2 days' WHERE subject = %s", voter
    )
    await poll.vote(voter, ["1"])


async def test_only_verified_people(house: House) -> None:
    poll = await Poll.opened(house, verified_only=True)
    [voter] = people(1)
    answer = await poll.try_vote(voter, ["1"])
    await refused(answer, 403, "not_eligible", "verified_only")
    await verified(house, voter, f"CN:{new_id('usr')[-12:]}")
    await poll.vote(voter, ["1"])


async def test_a_frozen_account_does_not_vote(house: House) -> None:
    poll = await Poll.opened(house)
    [voter] = people(1)
    found = await user_id(house, voter)
    await house.post(f"/v1/users/{found}/freeze", {"reason": "case 7"}, by=ADMIN)
    await refused(await poll.try_vote(voter, ["1"]), 403, "account_frozen")


async def test_nobody_votes_on_what_is_their_own(house: House) -> None:
    [author, twin, roommate] = people(3)
    document, bank = f"CN:{new_id('usr')[-12:]}", f"6222{new_id('usr')[-12:]}"
    author_id = await verified(house, author, document)
    twin_id = await verified(house, twin, document)
    await destination(house, author, account=bank)
    await destination(house, roommate, account=bank)
    options = [{"label": "Mine", "author_id": author_id}, {"label": "Another"}]
    poll = await Poll.opened(house, options=options)
    for barred in (poll.initiator, author, twin, roommate):
        problem = await refused(await poll.try_vote(barred, ["2"]), 403, "self_dealing")
        assert author_id not in json.dumps(problem)
    assert (await poll.see())["voters"] == 0
    assert await refusals_of(house, poll) == [
        (await user_id(house, roommate), "same_destination"),
        (twin_id, "same_identity"),
        (author_id, "same_person"),
        (await user_id(house, poll.initiator), "same_person"),
    ]


async def test_one_person_one_vote_whatever_the_account(house: House) -> None:
    poll = await Poll.opened(house)
    [first, second, third] = people(3)
    document, bank = f"CN:{new_id('usr')[-12:]}", f"6222{new_id('usr')[-12:]}"
    await verified(house, first, document)
    second_id = await verified(house, second, document)
    await destination(house, first, account=bank)
    await destination(house, third, account=bank)
    await poll.vote(first, ["1"])
    for again in (second, third):
        await refused(await poll.try_vote(again, ["2"]), 403, "not_eligible", "voter")
    await poll.vote(first, ["3"])
    assert (await poll.see())["voters"] == 1
    assert (await refusals_of(house, poll))[1] == (second_id, "same_identity")


async def test_two_accounts_of_one_person_at_the_same_moment(house: House) -> None:
    poll = await Poll.opened(house)
    pair, document = people(2), f"CN:{new_id('usr')[-12:]}"
    for one in pair:
        await verified(house, one, document)
    answers = await asyncio.gather(*(poll.try_vote(one, ["1"]) for one in pair))
    assert sorted(answer.status_code for answer in answers) == [201, 403]


@pytest.mark.parametrize(
    ("rules", "choice", "field"),
    [
        ({}, [], "options"),
        ({}, ["1", "2"], "options"),
        ({}, ["4"], "options[0]"),
        ({}, {"1": 1}, "points"),
        ({"max_choices": 2}, ["1", "1"], "options[1]"),
        ({"mode": "ranked"}, ["3", "1", "3"], "options[2]"),
        ({"mode": "ranked"}, [], "options"),
        ({"mode": "points", "points": 5}, {}, "points"),
        ({"mode": "points", "points": 5}, {"1": 0}, "points"),
        ({"mode": "points", "points": 5}, {"1": 3, "2": 3}, "points"),
        ({"mode": "points", "points": 5}, {"4": 1}, "points.4"),
        ({"mode": "points", "points": 5}, ["1"], "options"),
    ],
    ids=str,
)
async def test_papers_that_are_not_valid(
    house: House, rules: Json, choice: object, field: str
) -> None:
    poll = await Poll.opened(house, **rules)
    await refused(await poll.try_vote(people(1)[0], choice), 422, "invalid_input", field)
    assert poll.sql("SELECT count(*) FROM votes WHERE ballot_id = %s") == [(0,)]
    assert poll.sql("SELECT vote_count, voter_count FROM ballots WHERE id = %s") == [(0, 0)]


async def test_values_that_are_no_votes_at_all(house: House) -> None:
    poll = await Poll.opened(house, mode="points", points=5)
    path = f"/v1/ballots/{poll.id}/votes"
    bodies: list[Json] = [
        {"points": {"1": -1}},
        {"points": {"1": 1.5}},
        {"choice": ["1"]},
        {"points": []},
    ]
    for body in bodies:
        answer = await house.call("POST", path, by=people(1)[0], json=body)
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"options": [{"label": "Alone"}]}, "options"),
        ({"max_choices": 4}, "max_choices"),
        ({"mode": "points"}, "points"),
        ({"mode": "points", "points": 9, "quadratic": True}, "quadratic"),
        ({"quadratic": True, "verified_only": True}, "quadratic"),
        ({"voting_seconds": 2 * DAY - 1}, "voting_seconds"),
        ({"voting_seconds": 30 * DAY + 1}, "voting_seconds"),
        ({"notice_seconds": DAY - 1}, "notice_seconds"),
        ({"notice_seconds": 3 * DAY + 1}, "notice_seconds"),
        ({"quorum": 0}, "quorum"),
        (
            {
                "options": [
                    {"label": "A"},
                    {"label": "B", "author_id": "usr_01h45ytscbebyvny4gc8cr8ma2"},
                ]
            },
            "options[1].author_id",
        ),
        ({"colour": "blue"}, "colour"),
    ],
    ids=str,
)
async def test_rules_by_which_nobody_could_vote(house: House, changes: Json, field: str) -> None:
    answer = await house.call("POST", "/v1/ballots", by=people(1)[0], json={**QUESTION, **changes})
    await refused(answer, 422, "invalid_input", field)


async def test_quadratic_votes_of_verified_people(house: House) -> None:
    poll = await Poll.opened(house, mode="points", points=9, quadratic=True, verified_only=True)
    [voter] = people(1)
    await verified(house, voter, f"CN:{new_id('usr')[-12:]}")
    await refused(await poll.try_vote(voter, {"1": 3, "2": 1}), 422, "invalid_input", "points")
    await poll.vote(voter, {"1": 2, "2": 2, "3": 1})


async def test_fifty_at_once_make_one_chain(house: House) -> None:
    poll = await Poll.opened(house, mode="ranked")
    voters = await poll.crowd([[str(n % 3 + 1)] for n in range(50)])
    await asyncio.gather(*(poll.vote(voter, ["2", "1"]) for voter in voters[:10]))
    seqs = poll.sql("SELECT seq FROM votes WHERE ballot_id = %s ORDER BY seq")
    assert seqs == [(n,) for n in range(1, 61)]
    await poll.end_voting()
    await poll.until("notice")
    recount = await poll.recount()
    assert (recount["chain_intact"], recount["agrees"], recount["turnout"]) == (True, True, 50)
