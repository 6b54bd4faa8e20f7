"""Private files: who is shown what, until when, and that nothing else can tell they exist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.queries import file_access, files
from db.queries.file_access import MEMBERS
from domain.errors import UnknownFile
from domain.ids import new_id
from tests.api.client import Api, Json, assert_problem, picture

PEOPLE = ("nobody", "stranger", "guest", "author", "watcher")
PLACES = ("", "/content", "/thumbnail")


@asynccontextmanager
async def _transaction(api: Api) -> AsyncIterator[AsyncSession]:
    database: Database = api.app.state.services.database
    async with database.transaction() as session:
        yield session


async def _private(api: Api, color: str = "teal") -> str:
    """A private picture of the author, in a world with a watching operator."""
    api.grant(await api.user_id("watcher"), "operator")
    answer = await api.upload("author", picture(color=color), private=True)
    assert answer.status_code == 201, answer.text
    assert answer.json()["private"] is True
    return str(answer.json()["id"])


async def _seen_by(api: Api, file_id: str) -> set[str]:
    """Who is shown the file: its metadata, its content and its thumbnail alike."""
    seen = set()
    for person in PEOPLE:
        by = None if person == "nobody" else person
        answers = [await api.get(f"/v1/files/{file_id}{place}", by=by) for place in PLACES]
        statuses = {answer.status_code for answer in answers}
        assert statuses in ({200}, {404}), f"{person}: {statuses}"
        if statuses == {200}:
            seen.add(person)
            for answer in answers:
                assert answer.headers["cache-control"] == "private, no-store"
        else:
            for answer in answers:
                assert_problem(answer, 404, "not_found")
    return seen


async def test_who_is_shown_a_private_file(api: Api) -> None:
    file_id = await _private(api)
    guest = await api.user_id("guest")
    contest, other = new_id("con"), new_id("con")
    assert await _seen_by(api, file_id) == {"author", "watcher"}

    async with _transaction(api) as session:
        await file_access.grant(session, [file_id], contest, guest)
        await file_access.grant(session, [file_id, file_id], contest, guest)
    assert await _seen_by(api, file_id) == {"author", "watcher", "guest"}

    async with _transaction(api) as session:
        await file_access.grant(session, [file_id], other, MEMBERS)
    assert await _seen_by(api, file_id) == {"author", "watcher", "guest", "stranger"}

    async with _transaction(api) as session:
        await file_access.revoke(session, other)
    assert await _seen_by(api, file_id) == {"author", "watcher", "guest"}

    async with _transaction(api) as session:
        await file_access.revoke(session, contest, [file_id])
        await file_access.revoke(session, contest, [file_id])
    assert await _seen_by(api, file_id) == {"author", "watcher"}


async def test_a_path_shows_and_hides_only_what_it_granted(api: Api) -> None:
    first, second = await _private(api), await _private(api)
    guest = await api.user_id("guest")
    contest, other = new_id("con"), new_id("con")
    async with _transaction(api) as session:
        await file_access.grant(session, [first, second], contest, guest)
        await file_access.grant(session, [first], other, guest)
        await file_access.grant(session, [], other, guest)
        await file_access.revoke(session, contest, [])
        assert await file_access.is_shown(session, second, guest)
        await file_access.revoke(session, contest)
        assert not await file_access.is_shown(session, second, guest)
        assert await file_access.is_shown(session, first, guest)
        assert not await file_access.is_shown(session, first, await api.user_id("stranger"))


async def test_a_grant_that_is_rolled_back_shows_nothing(api: Api) -> None:
    file_id, guest = await _private(api), await api.user_id("guest")
    with pytest.raises(ZeroDivisionError):
        async with _transaction(api) as session:
            await file_access.grant(session, [file_id], new_id("con"), guest)
            raise ZeroDivisionError
    assert "guest" not in await _seen_by(api, file_id)


async def test_hidden_and_missing_files_look_the_same(api: Api) -> None:
    file_id = await _private(api)
    for place in PLACES:
        for by in (None, "stranger"):
            hidden, missing = [
                assert_problem(await api.get(f"/v1/files/{one}{place}", by=by), 404, "not_found")
                for one in (file_id, new_id("fil"))
            ]
            for problem in (hidden, missing):
                del problem["instance"], problem["request_id"]
            assert hidden == missing


async def test_knowing_the_etag_opens_nothing(api: Api) -> None:
    file_id = await _private(api, "plum")
    path = f"/v1/files/{file_id}/content"
    headers = {"If-None-Match": (await api.get(path, by="author")).headers["etag"]}
    known = await api.call("GET", path, by="author", headers=headers)
    assert (known.status_code, known.headers["cache-control"]) == (304, "private, no-store")
    assert_problem(await api.call("GET", path, by="stranger", headers=headers), 404, "not_found")
    assert_problem(await api.call("GET", path, headers=headers), 404, "not_found")


async def test_the_same_bytes_in_public_do_not_open_the_private_file(api: Api) -> None:
    file_id = await _private(api, "khaki")
    public = (await api.upload("stranger", picture(color="khaki"))).json()
    assert (await api.get(f"/v1/files/{public['id']}/content")).status_code == 200
    assert await _seen_by(api, file_id) == {"author", "watcher"}


async def test_bad_tokens_are_said_to_be_bad(api: Api) -> None:
    file_id = await _private(api)
    public = (await api.upload("author", picture())).json()["id"]
    for one in (file_id, public, new_id("fil")):
        headers = {"Authorization": "Bearer nonsense"}
        answer = await api.call("GET", f"/v1/files/{one}", headers=headers)
        assert_problem(answer, 401, "unauthenticated")
    assert (await api.get(f"/v1/files/{public}", by="stranger")).status_code == 200


async def test_private_and_name_belong_to_the_request(api: Api) -> None:
    sent: Json = {"content": picture(color="coral"), "name": "a.png", "key": "private-files"}
    first = await api.upload("author", private=True, **sent)
    again = await api.upload("author", private=True, **sent)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    for changed in ({"private": False}, {"name": "b.png"}):
        answer = await api.upload("author", **{**sent, "private": True, **changed})
        assert_problem(answer, 422, "idempotency_key_reused")


async def test_private_must_be_a_yes_or_no(api: Api) -> None:
    form = {"file": ("a.png", picture(), "image/png")}
    answer = await api.call("POST", "/v1/files?private=maybe", by="author", files=form)
    assert assert_problem(answer, 422, "invalid_input")["field"] == "private"


async def test_the_document_says_that_the_token_is_optional(api: Api) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    for place in PLACES:
        operation = paths[f"/v1/files/{{file_id}}{place}"]["get"]
        assert operation["security"] == [{"bearer": []}, {}]
        assert {"401", "404"} <= set(operation["responses"])


async def test_attachable(api: Api) -> None:
    author = await api.user_id("author")
    mine = [await _private(api) for _ in range(3)][::-1]
    theirs = (await api.upload("stranger", picture())).json()["id"]
    async with _transaction(api) as session:
        assert [row.id for row in await files.attachable(session, author, mine)] == mine
        assert await files.attachable(session, author, []) == []
        for wrong in (theirs, new_id("fil")):
            with pytest.raises(UnknownFile) as refused:
                await files.attachable(session, author, [mine[0], wrong])
            assert (refused.value.code, refused.value.http_status) == ("unknown_file", 422)
            assert refused.value.field == "file_ids[1]"
            assert refused.value.accepted == "files you uploaded"
