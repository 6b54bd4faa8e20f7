"""A ballot from the draft to the result: every row of paths 2.8 that nobody disturbs."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.ballot import Paper
from tests.stories.deals import refused
from tests.stories.house import House
from tests.stories.polls import ADMIN, DAY, Poll, people
from tests.stories.voters import fill
from tests.waiting import eventually


async def test_from_draft_to_final(house: House) -> None:
    poll = await Poll.draft(house, quorum=3)
    draft = await poll.see()
    assert (draft["phase"], draft["opened_at"], draft["outcome"]) == ("draft", None, None)
    opened = await house.post(f"/v1/ballots/{poll.id}/open", by=poll.initiator)
    deadline = await poll.deadline()
    assert deadline is not None
    due = datetime.fromisoformat(opened["opened_at"]) + timedelta(days=2)
    assert datetime.fromisoformat(deadline["due_at"]) == due
    assert (deadline["name"], deadline["stopped_by"]) == ("voting", ["operator: cancel"])
    assert "fewer than 3 people" in deadline["outcome"]

    await poll.votes(["2"], ["3"], ["2"], ["1"])
    await poll.end_voting()
    noticed = await poll.until("notice")
    assert (noticed["outcome"], noticed["winner"], noticed["voters"]) == ("decided", "2", 4)
    deadline = await poll.deadline()
    assert deadline is not None
    assert (deadline["name"], deadline["outcome"]) == ("notice", "The result is final.")
    tally = await poll.tally()
    assert [(each["option_id"], each["score"]) for each in tally["ranking"]] == [
        ("2", 2),
        ("1", 1),
        ("3", 1),
    ]
    assert (tally["turnout"], tally["papers"], tally["voided"]) == (4, 4, 0)

    final = await poll.end_notice()
    assert (final["outcome"], final["winner"]) == ("decided", "2")
    assert await poll.timeline() == [
        "opened by initiator",
        "voting_ended by system",
        "counted by system",
        "notice_ended by system",
    ]
    outcome = await house.workflow(f"ballot-{poll.id}").result()
    assert outcome["decided"] is True
    assert outcome["ranking"] == ["2", "1", "3"]
    assert (outcome["turnout"], outcome["head_hash"]) == (4, tally["head_hash"])
    await poll.assert_closed()


async def test_of_equals_the_earliest_wins(house: House) -> None:
    poll = await Poll.counted(house, ["3"], ["2"])
    assert [each["option_id"] for each in (await poll.tally())["ranking"]] == ["2", "3", "1"]
    assert (await poll.end_notice())["winner"] == "2"
    await poll.assert_closed()


async def test_too_few_voters_get_half_the_time_more_once(house: House) -> None:
    poll = await Poll.opened(house, quorum=2)
    await poll.votes(["3"])
    before = await poll.deadline()
    await poll.end_voting()
    await eventually(lambda: poll.sql("SELECT 1 FROM ballots WHERE id = %s AND extended"))
    assert (await poll.see())["phase"] == "open"
    after = await poll.deadline()
    assert before is not None and after is not None
    longer = datetime.fromisoformat(after["due_at"]) - datetime.fromisoformat(before["due_at"])
    assert timedelta(days=1) <= longer < timedelta(days=1, minutes=1)
    assert "there is no decision" in after["outcome"]

    # Whoever comes in the added time counts like all others, but there are not enough of them.
    await poll.vote((await poll.votes(["1"]))[0], ["2"])
    poll.sql("UPDATE ballots SET terms = jsonb_set(terms, '{quorum}', '3') WHERE id = %s")
    await poll.end_voting(DAY)
    final = await poll.until("final")
    assert (final["outcome"], final["winner"]) == ("no_decision", None)
    assert await poll.timeline() == [
        "opened by initiator",
        "voting_ended by system",
        "voting_ended by system",
        "counted by system",
    ]
    tally = await poll.tally()
    assert (tally["outcome"], tally["turnout"]) == ("no_decision", 2)
    outcome = await house.workflow(f"ballot-{poll.id}").result()
    assert (outcome["decided"], outcome["ranking"]) == (False, [])
    await poll.assert_closed()


async def test_enough_voters_in_the_added_time_decide(house: House) -> None:
    poll = await Poll.opened(house, quorum=2)
    await poll.votes(["3"])
    await poll.end_voting()
    await eventually(lambda: poll.sql("SELECT 1 FROM ballots WHERE id = %s AND extended"))
    await poll.votes(["3"])
    await poll.end_voting(DAY)
    await poll.until("notice")
    assert (await poll.end_notice())["winner"] == "3"
    await poll.assert_closed()


async def test_a_deadline_that_has_moved_is_kept(house: House) -> None:
    poll = await Poll.opened(house)
    await poll.votes(["2"])
    poll.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}',"
        " to_jsonb((deadlines->0->>'due_at')::timestamptz + interval '1 day')) WHERE id = %s"
    )
    await poll.end_voting()
    watch = house.workflow(f"ballot-{poll.id}")
    moved = await poll.deadline()
    assert moved is not None

    async def heard() -> bool:
        found = (await watch.query("watch"))["standing"]["deadlines"][0]["due_at"]
        return datetime.fromisoformat(found) == datetime.fromisoformat(moved["due_at"])

    await eventually(heard)
    assert await poll.timeline() == ["opened by initiator"]
    await poll.end_voting(DAY)
    assert (await poll.until("notice"))["winner"] == "2"


async def test_nobody_votes(house: House) -> None:
    poll = await Poll.opened(house)
    await poll.end_voting()
    await eventually(lambda: poll.sql("SELECT 1 FROM ballots WHERE id = %s AND extended"))
    await poll.end_voting(DAY)
    assert (await poll.until("final"))["outcome"] == "no_decision"
    assert (await poll.recount())["agrees"] is True
    await poll.assert_closed()


async def test_a_draft_is_withdrawn(house: House) -> None:
    poll = await Poll.draft(house)
    path = f"/v1/ballots/{poll.id}/cancel"
    [stranger] = people(1)
    for verb in ("", "/timeline", "/deadlines"):
        unseen = await house.call("GET", f"/v1/ballots/{poll.id}{verb}", by=stranger)
        await refused(unseen, 404, "not_found")
    await refused(await house.call("POST", path, by=stranger, json={}), 404, "not_found")
    gone = await house.post(path, {"note": "asked already"}, by=poll.initiator)
    assert gone["phase"] == "cancelled"
    again = await house.call("POST", path, by=poll.initiator, json={})
    await refused(again, 403, "forbidden")
    opened = await house.call("POST", f"/v1/ballots/{poll.id}/open", by=poll.initiator, json={})
    await refused(opened, 409, "wrong_phase", "phase")
    assert await poll.timeline() == ["withdrawn by initiator"]
    await house.assert_at_zero({"id": poll.id})


async def test_an_operator_cancels_an_open_ballot(house: House) -> None:
    poll = await Poll.opened(house)
    await poll.votes(["1"])
    path = f"/v1/ballots/{poll.id}/cancel"
    await refused(await house.call("POST", path, by=poll.initiator, json={}), 403, "forbidden")
    gone = await house.post(path, {"note": "wrong question"}, by=ADMIN)
    assert (gone["phase"], gone["outcome"]) == ("cancelled", None)
    hidden = await house.call("GET", f"/v1/ballots/{poll.id}/tally", by=poll.initiator)
    await refused(hidden, 409, "wrong_phase", "phase")
    outcome = await house.workflow(f"ballot-{poll.id}").result()
    assert (outcome["decided"], outcome["ranking"]) == (False, [])
    await poll.assert_closed()


async def test_cancelling_the_workflow_cancels_the_ballot(house: House) -> None:
    poll = await Poll.counted(house, ["1"])
    await house.workflow(f"ballot-{poll.id}").cancel()
    await poll.until("cancelled")
    assert (await house.workflow(f"ballot-{poll.id}").result())["decided"] is False
    await poll.assert_closed()


async def test_drafts_are_edited_until_they_open(house: House) -> None:
    poll = await Poll.draft(house)
    body = {
        "title": "Which handle?",
        "options": [{"label": "Bamboo"}, {"label": "Cane"}],
        "mode": "ranked",
        "voting_seconds": 3 * DAY,
        "notice_seconds": 2 * DAY,
    }
    path = f"/v1/ballots/{poll.id}"
    edited = (await house.call("PUT", path, by=poll.initiator, json=body)).json()
    assert (edited["title"], edited["mode"], len(edited["options"])) == (
        "Which handle?",
        "ranked",
        2,
    )
    assert edited["account_age_seconds"] == 2 * DAY, "the platform's usual age"
    await house.post(f"{path}/open", by=poll.initiator)
    late = await house.call("PUT", path, by=poll.initiator, json=body)
    await refused(late, 409, "wrong_phase", "phase")
    other = await house.call("PUT", path, by=people(1)[0], json=body)
    await refused(other, 403, "forbidden")


async def test_lists_show_what_was_opened(house: House) -> None:
    draft, opened = await Poll.draft(house), await Poll.opened(house)
    listed = await house.get("/v1/ballots", by="passer-by", limit=100)
    ids = [each["id"] for each in listed["items"]]
    assert opened.id in ids and draft.id not in ids
    assert ids == sorted(ids, reverse=True)
    own = await house.get("/v1/ballots", by=draft.initiator, mine="true")
    assert [each["id"] for each in own["items"]] == [draft.id]


async def test_opening_twice_is_one_opening(house: House) -> None:
    poll = await Poll.draft(house)
    path = f"/v1/ballots/{poll.id}/open"
    for _ in range(2):
        assert (await house.post(path, by=poll.initiator))["phase"] == "open"
    assert await poll.timeline() == ["opened by initiator"]


async def test_operators_read_the_story_in_temporal(house: House) -> None:
    poll = await Poll.opened(house, mode="points", points=5)
    described = await house.workflow(f"ballot-{poll.id}").describe()
    assert await described.static_summary() == "points: Which glaze shall it be?"
    watch = await house.workflow(f"ballot-{poll.id}").query("watch")
    assert watch["standing"]["facts"][0] == "How people vote: 5 points each over 3 options"
    assert "The votes are counted" in watch["if_nothing_comes"]
    assert watch["days_left"] == 2
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert (attributes["Path"], attributes["Currency"]) == ("ballot", "XXX")


async def test_votes_leave_no_trace_in_the_history(house: House) -> None:
    poll = await Poll.opened(house)
    handle = house.workflow(f"ballot-{poll.id}")
    await eventually(lambda: poll.sql("SELECT 1 FROM paths WHERE id = %s AND phase = 'open'"))
    before = (await handle.describe()).history_length
    papers = [Paper(options=(str(n % 3 + 1),)) for n in range(270)]
    fill(house.settings.require_database_url(), poll.id, papers)
    await poll.crowd([[str(n % 3 + 1)] for n in range(30)])
    assert (await handle.describe()).history_length == before
    assert (await poll.see())["voters"] == 300
    await poll.end_voting()
    await poll.until("notice")
    tally = await poll.tally()
    assert [each["score"] for each in tally["ranking"]] == [100, 100, 100]
    await poll.end_notice()
    assert (await handle.describe()).history_length < 60
