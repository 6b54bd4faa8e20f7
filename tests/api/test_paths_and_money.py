"""Deadlines, timeline, balances, statements and payout destinations, read from PostgreSQL."""

from __future__ import annotations

import asyncio
import json

from db.engine import Database
from domain import accounts
from domain.accounts import Side
from domain.ids import new_id
from domain.postings import Share, fund, release
from ledger.journal import post
from tests.api.client import Api, Json, assert_problem

DEADLINES = json.dumps(
    [
        {
            "name": "acceptance",
            "due_at": "2030-01-02T03:04:05+08:00",
            "stopped_by": ["seller: accept"],
            "outcome": "The buyer gets everything back.",
            "postings": [
                {"account": "escrow:x", "side": "debit", "amount": 12_000, "currency": "CNY"}
            ],
        }
    ]
)
DESTINATION = {"account": "6222020200112233445", "holder": "Lin Mei"}


async def _all(api: Api, path: str, by: str, limit: int) -> list[Json]:
    """All items of a list, page by page."""
    found: list[Json] = []
    after = ""
    while True:
        params: dict[str, str | int] = {"limit": limit} | ({"after": after} if after else {})
        answer = await api.get(path, by=by, **params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        after = page["next"]


async def _finished_sale(api: Api) -> tuple[str, str]:
    """A sale of CNY 120.00 that was paid and released; its id and that of its seller."""
    buyer, seller = await api.user_id("buyer-m"), await api.user_id(f"seller-{new_id('usr')}")
    sale = api.sale(buyer, seller)
    shares = [
        Share(account=accounts.payable(seller), amount=11_040),
        Share(account=accounts.FEE, amount=960),
    ]
    database: Database = api.app.state.services.database
    async with database.transaction() as session:
        await post(session, fund(f"{sale}/fund", sale, "sandbox", 12_000, "CNY"))
        await post(session, release(f"{sale}/release", sale, shares, "CNY"))
    return sale, seller


async def test_deadlines(api: Api) -> None:
    buyer, seller = await api.user_id("buyer-d"), await api.user_id("seller-d")
    sale = api.sale(buyer, seller, DEADLINES)
    answer = (await api.get(f"/v1/sales/{sale}/deadlines", by="buyer-d")).json()
    assert answer == (await api.get(f"/v1/paths/{sale}/deadlines", by="seller-d")).json()
    assert (answer["path_id"], answer["phase"]) == (sale, "paid")
    [deadline] = answer["deadlines"]
    assert deadline["due_at"] == "2030-01-01T19:04:05Z"
    assert deadline["stopped_by"] == ["seller: accept"]
    amount = {"amount": 12_000, "currency": "CNY", "text": "CNY 120.00"}
    assert deadline["postings"] == [{"account": "escrow:x", "side": "debit", "amount": amount}]
    idle = api.sale(buyer, seller)
    assert (await api.get(f"/v1/sales/{idle}/deadlines", by="buyer-d")).json()["deadlines"] == []


async def test_timeline_in_pages(api: Api) -> None:
    sale = api.sale(await api.user_id("buyer-t"), await api.user_id("seller-t"))
    for number in range(7):
        api.execute(
            "INSERT INTO events (path_id, key, kind, phase, actor, summary)"
            " VALUES (%s, %s, 'step', 'paid', 'system', %s)",
            sale,
            f"{sale}/{number}",
            f"Step {number}",
        )
    events = await _all(api, f"/v1/sales/{sale}/timeline", "buyer-t", 3)
    assert [event["summary"] for event in events] == [f"Step {n}" for n in range(7)]
    assert events[0]["at"].endswith("Z")


async def test_statement_and_balances_of_a_path(api: Api) -> None:
    sale, seller = await _finished_sale(api)
    lines = await _all(api, f"/v1/sales/{sale}/statement", "buyer-m", 2)
    assert len(lines) == 5
    moved = {(line["account"], line["side"], line["amount"]["text"]) for line in lines}
    assert (f"escrow:{sale}", Side.CREDIT, "CNY 120.00") in moved
    assert (f"payable:{seller}", Side.CREDIT, "CNY 110.40") in moved
    balances = (await api.get(f"/v1/sales/{sale}/balances", by="buyer-m")).json()
    assert [(one["account"], one["balance"]["amount"]) for one in balances] == [
        (f"escrow:{sale}", 0)
    ]


async def test_balances_and_statement_of_a_user(api: Api) -> None:
    _, seller = await _finished_sale(api)
    [balance] = (await api.get(f"/v1/users/{seller}/balances", by="root")).json()
    assert balance["payable"]["text"] == balance["available"]["text"] == "CNY 110.40"
    assert balance["held"]["amount"] == balance["receivable"]["amount"] == 0
    [line] = await _all(api, f"/v1/users/{seller}/statement", "root", 10)
    assert line["balance_after"]["amount"] == line["change"]["amount"] == 11_040
    assert (await api.get("/v1/me/balances", by="buyer-m")).json() == []
    nobody = new_id("usr")
    assert_problem(await api.get(f"/v1/users/{nobody}/balances", by="root"), 404, "not_found")


async def test_ledger_for_operators(api: Api) -> None:
    await _finished_sale(api)
    lines = (await api.get("/v1/ledger/trial-balance", by="root")).json()
    yuan = [line for line in lines if line["currency"] == "CNY"]
    assert sum(line["debits"]["amount"] for line in yuan) == sum(
        line["credits"]["amount"] for line in yuan
    )
    path = "/v1/ledger/accounts/fee:platform/statement?currency=CNY"
    newest = (await api.get(path, by="root", currency="CNY", limit=1)).json()
    assert newest["items"][0]["amount"]["amount"] == 960


async def test_destination_is_masked_and_replaced(api: Api) -> None:
    first = await api.call("POST", "/v1/payout-destinations", by="lin-d", json=DESTINATION)
    assert first.status_code == 201, first.text
    assert first.json()["account"] == "••••3445"
    assert first.json()["status"] == "active"
    short = {"account": "12345678", "holder": "Lin", "automatic": False}
    second = await api.call("POST", "/v1/payout-destinations", by="lin-d", json=short)
    assert (second.json()["account"], second.json()["automatic"]) == ("••••", False)
    yen = {**DESTINATION, "currency": "JPY"}
    await api.call("POST", "/v1/payout-destinations", by="lin-d", json=yen)
    found = await _all(api, "/v1/payout-destinations", "lin-d", 2)
    assert [(one["currency"], one["status"]) for one in found] == [
        ("JPY", "active"),
        ("CNY", "active"),
        ("CNY", "replaced"),
    ]
    assert "6222020200112233445" not in str(found)


async def test_destinations_added_at_once_leave_one_active(api: Api) -> None:
    await api.user_id("hasty-d")
    answers = await asyncio.gather(
        *(
            api.call("POST", "/v1/payout-destinations", by="hasty-d", json=DESTINATION)
            for _ in range(5)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    found = await _all(api, "/v1/payout-destinations", "hasty-d", 10)
    assert sorted(one["status"] for one in found) == ["active"] + ["replaced"] * 4
