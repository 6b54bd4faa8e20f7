"""Who people are, whom they are tied to, and what frozen people may not do."""

from __future__ import annotations

import uuid

import httpx
import pytest

from domain.ids import new_id
from tests.api.client import LISTING, Api, Json, assert_problem

OPERATOR = "people-operator"


@pytest.fixture
async def operator(api: Api) -> str:
    """Somebody who is an operator."""
    api.grant(await api.user_id(OPERATOR), "operator")
    return OPERATOR


def somebody() -> str:
    """A subject nobody else uses."""
    return f"person-{uuid.uuid4().hex[:10]}"


def number() -> str:
    """A document number nobody else has."""
    return f"CN:{uuid.uuid4().int % 10**18:018d}"


async def verify(api: Api, subject: str, document: str) -> httpx.Response:
    """An operator has seen somebody's document."""
    path = f"/v1/users/{await api.user_id(subject)}/identity"
    return await api.call("PUT", path, by=OPERATOR, json={"document": document})


async def bank(api: Api, subject: str, account: str, currency: str = "CNY") -> None:
    """Somebody gives a bank account."""
    body = {"account": account, "holder": subject, "currency": currency}
    answer = await api.call("POST", "/v1/payout-destinations", by=subject, json=body)
    assert answer.status_code == 201, answer.text


async def order(api: Api, listing: Json, by: str, key: str | None = None) -> httpx.Response:
    """Somebody tries to buy one piece."""
    body = {"lines": [{"listing_id": listing["id"], "quantity": 1}]}
    return await api.call("POST", "/v1/sales", by=by, json=body, key=key)


async def newest_refusal(api: Api) -> Json:
    """What operators see on top."""
    page = (await api.get("/v1/self-dealing-refusals", by=OPERATOR, limit=1)).json()
    newest: Json = page["items"][0]
    return newest


async def freeze(api: Api, subject: str) -> None:
    """Marks an account as frozen, without the workflow that moves its money."""
    query = "UPDATE users SET frozen_at = now(), frozen_reason = 'case 1' WHERE id = %s"
    api.execute(query, await api.user_id(subject))


async def test_an_identity_is_kept_as_a_hash_only(api: Api, operator: str) -> None:
    lin, document = somebody(), number()
    assert (await api.get("/v1/me", by=lin)).json()["verified"] is False
    seen = (await verify(api, lin, document)).json()
    assert seen["verified"] is True
    assert seen["verified_at"] is not None
    assert (await api.get("/v1/me", by=lin)).json()["verified"] is True
    [row] = api.execute("SELECT u::text FROM users u WHERE id = %s", seen["id"])
    assert document[3:] not in row[0]
    [(kept,)] = api.execute("SELECT identity_hash FROM users WHERE id = %s", seen["id"])
    assert len(kept) == 64

    spelt = f"{document[:5]} {document[5:9]}-{document[9:]}".lower().replace(":", "：")
    assert (await verify(api, lin, spelt)).json()["verified_at"] == seen["verified_at"]
    assert api.execute("SELECT identity_hash FROM users WHERE id = %s", seen["id"]) == [(kept,)]

    path = f"/v1/users/{seen['id']}/identity"
    for _ in range(2):
        gone = await api.call("DELETE", path, by=operator)
        assert (gone.status_code, gone.json()["verified"]) == (200, False)
    told = api.execute("SELECT kind FROM account_events WHERE user_id = %s ORDER BY id", seen["id"])
    assert told == [("verified",), ("unverified",)]


@pytest.mark.parametrize(
    "document", ["", "110101199003070017", "CN:", "C:12345", "CN:12_45", "CN:1234\u0000", "х" * 101]
)
async def test_what_is_no_document_is_refused_unrepeated(
    api: Api, operator: str, document: str
) -> None:
    answer = await verify(api, somebody(), document)
    assert assert_problem(answer, 422, "invalid_input")["field"] == "document"
    assert not document or document not in answer.text


async def test_identities_and_freezing_are_for_operators(api: Api, operator: str) -> None:
    lin = somebody()
    path = f"/v1/users/{await api.user_id(lin)}"
    requests = (
        ("PUT", "identity", {"document": number()}),
        ("DELETE", "identity", None),
        ("POST", "freeze", {"reason": "case 1"}),
        ("POST", "unfreeze", {"reason": "case 1"}),
    )
    frozen = somebody()
    api.grant(await api.user_id(frozen), "operator")
    await freeze(api, frozen)
    for method, what, body in requests:
        refused = await api.call(method, f"{path}/{what}", by=lin, json=body)
        assert_problem(refused, 403, "forbidden")
        refused = await api.call(method, f"{path}/{what}", by="root-of-none", json=body)
        assert_problem(refused, 403, "forbidden")
        refused = await api.call(method, f"{path}/{what}", by=frozen, json=body)
        assert_problem(refused, 403, "forbidden")
        nobody = f"/v1/users/{new_id('usr')}/{what}"
        assert_problem(await api.call(method, nobody, by=operator, json=body), 404, "not_found")
    empty = await api.call("POST", f"{path}/freeze", by=operator, json={"reason": " "})
    assert assert_problem(empty, 422, "invalid_input")["field"] == "reason"
    keyless = await api.call("POST", f"{path}/freeze", by=operator, json={"reason": "x"}, key="")
    assert_problem(keyless, 400, "idempotency_key_missing")


async def test_operators_see_who_is_verified_and_frozen(api: Api, operator: str) -> None:
    lin = somebody()
    before = await api.user_id(somebody())
    lin_id = await api.user_id(lin)
    await verify(api, lin, number())
    await freeze(api, lin)
    [row] = (await api.get("/v1/users", by=operator, after=before, limit=1)).json()["items"]
    assert (row["id"], row["verified"], row["frozen"]) == (lin_id, True, True)
    assert row["frozen_reason"] == "case 1"
    own = (await api.get("/v1/me", by=lin)).json()
    assert own["frozen"] is True
    assert "frozen_reason" not in own


async def test_the_frozen_may_look_but_not_begin_anything(api: Api) -> None:
    maker, frozen = somebody(), somebody()
    lamp, own = await api.listing(maker), await api.listing(frozen)
    await freeze(api, frozen)
    for answer in (
        await order(api, lamp, frozen),
        await api.call("POST", "/v1/listings", by=frozen, json=LISTING),
        await api.call("PATCH", f"/v1/listings/{own['id']}", by=frozen, json={"stock": 1}),
        await api.call("POST", "/v1/payouts", by=frozen, json={}),
    ):
        problem = assert_problem(answer, 403, "account_frozen")
        assert "case 1" not in answer.text
        assert problem["accepted"]
    for path in ("/v1/me", "/v1/me/balances", "/v1/me/listings", "/v1/sales", "/v1/payouts"):
        assert (await api.get(path, by=frozen)).status_code == 200
    assert (await api.get(f"/v1/listings/{own['id']}")).json()["stock"] == 5


async def test_the_same_payout_account_in_another_spelling_is_the_same_person(
    api: Api, operator: str
) -> None:
    maker, shill = somebody(), somebody()
    account = f"gb29 nwbk-{uuid.uuid4().hex[:10]}"
    await bank(api, maker, account)
    await bank(api, maker, f"other-{uuid.uuid4().hex}")
    await bank(api, shill, account.replace(" ", "").replace("-", "").upper(), currency="EUR")
    lamp = await api.listing(maker)
    key = uuid.uuid4().hex
    answers = [await order(api, lamp, shill, key=key) for _ in range(2)]
    for answer in answers:
        assert_problem(answer, 403, "self_dealing")
        assert account not in answer.text
        assert await api.user_id(maker) not in answer.text
        assert "destination" not in answer.text

    refusal = await newest_refusal(api)
    assert refusal == {
        "id": refusal["id"],
        "path_id": None,
        "action": "sale.place",
        "user_id": await api.user_id(shill),
        "other_id": await api.user_id(maker),
        "tie": "same_destination",
        "at": refusal["at"],
    }
    await order(api, lamp, shill)
    again = await newest_refusal(api)
    before = await api.get("/v1/self-dealing-refusals", by=operator, after=again["id"], limit=1)
    # The request that came twice under its key is written down once.
    assert before.json()["items"] == [refusal]
    assert again["user_id"] == refusal["user_id"]


async def test_the_same_document_is_the_same_person(api: Api, operator: str) -> None:
    maker, shill, stranger = somebody(), somebody(), somebody()
    document = number()
    await verify(api, maker, document)
    await verify(api, shill, f" {document.lower()} ")
    await verify(api, stranger, number())
    lamp = await api.listing(maker)
    assert_problem(await order(api, lamp, shill), 403, "self_dealing")
    assert (await newest_refusal(api))["tie"] == "same_identity"
    # A stranger gets as far as the workflow, which these tests have none of.
    assert_problem(await order(api, lamp, stranger), 503, "unavailable")
    await api.call("DELETE", f"/v1/users/{await api.user_id(shill)}/identity", by=operator)
    assert_problem(await order(api, lamp, shill), 503, "unavailable")


async def test_the_own_listing_stays_what_it_was(api: Api) -> None:
    maker = somebody()
    answer = await order(api, await api.listing(maker), maker)
    assert_problem(answer, 422, "own_listing")


async def test_refusals_by_path(api: Api, operator: str) -> None:
    one, other = await api.user_id(somebody()), await api.user_id(somebody())
    path, elsewhere = new_id("con"), new_id("con")
    for at in (path, elsewhere, path):
        api.execute(
            "INSERT INTO self_dealing_refusals (path_id, action, user_id, other_id, tie)"
            " VALUES (%s, 'contest.enter', %s, %s, 'same_identity')",
            at,
            one,
            other,
        )
    seen: list[int] = []
    after: dict[str, str | int] = {}
    while True:
        answer = await api.get(
            "/v1/self-dealing-refusals", by=operator, path_id=path, limit=1, **after
        )
        page = answer.json()
        seen += [each["id"] for each in page["items"] if each["path_id"] == path]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(seen) == 2
    assert seen == sorted(seen, reverse=True)
    wrong = await api.get("/v1/self-dealing-refusals", by=operator, path_id="con_1")
    assert assert_problem(wrong, 422, "invalid_input")["field"] == "path_id"
