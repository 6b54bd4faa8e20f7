"""Votes declared void before, on and after the public notice; votes tampered with in the database."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import errors
from temporalio.testing import ActivityEnvironment

from activities.ballots import Ballots
from domain.ballot import BallotOption, BallotTerms, Event
from domain.ballot_messages import BallotAct, BallotStart, BallotStep
from domain.ids import new_id
from domain.policy import BallotPolicy
from domain.time import utc_now
from tests.stories.asker import Asker, Question, askers
from tests.stories.deals import refused
from tests.stories.house import House
from tests.stories.money import needs_operator
from tests.stories.polls import ADMIN, DAY, Poll, people, user_id
from tests.waiting import eventually


def tamper(poll: Poll, statement: str) -> None:
    """Changes votes as somebody could who owns the database server."""
    with psycopg.connect(poll.house.settings.require_database_url()) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(statement.encode(), (poll.id,))


async def test_void_while_people_vote(house: House) -> None:
    poll = await Poll.opened(house)
    [cheat, honest, late] = await poll.votes(["1"], ["2"], ["1"])
    cheat_id = await user_id(house, cheat)
    assert (await poll.void(voter_ids=[cheat_id])).json()["phase"] == "open"
    # One vote is void, whoever cast it may vote anew; a person is void, whatever they cast.
    assert (await poll.void(seqs=[3])).status_code == 200
    await poll.vote(late, ["2"])
    await refused(await poll.try_vote(cheat, ["1"]), 403, "not_eligible", "voter")
    await poll.end_voting()
    await poll.until("notice")
    tally = await poll.tally()
    assert (tally["winner"], tally["turnout"], tally["voided"]) == ("2", 2, 1)
    assert [each["status"] for each in await poll.papers()] == [
        "void",
        "counts",
        "superseded",
        "counts",
    ]
    assert (await poll.recount(by=honest))["agrees"] is True
    await poll.end_notice()
    await poll.assert_closed()


async def test_void_votes_can_miss_the_quorum(house: House) -> None:
    poll = await Poll.opened(house, quorum=2)
    await poll.votes(["1"], ["2"])
    await poll.void(seqs=[1])
    await poll.end_voting()
    await eventually(lambda: poll.sql("SELECT 1 FROM ballots WHERE id = %s AND extended"))


async def test_void_on_notice_counts_again_and_starts_the_notice_anew(house: House) -> None:
    poll = await Poll.counted(house, ["1"], ["1"], ["2"])
    assert (await poll.see())["winner"] == "1"
    first = await poll.deadline()
    await poll.let_pass(DAY // 2)
    now = await poll.void(seqs=[1, 2])
    assert now.status_code == 200, now.text
    assert (now.json()["phase"], now.json()["winner"]) == ("notice", "2")
    anew = await poll.deadline()
    assert first is not None and anew is not None
    assert anew["due_at"] > first["due_at"]
    assert (await poll.recount())["agrees"] is True
    await poll.let_pass(DAY // 2 + 1)
    assert (await poll.see())["phase"] == "notice"
    assert (await poll.end_notice())["winner"] == "2"
    assert (await poll.timeline())[2:] == [
        "counted by system",
        "votes_voided by operator",
        "counted by system",
        "notice_ended by system",
    ]
    assert (await house.workflow(f"ballot-{poll.id}").result())["ranking"][0] == "2"
    await poll.assert_closed()


async def test_nothing_left_on_notice_is_no_decision(house: House) -> None:
    poll = await Poll.counted(house, ["1"])
    assert (await poll.void(seqs=[1])).json()["outcome"] == "no_decision"
    assert (await poll.end_notice())["outcome"] == "no_decision"
    await poll.assert_closed()


async def test_counted_again_after_the_end(house: House) -> None:
    poll = await Poll.counted(house, ["1"], ["1"], ["2"])
    await poll.end_notice()
    await poll.assert_closed()
    again = await poll.void(seqs=[1, 2])
    assert again.status_code == 200, again.text
    assert (again.json()["phase"], again.json()["winner"]) == ("final", "2")
    tally = await poll.tally()
    assert (tally["turnout"], tally["voided"], tally["retallies"]) == (1, 2, 1)
    assert (await poll.recount())["agrees"] is True
    assert (await poll.timeline())[4:] == ["votes_voided by operator", "retallied by operator"]
    await house.workflow(f"ballot-{poll.id}-retally-1").result()
    # What was refused leaves its number to the next one.
    await refused(await poll.void(seqs=[1]), 422, "invalid_input", "seqs")
    assert (await poll.void(seqs=[3])).json()["outcome"] == "no_decision"
    assert (await poll.tally())["retallies"] == 2
    await poll.assert_closed()


async def test_two_operators_at_once_after_the_end(house: House) -> None:
    poll = await Poll.counted(house, ["1"], ["1"], ["2"])
    await poll.end_notice()
    answers = await asyncio.gather(poll.void(seqs=[1]), poll.void(seqs=[2]))
    assert all(answer.status_code in (200, 503) for answer in answers)
    for seq, answer in enumerate(answers, 1):
        if answer.status_code == 503:
            assert (await poll.void(seqs=[seq])).status_code == 200
    assert (await poll.see())["winner"] == "2"
    assert (await poll.recount())["agrees"] is True


async def test_not_counted_again_a_month_later(house: House) -> None:
    poll = await Poll.counted(house, ["1"])
    await poll.end_notice()
    poll.sql("UPDATE paths SET closed_at = now() - interval '30 days' WHERE id = %s")
    await refused(await poll.void(seqs=[1]), 409, "too_late", "closed_at")
    assert (await poll.tally())["voided"] == 0
    assert [each["status"] for each in await poll.papers()] == ["counts"]


async def test_what_cannot_be_declared_void(house: House) -> None:
    poll = await Poll.opened(house)
    await poll.votes(["1"])
    [stranger] = people(1)
    await refused(await poll.void(), 422, "invalid_input", "seqs")
    await refused(await poll.void(seqs=[2]), 422, "invalid_input", "seqs[0]")
    absent = await user_id(house, stranger)
    await refused(await poll.void(voter_ids=[absent]), 422, "invalid_input", "voter_ids[0]")
    await refused(await poll.void(seqs=[1], reason=""), 422, "invalid_input", "reason")
    await refused(await poll.void(by=poll.initiator, seqs=[1]), 403, "forbidden")
    draft = await Poll.draft(house)
    await refused(await draft.void(seqs=[1]), 409, "wrong_phase", "phase")
    assert poll.sql("SELECT count(*) FROM vote_voids WHERE ballot_id = %s") == [(0,)]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            """UPDATE votes SET choice = '{"options": ["1"]}' WHERE ballot_id = %s AND seq = 2""",
            "vote 2 is not as it was cast",
        ),
        (
            "UPDATE votes SET voter_id = (SELECT max(voter_id) FROM votes v WHERE"
            " v.ballot_id = votes.ballot_id AND v.seq = 1) WHERE ballot_id = %s AND seq = 2",
            "vote 2 is not as it was cast",
        ),
        (
            "DELETE FROM votes WHERE ballot_id = %s AND seq = 2",
            "vote 2 is not as it was cast",
        ),
        (
            "DELETE FROM votes WHERE ballot_id = %s AND seq = 3",
            "the votes end with number 2, not with number 3 as it was cast",
        ),
    ],
    ids=["choice", "voter", "hole", "end"],
)
async def test_a_recount_finds_what_was_changed(house: House, statement: str, problem: str) -> None:
    poll = await Poll.counted(house, ["1"], ["2"], ["3"])
    tamper(poll, statement)
    found = await poll.recount()
    assert (found["chain_intact"], found["agrees"], found["problem"]) == (False, False, problem)


async def test_a_recount_finds_another_result(house: House) -> None:
    poll = await Poll.counted(house, ["1"], ["2"])
    poll.sql("UPDATE ballots SET result = jsonb_set(result, '{turnout}', '7') WHERE id = %s")
    found = await poll.recount()
    assert (found["chain_intact"], found["agrees"], found["turnout"]) == (True, False, 2)


async def test_votes_changed_before_the_count_need_an_operator(house: House) -> None:
    poll = await Poll.opened(house)
    await poll.votes(["1"], ["2"], ["2"])
    tamper(poll, "UPDATE votes SET at = at + interval '1 second' WHERE ballot_id = %s AND seq = 3")
    await poll.end_voting()
    story = f"ballot-{poll.id}"

    async def called() -> bool | None:
        return await needs_operator(house, story)

    await eventually(called)
    assert (await poll.see())["phase"] == "closed"
    # The operators restore the row from a copy of theirs.
    tamper(poll, "UPDATE votes SET at = at - interval '1 second' WHERE ballot_id = %s AND seq = 3")
    await house.workflow(story).signal("wake")
    assert (await poll.until("notice"))["winner"] == "2"
    assert await needs_operator(house, story) is False


@pytest.mark.parametrize("table", ["votes", "vote_voids"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET ballot_id = ballot_id", "DELETE FROM {}", "TRUNCATE {}"],
)
def test_the_database_keeps_votes_and_voids_as_they_are(
    house: House, table: str, statement: str
) -> None:
    with pytest.raises(errors.RestrictViolation):
        house.sql(statement.format(table))


async def test_a_count_that_is_repeated_counts_once(house: House) -> None:
    poll = await Poll.opened(house)
    await poll.votes(["1"], ["2"], ["2"])
    await house.workflow(f"ballot-{poll.id}").terminate()
    ballots, environment = Ballots(house.database), ActivityEnvironment()

    def step(event: Event) -> BallotStep:
        return BallotStep(
            ballot_id=poll.id,
            key=f"{poll.id}/{event}",
            event=event,
            act=BallotAct(actor="system"),
            at=utc_now().replace(year=utc_now().year + 1),
            workflow_id=f"ballot-{poll.id}",
        )

    closed = [await environment.run(ballots.move, step(Event.VOTING_ENDED)) for _ in range(2)]
    assert closed[0] == closed[1]
    # A worker that was thought dead comes back, and another has taken over.
    counted = await asyncio.gather(
        *(environment.run(ballots.count, step(Event.COUNTED)) for _ in range(3))
    )
    assert counted[0].outcome is not None and counted[0].outcome.ranking[0] == "2"
    assert counted[1:] == [counted[0], counted[0]]
    assert await poll.timeline() == [
        "opened by initiator",
        "voting_ended by system",
        "counted by system",
    ]


async def test_as_the_child_of_another_path(house: House) -> None:
    [owner, author, voter] = people(3, "crowd")
    owner_id, author_id = await user_id(house, owner), await user_id(house, author)
    path_id, ballot_id = new_id("con"), new_id("bal")
    asker = f"asker-{path_id}"
    house.sql(
        "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
        " VALUES (%s, 'contest', %s, %s, 'CNY', 'voting')",
        path_id,
        asker,
        owner_id,
    )
    terms = BallotTerms(
        title="Who shall win?",
        options=(
            BallotOption(id="ent_a", label="First", author_id=author_id),
            BallotOption(id="ent_b", label="Second"),
        ),
        account_age_seconds=0,
        voting_seconds=2 * DAY,
        notice_seconds=DAY,
        policy=BallotPolicy(),
    )
    start = BallotStart(
        ballot_id=ballot_id, terms=terms, initiator_id=owner_id, parent_path_id=path_id
    )
    poll = Poll(house, owner, ballot_id)
    async with askers(house) as queue:
        question = Question(start=start, task_queue=house.settings.temporal_task_queue)
        handle = await house.temporal.start_workflow(
            Asker.run, question, id=asker, task_queue=queue
        )
        await eventually(lambda: poll.sql("SELECT 1 FROM ballots WHERE id = %s"))
        opened = await poll.until("open")
        assert opened["parent_path_id"] == path_id
        for barred in (owner, author):
            await refused(await poll.try_vote(barred, ["ent_a"]), 403, "self_dealing")
        await poll.vote(voter, ["ent_b"])
        await poll.votes(["ent_b"], ["ent_a"])
        await poll.end_voting()
        await poll.until("notice")
        await poll.end_notice()
        [outcome] = await eventually(lambda: handle.query(Asker.heard))
        assert (outcome.decided, outcome.ranking, outcome.turnout) == (True, ("ent_b", "ent_a"), 3)

        # Taken out, it changes nothing; the next one does, and only then the path hears of it.
        assert (await poll.void(seqs=[3])).status_code == 200
        assert await handle.query(Asker.heard) == [outcome]
        assert (await poll.void(seqs=[1, 2])).json()["outcome"] == "no_decision"
        heard = await handle.query(Asker.heard)
        assert [each.decided for each in heard] == [True, False]
        await handle.signal(Asker.end)
        await handle.result()
    await poll.assert_closed()


async def test_a_path_that_has_ended_hears_of_no_recount(house: House) -> None:
    poll = await Poll.counted(house, ["1"], ["2"])
    await poll.end_notice()
    parent = await Poll.draft(house)
    poll.sql(
        "UPDATE ballots SET parent_path_id = paths.id FROM paths WHERE ballots.id = %s AND paths.id = %s",
        parent.id,
    )
    assert (await poll.void(by=ADMIN, seqs=[1])).json()["winner"] == "2"
    await house.workflow(f"ballot-{poll.id}-retally-1").result()
