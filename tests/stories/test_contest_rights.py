"""Who may act on a contest and when: every act by everybody, and every act in every phase."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from domain.ids import new_id
from tests.stories.contest_checks import ADMIN, object_to, on_entry, traces, try_enter
from tests.stories.contests import BOUNTY, GRACE, Show, released, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json

# phase: what is possible in it; everything else is refused. "review" is hand_over after the winner has delivered.
POSSIBLE = {
    "draft": "change fund cancel",
    "funding": "cancel",
    "open": "extend shortlist eliminate enter revise withdraw",
    "picking": "finalists shortlist eliminate withdraw",
    "final_round": "shortlist eliminate revise withdraw",
    "choosing": "announce shortlist eliminate withdraw",
    "voting": "",
    "announced": "",
    "contested": "void-award",
    "hand_over": "hand-over void-award",
    "review": "accept request-revision void-award",
    "completed": "void-award",
    "split": "",
    "refunded": "",
    "expired": "",
}
BY_OWNER = (
    "change fund cancel extend finalists announce take-back accept request-revision shortlist eliminate"
).split()
BY_CREATORS = "enter revise withdraw hand-over".split()
# Who gets past the question of rights; everybody else gets this status.
MAY = """
                      owner  winner  creator  operator  stranger
    change            ok     403     403      403       403
    fund              ok     403     403      403       403
    cancel            ok     403     403      403       403
    extend            ok     403     403      403       403
    finalists         ok     403     403      403       403
    announce          ok     403     403      403       403
    take-back         ok     403     403      403       403
    accept            ok     403     403      403       403
    request-revision  ok     403     403      403       403
    shortlist         ok     403     403      403       403
    eliminate         ok     403     403      403       403
    enter             403    ok      ok       ok        ok
    revise            404    ok      404      404       404
    withdraw          404    ok      404      404       404
    hand-over         403    ok      403      403       403
    objections        ok     ok      ok       ok        ok
    rule              403    403     403      ok        403
    void-award        403    403     403      ok        403
"""


async def tries(show: Show, act: str, by: str, objection: str = "") -> httpx.Response:
    """Any act on the contest, about the first creator's entry, with a body the API accepts."""
    entry = next((each["id"] for each in show.entries.values()), new_id("ent"))
    sha = show.contest["licence"]["sha256"]
    changed = {"title": "Another", "bounty": {"amount": 1_000, "currency": "CNY"}}
    if act == "change":
        return await show.house.call("PUT", show.path, by=by, json=changed)
    if act == "enter":
        return await try_enter(show, by)
    work = {"title": "Again", "file_ids": []}
    if act in ("revise", "hand-over"):
        work["file_ids"] = [await show.file(by)]
    bodies: dict[str, Json] = {
        "fund": {"licence_sha256": sha},
        "extend": {"amount": BOUNTY},
        "finalists": {"entry_ids": [entry]},
        "announce": {"awards": [{"entry_id": entry}]},
        "shortlist": {"entry_ids": [entry]},
        "eliminate": {"entry_ids": [entry], "reason": "taste"},
        "revise": work,
        "hand-over": {"licence_sha256": sha, "file_ids": work["file_ids"]},
        "objections": {"entry_id": entry, "ground": "other", "words": "Not as it should be."},
        "rule": {"upheld": False, "reason": "Looked at it."},
        "void-award": {"entry_id": entry, "reason": "A copy."},
    }
    places = {
        "revise": f"entries/{entry}/revisions",
        "withdraw": f"entries/{entry}/withdraw",
        "rule": f"objections/{objection}/rule",
    }
    return await show.tries(places.get(act, act), by=by, **bodies.get(act, {}))


async def assert_only(show: Show, phase: str) -> None:
    """In this phase, everything impossible is refused in good time, and nothing happens."""
    await show.until("hand_over" if phase == "review" else phase)
    acts = {act: show.owner for act in BY_OWNER}
    if phase != "draft":  # a draft does not exist for anybody else
        acts |= {"enter": stranger("creator"), "void-award": ADMIN}
    if show.entries:
        acts |= {act: show.creators[0] for act in ("revise", "withdraw", "hand-over")}
    before = traces(show)
    for act, by in acts.items():
        if act in POSSIBLE[phase].split():
            continue
        answer = await tries(show, act, by)
        problem = await refused_so(answer, act, phase)
        assert problem["accepted"], (act, phase, problem)
    assert traces(show) == before, phase


async def refused_so(answer: httpx.Response, act: str, phase: str) -> Json:
    """The problem document of an act that is not possible in this phase."""
    assert answer.status_code == 409, f"{act} in {phase}: {answer.status_code} {answer.text}"
    problem: Json = answer.json()
    assert problem["code"] == "wrong_phase", f"{act} in {phase}: {problem}"
    assert problem["field"] in ("phase", "prize", "entry_ids", "guaranteed"), (
        f"{act} in {phase}: {problem}"
    )
    return problem


async def test_every_act_in_every_phase_of_a_contest_that_goes_well(house: House) -> None:
    show = await Show.drafted(house, rounds=2)
    await assert_only(show, "draft")
    await show.act("fund", licence_sha256=show.contest["licence"]["sha256"])
    await assert_only(show, "funding")
    await show.pay()
    await show.until("open")
    await show.follows("open")
    winner, other = stranger("creator"), stranger("creator")
    await show.enter(winner)
    await show.enter(other)
    await assert_only(show, "open")
    await show.entries_close()
    await assert_only(show, "picking")
    await show.act("finalists", entry_ids=[each["id"] for each in show.entries.values()])
    await assert_only(show, "final_round")
    await show.let_pass(3 * DAY + GRACE)
    await assert_only(show, "choosing")
    await show.announce(winner)
    await assert_only(show, "announced")
    await object_to(show, winner, stranger("reader"))
    await assert_only(show, "contested")
    await show.let_pass(7 * DAY)
    await assert_only(show, "hand_over")
    await show.hand_over(winner)
    await assert_only(show, "review")
    await show.act("accept")
    await show.ended("completed")
    await assert_only(show, "completed")
    releases = [each for each in await show.postings() if each.startswith("release")]
    assert releases == released("creator1", 90_000, 10_000)


async def test_every_act_while_the_crowd_votes_and_after_a_split(house: House) -> None:
    show = await Show.choosing(house, 2, windows={"choose_seconds": DAY})
    await show.shortlist(*show.creators)
    await show.run_out()
    await show.until("voting")
    await assert_only(show, "voting")
    split = await Show.choosing(house, 1, windows={"choose_seconds": DAY})
    await split.let_pass(DAY)
    await split.ended("split")
    await assert_only(split, "split")


async def test_every_act_on_a_contest_that_came_to_nothing(house: House) -> None:
    show = await Show.choosing(house, 1, guaranteed=False)
    await show.act("take-back")
    await show.ended("refunded")
    await assert_only(show, "refunded")
    draft = await Show.drafted(house)
    await draft.act("cancel")
    await assert_only(draft, "expired")
    unpaid = await Show.funding(house)
    await unpaid.act("cancel")
    await unpaid.ended("expired")
    await assert_only(unpaid, "expired")


async def test_every_act_by_everybody(house: House) -> None:
    show = await Show.handing_over(house)
    winner, creator = show.creators
    objection = (await object_to(show, winner, stranger("reader")))["id"]
    people = {
        "owner": show.owner,
        "winner": winner,
        "creator": creator,
        "operator": ADMIN,
        "stranger": stranger("stranger"),
    }
    await house.get("/v1/me", by=people["stranger"])
    codes = {403: ("forbidden", "self_dealing"), 404: ("not_found",)}
    before = traces(show)
    columns, *rows = MAY.strip().splitlines()
    for row in rows:
        act, *cells = row.split()
        for role, expected in zip(columns.split(), cells, strict=True):
            if expected == "ok":
                continue
            answer = await tries(show, act, people[role], objection)
            assert answer.status_code == int(expected), f"{act} by {role}: {answer.text}"
            assert answer.json()["code"] in codes[int(expected)], (act, role)
    assert traces(show) == before
    for act in ("fund", "announce", "entries", "shortlist", "objections", "void-award", "accept"):
        nobody = await house.http.post(
            f"{show.path}/{act}", json={}, headers={"Idempotency-Key": uuid.uuid4().hex}
        )
        await refused(nobody, 401, "unauthenticated", "Authorization")
    # Those who may get past: here with the answers of this phase.
    for role in ("winner", "creator", "operator", "stranger"):
        await refused(await tries(show, "enter", people[role]), 409, "wrong_phase", "phase")
    for by in people.values():
        assert (await tries(show, "objections", by)).status_code == 201
    assert (await tries(show, "rule", ADMIN, objection)).json()["status"] == "dismissed"
    assert (await show.seen())["phase"] == "hand_over"


async def test_a_draft_does_not_exist_for_others(house: House) -> None:
    show = await Show.drafted(house, file_ids=[])
    brief = await show.file(show.owner)
    body = {
        "title": "With a picture",
        "bounty": {"amount": BOUNTY, "currency": "CNY"},
        "file_ids": [brief],
    }
    assert (await house.call("PUT", show.path, by=show.owner, json=body)).status_code == 200
    somebody, missing = stranger("stranger"), f"/v1/contests/{new_id('con')}"
    parts = (
        "",
        "/entries",
        "/hand-overs",
        "/objections",
        "/deadlines",
        "/timeline",
        "/statement",
        "/balances",
    )
    for part in parts:
        answers = [
            await refused(await house.call("GET", f"{path}{part}", by=somebody), 404, "not_found")
            for path in (show.path, missing)
        ]
        assert answers[0]["detail"] == answers[1]["detail"], part
        assert (await house.call("GET", f"{show.path}{part}", by=ADMIN)).status_code == 200, part
    for act in [*BY_OWNER, *BY_CREATORS, "objections", "void-award"]:
        if act in ("revise", "withdraw"):  # there is no entry
            continue
        hidden = await tries(show, act, somebody)
        nowhere = await tries(
            Show(house, show.owner, {**show.contest, "id": new_id("con")}), act, somebody
        )
        words = [await refused(answer, 404, "not_found") for answer in (hidden, nowhere)]
        assert words[0]["detail"] == words[1]["detail"], act
    assert show.id not in [each["id"] for each in await everything(house, somebody)]
    assert (await house.call("GET", f"/v1/files/{brief}", by=somebody)).status_code == 404
    await show.act("fund", licence_sha256=show.contest["licence"]["sha256"])
    assert (await house.call("GET", f"/v1/files/{brief}", by=somebody)).status_code == 200


async def everything(house: House, by: str) -> list[Json]:
    """The newest contests in the public list, and those of the caller."""
    pages = [
        await house.get("/v1/contests", by, limit=100, **more) for more in ({}, {"mine": "true"})
    ]
    return [each for page in pages for each in page["items"]]


async def test_an_entry_is_changed_by_its_own_creator_in_its_own_contest_only(house: House) -> None:
    show, another = await Show.with_entries(house, 1), await Show.opened(house)
    [creator] = show.creators
    entry_id = show.entries[creator]["id"]
    elsewhere = Show(house, another.owner, another.contest, dict(show.entries))
    answers: list[Any] = [
        await on_entry(elsewhere, "withdraw", creator, by=creator),
        await on_entry(
            elsewhere,
            "revisions",
            creator,
            by=creator,
            title="X",
            file_ids=[await show.file(creator)],
        ),
        await house.call("GET", f"{another.path}/entries/{entry_id}", by=creator),
        await another.tries("shortlist", entry_ids=[entry_id]),
        await another.tries(
            "objections", entry_id=entry_id, ground="other", words="In the wrong place."
        ),
    ]
    for answer in answers:
        await refused_as_missing(answer)
    assert (await show.entry(creator))["status"] == "entered"


async def refused_as_missing(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text


async def test_an_act_sent_twice_with_one_key_is_one_act(house: House) -> None:
    show = await Show.choosing(house, 2)
    entry_id = show.entries[show.creators[0]]["id"]
    key, body = uuid.uuid4().hex, {"awards": [{"entry_id": entry_id}]}

    async def send(content: Json) -> httpx.Response:
        path = f"{show.path}/announce"
        return await house.call("POST", path, by=show.owner, key=key, json=content)

    first, again = await send(body), await send(body)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert (await show.timeline()).count("announced by initiator") == 1
    other = {"awards": [{"entry_id": show.entries[show.creators[1]]["id"]}]}
    await refused(await send(other), 422, "idempotency_key_reused", "Idempotency-Key")
