"""What the tests of refusals on contests share: people, files, and that a refusal leaves no trace."""

from __future__ import annotations

import uuid

import httpx

from tests.stories.contests import Show
from tests.stories.deals import refused
from tests.stories.house import House, Json

ADMIN = "admin"
_TRACES = (
    "SELECT phase, deadlines, paused_at FROM paths WHERE id = %s",
    "SELECT terms, state, end_reason FROM contests WHERE id = %s",
    "SELECT id, kind FROM events WHERE path_id = %s ORDER BY id",
    "SELECT id, status, title, finalist, reason, remark FROM entries WHERE contest_id = %s ORDER BY id",
    "SELECT entry_id, number FROM entry_revisions JOIN entries ON id = entry_id"
    " WHERE contest_id = %s ORDER BY 1, 2",
    "SELECT id, status, ruling FROM objections WHERE contest_id = %s ORDER BY id",
    "SELECT entry_id, number FROM hand_overs WHERE contest_id = %s ORDER BY 1, 2",
    "SELECT user_id, entry_id FROM licence_signatures WHERE path_id = %s ORDER BY id",
    "SELECT file_id, audience FROM file_grants WHERE path_id = %s ORDER BY 1, 2",
    "SELECT id, purpose FROM payments WHERE path_id = %s ORDER BY id",
    "SELECT id, amount FROM refunds WHERE path_id = %s ORDER BY id",
    "SELECT id, key FROM ledger_entries WHERE path_id = %s AND kind <> 'settle' ORDER BY id",
)


_ALL_TRACES = (
    f"SELECT {', '.join(f'ARRAY(SELECT found::text FROM ({each}) found)' for each in _TRACES)}"
)


def traces(show: Show) -> list[list[str]]:
    """Everything that an act could leave behind: rows, timeline, timers and journal of the contest."""
    [found] = show.house.sql(_ALL_TRACES, *[show.id] * len(_TRACES))
    return list(found)


async def refuses(
    show: Show, verb: str, code: str, field: str | None, *, by: str | None = None, **body: object
) -> Json:
    """An act that is refused with 409 or 422, with what would be accepted, and leaves nothing behind."""
    status = 409 if code in ("wrong_phase", "limit_reached", "too_late") else 422
    problem = await refuses_with(show, verb, (status, code, field), by=by, **body)
    assert problem["accepted"], problem
    return problem


async def refuses_with(
    show: Show,
    verb: str,
    expected: tuple[int, str, str | None],
    *,
    by: str | None = None,
    **body: object,
) -> Json:
    """An act that is refused with this status, code and field, and leaves nothing behind."""
    before = traces(show)
    problem = await refused(await show.tries(verb, by=by, **body), *expected)
    assert traces(show) == before, f"{verb} {body} has left something behind"
    return problem


async def place_files(house: House, file_id: str, by: str) -> set[int]:
    """The statuses somebody gets for a file: what it is, its content and its thumbnail."""
    places = ("", "/content", "/thumbnail")
    answers = [await house.call("GET", f"/v1/files/{file_id}{each}", by=by) for each in places]
    return {answer.status_code for answer in answers}


async def try_enter(
    show: Show, by: str, *, key: str | None = None, **changes: object
) -> httpx.Response:
    """An entry whose answer is for the test to judge."""
    body = {"title": f"By {by}", **changes}
    if "file_ids" not in body:
        body["file_ids"] = [await show.file(by)]
    return await show.house.call("POST", f"{show.path}/entries", by=by, key=key, json=body)


async def on_entry(show: Show, verb: str, of: str, *, by: str, **body: object) -> httpx.Response:
    """An act on somebody's first entry, whose answer is for the test to judge."""
    path = f"{show.path}/entries/{show.entries[of]['id']}/{verb}"
    return await show.house.call("POST", path, by=by, json=body)


async def object_to(show: Show, of: str, by: str) -> Json:
    """An objection that is written down."""
    return await show.house.post(
        f"{show.path}/objections",
        {
            "entry_id": show.entries[of]["id"],
            "ground": "copied",
            "words": "I have seen this in a shop in Suzhou.",
        },
        by=by,
    )


async def freeze(show: Show, who: str, verb: str = "freeze") -> None:
    """An operator freezes or unfreezes somebody."""
    path = f"/v1/users/{await show.user_id(who)}/{verb}"
    await show.house.post(path, {"reason": "case 12"}, by=ADMIN)


async def same_person(house: House, *people: str) -> None:
    """Operators have seen the same document for all of them."""
    document = f"CN:{uuid.uuid4().hex[:12]}"
    for each in people:
        found = await house.get("/v1/me", by=each)
        path = f"/v1/users/{found['id']}/identity"
        answer = await house.call("PUT", path, by=ADMIN, json={"document": document})
        assert answer.status_code == 200, answer.text


async def same_bank(house: House, *people: str) -> None:
    """They are paid to the same bank account."""
    account = f"6222{uuid.uuid4().int % 10**12:012d}"
    for each in people:
        body = {"account": account, "holder": each, "automatic": False}
        await house.post("/v1/payout-destinations", body, by=each)
