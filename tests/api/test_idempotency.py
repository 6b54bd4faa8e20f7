"""One key, one effect, one answer."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from api.idempotency import REPLAYED, Once
from domain.errors import Unavailable, WrongPhase
from tests.api.client import LISTING, Api, assert_problem, picture


class Made(BaseModel):
    """What the operations of these tests make."""

    id: str


def _once(api: Api, key: str, path: str = "/v1/things") -> Once:
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    return Once(api.app.state.services, Request(scope | {"server": ("api", 80)}), "usr_test", key)


async def test_replay(api: Api) -> None:
    first = await api.call("POST", "/v1/listings", by="rita", key="replay", json=LISTING)
    again = await api.call("POST", "/v1/listings", by="rita", key="replay", json=LISTING)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"
    seller = first.json()["seller_id"]
    assert len(api.execute("SELECT 1 FROM listings WHERE seller_id = %s", seller)) == 1


async def test_defaults_written_out_are_the_same_request(api: Api) -> None:
    first = await api.call("POST", "/v1/listings", by="ann", key="defaults", json=LISTING)
    longer = {**LISTING, "on_sale": True, "description": ""}
    again = await api.call("POST", "/v1/listings", by="ann", key="defaults", json=longer)
    assert again.json() == first.json()


async def test_other_body_or_address_conflicts(api: Api) -> None:
    await api.call("POST", "/v1/listings", by="ann", key="other", json=LISTING)
    changed = {**LISTING, "stock": 6}
    answer = await api.call("POST", "/v1/listings", by="ann", key="other", json=changed)
    assert_problem(answer, 422, "idempotency_key_reused")
    destination = {"account": "6222020200112233445", "holder": "Ann"}
    answer = await api.call(
        "POST", "/v1/payout-destinations", by="ann", key="other", json=destination
    )
    assert_problem(answer, 422, "idempotency_key_reused")


async def test_keys_of_other_users_do_not_matter(api: Api) -> None:
    first = await api.call("POST", "/v1/listings", by="ann", key="mine", json=LISTING)
    other = await api.call("POST", "/v1/listings", by="bob", key="mine", json=LISTING)
    assert other.status_code == 201
    assert first.json()["id"] != other.json()["id"]


async def test_refusal_is_kept_and_schema_errors_are_not(api: Api) -> None:
    refused = {**LISTING, "stock": 0}
    first = await api.call("POST", "/v1/listings", by="ann", key="refused", json=refused)
    again = await api.call("POST", "/v1/listings", by="ann", key="refused", json=refused)
    assert_problem(first, 422, "invalid_input")
    assert_problem(again, 422, "invalid_input")
    assert again.headers[REPLAYED] == "true"
    assert first.json() == again.json()

    misspelt = {**LISTING, "stok": 1}
    answer = await api.call("POST", "/v1/listings", by="ann", key="misspelt", json=misspelt)
    assert_problem(answer, 422, "invalid_input")
    answer = await api.call("POST", "/v1/listings", by="ann", key="misspelt", json=LISTING)
    assert answer.status_code == 201


async def test_two_at_once_make_one_listing(api: Api) -> None:
    seller = await api.user_id("hasty")
    answers = await asyncio.gather(
        *(
            api.call("POST", "/v1/listings", by="hasty", key="double-click", json=LISTING)
            for _ in range(4)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(REPLAYED in answer.headers for answer in answers) == 3
    assert len(api.execute("SELECT 1 FROM listings WHERE seller_id = %s", seller)) == 1


async def test_upload_is_replayed_by_content(api: Api) -> None:
    first = await api.upload("ann", picture(), key="upload")
    again = await api.upload("ann", picture(), key="upload")
    assert first.status_code == 201, first.text
    assert first.json() == again.json()
    other = await api.upload("ann", picture(color="red"), key="upload")
    assert_problem(other, 422, "idempotency_key_reused")


async def test_refusal_in_a_transaction_undoes_its_effect(api: Api) -> None:
    name = "half made"

    async def refuse(session: AsyncSession, made_id: str) -> Made:
        query = "INSERT INTO users (id, issuer, subject, display_name) VALUES (:id, 'x', :id, :n)"
        await session.execute(text(query), {"id": made_id, "n": name})
        raise WrongPhase("too late")

    answer = await _once(api, "half").in_transaction("usr", "body", refuse, status=201)
    assert answer.status_code == 409
    assert api.execute("SELECT 1 FROM users WHERE display_name = %s", name) == []


async def test_what_is_down_is_not_kept(api: Api) -> None:
    ids: list[str] = []

    async def try_it(made_id: str) -> Made:
        ids.append(made_id)
        if len(ids) == 1:
            raise Unavailable("down")
        return Made(id=made_id)

    once = _once(api, "down")
    with pytest.raises(Unavailable):
        await once.resumable("sal", "body", try_it, status=201)
    answer = await once.resumable("sal", "body", try_it, status=201)
    assert answer.status_code == 201
    assert ids[0] == ids[1]
    replay = await once.resumable("sal", "body", try_it, status=201)
    assert replay.headers[REPLAYED] == "true"
    assert len(ids) == 2


async def test_refusal_from_a_workflow_is_kept(api: Api) -> None:
    tries = 0

    async def refuse(_: str) -> Made:
        nonlocal tries
        tries += 1
        details = {"detail": "only 2 left", "field": "lines[0].quantity", "accepted": "at most 2"}
        cause = ApplicationError("only 2 left", details, type="out_of_stock", non_retryable=True)
        raise WorkflowUpdateFailedError(cause)

    bodies = set()
    for _ in range(2):
        answer = await _once(api, "workflow").resumable("sal", "body", refuse, status=201)
        assert answer.status_code == 409
        bodies.add(bytes(answer.body).count(b"lines[0].quantity"))
    assert tries == 1
    assert bodies == {1}


async def test_concurrent_tries_agree_on_one_answer(api: Api) -> None:
    both_in = asyncio.Barrier(2)

    async def run(made_id: str) -> Made:
        await both_in.wait()
        return Made(id=made_id)

    once = _once(api, "side by side")
    one, two = await asyncio.gather(
        once.resumable("sal", "body", run, status=201),
        once.resumable("sal", "body", run, status=201),
    )
    assert one.body == two.body
    assert (REPLAYED in one.headers) != (REPLAYED in two.headers)
