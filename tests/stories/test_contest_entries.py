"""Entries: who sees them, what they prove, how many, until when, and how the owner sorts them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from datetime import UTC, datetime
from functools import partial

import psycopg
import pytest

from db.admission import Arrival, admit
from domain.errors import TooLate
from tests.api.client import picture
from tests.stories.contest_checks import ADMIN, on_entry, place_files, traces, try_enter
from tests.stories.contests import GRACE, Show, sha256, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json

PDF = b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n"


def first_file(entry: Json) -> str:
    """Id of the first file of the newest revision."""
    return str(entry["revisions"][0]["files"][0]["id"])


async def listed(show: Show, by: str, **params: str | int) -> list[str]:
    """Ids of the entries somebody sees in the list."""
    page = await show.house.get(f"{show.path}/entries", by, limit=100, **params)
    return [each["id"] for each in page["items"]]


async def sees(show: Show, by: str) -> list[bool]:
    """Whether somebody sees each creator's entry: in the list, on its own page, and its files alike."""
    shown = await listed(show, by)
    seen = []
    for creator, entry in show.entries.items():
        page = await show.house.call("GET", f"{show.path}/entries/{entry['id']}", by=by)
        files = await place_files(show.house, first_file(entry), by)
        assert (page.status_code, files) in ((200, {200}), (404, {404})), (by, creator)
        assert (page.status_code == 200) is (entry["id"] in shown), (by, creator)
        seen.append(page.status_code == 200)
    return seen


async def closing_at(show: Show, moment: str) -> None:
    """Moves the deadline for entries, past the platform; `moment` is SQL."""
    show.house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb("
        + moment
        + ")) WHERE id = %s",
        show.id,
    )


async def test_sealed_entries_are_seen_by_their_creator_owner_and_operators(house: House) -> None:
    show = await Show.with_entries(house, 2)
    first, second = show.creators
    somebody = stranger("reader")
    assert await sees(show, show.owner) == [True, True]
    assert await sees(show, ADMIN) == [True, True]
    assert await sees(show, first) == [True, False]
    assert await sees(show, second) == [False, True]
    assert await sees(show, somebody) == [False, False]
    hidden = [
        await house.call("GET", f"{show.path}/entries/{entry_id}", by=somebody)
        for entry_id in (show.entries[first]["id"], "ent_00000000000000000000000000")
    ]
    words = [await refused(answer, 404, "not_found") for answer in hidden]
    assert words[0]["detail"] == words[1]["detail"]
    await show.entries_close()
    await show.until("choosing")
    await show.announce(second)
    for anybody in (first, somebody):
        assert (await sees(show, anybody))[1]
    assert await sees(show, somebody) == [False, True]
    assert await listed(show, somebody, mine="true") == []


async def test_in_an_open_contest_everybody_sees_what_is_not_withdrawn(house: House) -> None:
    show = await Show.opened(house, sealed=False, entries_each=1)
    creator, somebody = stranger("creator"), stranger("reader")
    entry = await show.enter(creator)
    assert await sees(show, somebody) == [True]
    await refused(await try_enter(show, creator), 409, "limit_reached")
    answer = await on_entry(show, "withdraw", creator, by=creator)
    assert answer.status_code == 200, answer.text
    assert [r["number"] for r in answer.json()["revisions"]] == [1]
    for other in (somebody, show.owner):
        left = await show.entry(creator, by=other)
        assert (left["status"], left["title"], left["revisions"]) == ("withdrawn", "", [])
        assert await place_files(house, first_file(entry), other) == {404}
    for still in (creator, ADMIN):
        assert await place_files(house, first_file(entry), still) == {200}
        assert (await show.entry(creator, by=still))["title"] == entry["title"]
    again = await try_enter(show, creator)
    assert again.status_code == 201, "withdrawing frees the place"
    await refused(
        await on_entry(
            show, "revisions", creator, by=creator, title="Late", file_ids=[first_file(entry)]
        ),
        409,
        "wrong_phase",
        "status",
    )
    assert (await show.seen())["entry_counts"] == {"entered": 1, "withdrawn": 1}


async def test_withdrawing_one_entry_leaves_the_files_of_another_in_view(house: House) -> None:
    show = await Show.opened(house)
    creator = stranger("creator")
    shared, own = await show.file(creator), await show.file(creator)
    await show.enter(creator, file_ids=[shared, own])
    await show.enter(creator, title="The same again", file_ids=[shared])
    assert (await on_entry(show, "withdraw", creator, by=creator)).status_code == 200
    assert await place_files(house, own, show.owner) == {404}
    assert await place_files(house, shared, show.owner) == {200}
    assert await place_files(house, shared, stranger("reader")) == {404}


def proof_of(entry: Json, revision: Json) -> str:
    """What anybody can compute from an answer of the API."""
    files = [[each["name"], each["sha256"]] for each in revision["files"]]
    at = datetime.fromisoformat(revision["received_at"]).astimezone(UTC).isoformat()
    content = [entry["creator_id"], revision["title"], revision["note"], files, at]
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def test_what_was_handed_in_is_kept_as_proof_and_never_changed(house: House) -> None:
    show = await Show.opened(house)
    creator = stranger("creator")
    content = picture(color="crimson")
    sent = await house.call(
        "POST",
        "/v1/files?private=true",
        by=creator,
        files={"file": ("竹.png", content, "image/png")},
    )
    since = house.sql("SELECT clock_timestamp()")[0][0]
    entry = await show.enter(creator, title="竹 I", note="Ink.", file_ids=[sent.json()["id"]])
    [revision] = entry["revisions"]
    assert revision["files"][0]["sha256"] == sha256(content)
    assert revision["content_sha256"] == proof_of(entry, revision)
    received = datetime.fromisoformat(revision["received_at"])
    assert since <= received <= house.sql("SELECT clock_timestamp()")[0][0]
    assert entry["received_at"] == revision["received_at"]

    answer = await on_entry(
        show, "revisions", creator, by=creator, title="竹 II", file_ids=[await show.file(creator)]
    )
    assert answer.status_code == 201, answer.text
    revised = answer.json()
    assert (revised["title"], revised["received_at"]) == ("竹 II", entry["received_at"])
    newest, oldest = revised["revisions"]
    assert oldest == revision
    assert (newest["number"], newest["content_sha256"]) == (2, proof_of(revised, newest))
    assert await show.entry(creator, by=show.owner) == revised
    for change in (
        "UPDATE entry_revisions SET content_sha256 = '' WHERE entry_id = %s",
        "DELETE FROM entry_revisions WHERE entry_id = %s",
    ):
        with pytest.raises(psycopg.errors.Error, match="proof of authorship"):
            house.sql(change, entry["id"])


async def test_each_creator_has_so_many_entries_even_at_the_same_moment(house: House) -> None:
    show = await Show.opened(house, entries_each=2)
    creator = stranger("creator")
    await show.enter(creator)
    files = [await show.file(creator) for _ in range(4)]
    answers = await asyncio.gather(
        *(try_enter(show, creator, file_ids=[file_id]) for file_id in files)
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    over = next(answer for answer in answers if answer.status_code == 409)
    problem = await refused(over, 409, "limit_reached")
    assert problem["accepted"] == "at most 2 entries; withdraw one first"
    assert len(await listed(show, creator)) == 2
    await show.enter(stranger("creator"))


async def test_a_repeated_request_is_one_entry(house: House) -> None:
    show = await Show.opened(house)
    creator, key = stranger("creator"), uuid.uuid4().hex
    body: Json = {"title": "Once", "file_ids": [await show.file(creator)]}
    answers = await asyncio.gather(*(try_enter(show, creator, key=key, **body) for _ in range(3)))
    answers.append(await try_enter(show, creator, key=key, **body))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert answers[-1].headers["Idempotency-Replayed"] == "true"
    assert house.sql("SELECT count(*) FROM entries WHERE contest_id = %s", show.id) == [(1,)]


async def test_the_owner_puts_entries_aside_with_a_reason_and_brings_them_back(
    house: House,
) -> None:
    show = await Show.with_entries(house, 4)
    ids = [entry["id"] for entry in show.entries.values()]
    assert (await show.seen())["feedback_percent"] == 0
    put_aside = {"entry_ids": ids[:2], "reason": "off_brief", "remark": "No bamboo."}
    sorted_out = await house.post(f"{show.path}/eliminate", put_aside, by=show.owner)
    assert [each["id"] for each in sorted_out["entries"]] == ids[:2]
    told = await show.entry(show.creators[0])
    assert (told["status"], told["reason"], told["remark"]) == (
        "eliminated",
        "off_brief",
        "No bamboo.",
    )
    await show.shortlist(show.creators[2])
    seen = await show.seen()
    assert seen["feedback_percent"] == 75
    assert seen["entry_counts"] == {"eliminated": 2, "entered": 1, "shortlisted": 1}
    await show.shortlist(show.creators[0])
    back = await show.entry(show.creators[0])
    assert (back["status"], back["reason"], back["remark"]) == ("shortlisted", None, "")
    off = {"entry_ids": [ids[0], ids[2]], "shortlisted": False}
    await house.post(f"{show.path}/shortlist", off, by=show.owner)
    assert (await show.seen())["feedback_percent"] == 25
    assert await listed(show, show.owner, status="eliminated") == [ids[1]]

    await show.entries_close()
    await show.until("choosing")
    assert "3 creators share" in (await show.deadlines())["choice"]["outcome"]
    await show.shortlist(show.creators[1])
    assert "one entry wins" in (await show.deadlines())["choice"]["outcome"]
    answer = await on_entry(show, "withdraw", show.creators[1], by=show.creators[1])
    assert answer.status_code == 200, answer.text
    assert "3 creators share" in (await show.deadlines())["choice"]["outcome"]


async def test_the_deadline_is_that_of_the_databases_clock(house: House) -> None:
    show = await Show.with_entries(house, 1)
    [creator] = show.creators
    punctual = stranger("creator")
    file_id, own_file = await show.file(creator), await show.file(punctual)
    await closing_at(show, "clock_timestamp() - interval '1 millisecond'")
    before = traces(show)
    await refused(await try_enter(show, stranger("creator")), 409, "too_late", "entries")
    late = await on_entry(show, "revisions", creator, by=creator, title="II", file_ids=[file_id])
    problem = await refused(late, 409, "too_late", "entries")
    assert problem["accepted"].startswith("before 2")
    assert traces(show) == before
    await closing_at(show, "clock_timestamp() + interval '1 second'")
    answer = await try_enter(show, punctual, file_ids=[own_file])
    assert answer.status_code == 201, answer.text
    assert len(await listed(show, show.owner)) == 2


async def test_a_request_that_waited_in_the_queue_counts_from_its_arrival(house: House) -> None:
    show = await Show.opened(house)
    await closing_at(show, "clock_timestamp() - interval '2 seconds'")
    let_in = partial(admit, path_id=show.id, phases=("open",), deadline="entries")
    async with house.database.transaction() as session:
        waited = Arrival(time.monotonic() - 5)
        admitted = await let_in(session, arrival=waited)
        due = datetime.fromisoformat((await show.deadlines())["entries"]["due_at"])
        assert 2 < (due - admitted.at).total_seconds() < 5
        with pytest.raises(TooLate) as late:
            await let_in(session, arrival=Arrival(time.monotonic() - 1))
        assert late.value.field == "entries"
        # A clock that went backwards is no ticket to the past or the future.
        with pytest.raises(TooLate):
            await let_in(session, arrival=Arrival(time.monotonic() + 60))


async def test_pictures_have_thumbnails_and_documents_have_none(house: House) -> None:
    show = await Show.opened(house)
    creator = stranger("creator")
    sent = await house.call(
        "POST",
        "/v1/files?private=true",
        by=creator,
        files={"file": ("plan.pdf", PDF, "application/pdf")},
    )
    assert sent.status_code == 201, sent.text
    files = [await show.file(creator), sent.json()["id"]]
    entry = await show.enter(creator, file_ids=files)
    drawing, document = entry["revisions"][0]["files"]
    assert [drawing["id"], document["id"]] == files
    small = await house.call("GET", drawing["thumbnail_url"], by=show.owner)
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    assert document["thumbnail_url"] is None
    whole = await house.call("GET", document["content_url"], by=show.owner)
    assert (whole.content, sha256(whole.content)) == (PDF, document["sha256"])


async def test_entries_come_in_pages_in_the_order_of_arrival(house: House) -> None:
    show = await Show.with_entries(house, 3)
    mine = show.creators[1]
    await show.enter(mine, title="A second one")
    everything = await listed(show, show.owner)
    paged: list[str] = []
    after: dict[str, str] = {}
    for _ in range(4):
        page = await house.get(f"{show.path}/entries", show.owner, limit=1, **after)
        [only] = page["items"]
        paged.append(only["id"])
        after = {"after": page["next"]}
    assert page["next"] is None
    assert paged == everything
    assert paged[:3] == [entry["id"] for entry in show.entries.values()]
    assert await listed(show, mine) == [paged[1], paged[3]] == await listed(show, mine, mine="true")


async def test_creators_and_owner_at_work_at_the_same_moment(house: House) -> None:
    show = await Show.with_entries(house, 3)
    files = {creator: await show.file(creator) for creator in show.creators}
    first, second, third = show.creators
    ids = [entry["id"] for entry in show.entries.values()]

    async def sort(verb: str, **body: object) -> int:
        path = f"{show.path}/{verb}"
        answer = await house.call("POST", path, by=show.owner, json={"entry_ids": ids, **body})
        return answer.status_code

    async def revise(by: str) -> int:
        answer = await on_entry(show, "revisions", by, by=by, title="Again", file_ids=[files[by]])
        return answer.status_code

    for _ in range(5):
        statuses = await asyncio.gather(
            revise(first), sort("shortlist"), revise(second), sort("shortlist"), revise(third)
        )
        assert list(statuses) == [201, 200, 201, 200, 201]
    left, *_ = await asyncio.gather(
        on_entry(show, "withdraw", third, by=third), sort("shortlist"), sort("shortlist")
    )
    assert left.status_code == 200, left.text
    assert (await show.entry(third))["status"] == "withdrawn"


async def test_finalists_revise_in_the_final_round_and_nobody_else(house: House) -> None:
    show = await Show.with_entries(house, 2, rounds=2)
    finalist, other = show.creators
    await show.entries_close()
    await show.until("picking")
    await show.follows("picking")
    work = {"title": "Final", "file_ids": [await show.file(finalist)]}
    answer = await on_entry(show, "revisions", finalist, by=finalist, **work)
    await refused(answer, 409, "wrong_phase", "phase")
    await show.act("finalists", entry_ids=[show.entries[finalist]["id"]])
    answer = await on_entry(show, "revisions", finalist, by=finalist, **work)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["finalist"], len(answer.json()["revisions"])) == (True, 2)
    left = await show.entry(other)
    assert (left["status"], left["reason"]) == ("eliminated", "not_a_finalist")
    answer = await on_entry(
        show, "revisions", other, by=other, title="I too", file_ids=[await show.file(other)]
    )
    await refused(answer, 409, "wrong_phase", "phase")
    await refused(await try_enter(show, stranger("creator")), 409, "wrong_phase", "phase")
    await show.let_pass(3 * DAY + GRACE)
    await show.until("choosing")
    answer = await on_entry(show, "revisions", finalist, by=finalist, **work)
    await refused(answer, 409, "wrong_phase", "phase")
