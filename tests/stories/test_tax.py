"""What a payee's quarter says, who may read it, and what authorities get."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import psycopg
import pytest

from domain.tax import Quarter
from tests.api.client import assert_problem
from tests.stories.chargebacks import decided, opened
from tests.stories.deals import ADMIN, Deal
from tests.stories.house import House, Json
from workflows.records import WriteDownQuarters

ZONE = ZoneInfo("Asia/Shanghai")
NUMBER = "91330106MA2KF00000"
PROFILE: Json = {
    "kind": "business",
    "legal_name": "Lin Mei Bamboo",
    "country": "CN",
    "tax_number": f" {NUMBER[:8]}-{NUMBER[8:]} ",
    "address": {"lines": ["=1+1 Lane"], "city": "Anji", "country": "CN"},
    "contact": "+86 571 0000",
    "shop_urls": ["https://shop.example/lin"],
}


def this_quarter() -> Quarter:
    """The one that goes on."""
    return Quarter.of(datetime.now(UTC), ZONE)


def moved_back(house: House, path_id: str, quarter: Quarter) -> None:
    """Past the platform: the path's entries were made in the middle of another quarter."""
    house.sql("ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only")
    begin = quarter.begins(ZONE)
    house.sql(
        "UPDATE ledger_entries SET at = %s + interval '40 days' WHERE path_id = %s", begin, path_id
    )
    house.sql("ALTER TABLE ledger_entries ENABLE TRIGGER ledger_entries_append_only")


async def quarter_of(house: House, by: str, quarter: Quarter) -> Json:
    """The own quarter."""
    return await house.get(f"/v1/me/tax/{quarter.year}/{quarter.number}", by=by)


async def write_down(house: House) -> int:
    """One round of the schedule, now; how many payees' figures it wrote."""
    done = await house.temporal.execute_workflow(
        WriteDownQuarters.run,
        id=f"quarters-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )
    return done.written


async def sold(house: House) -> Deal:
    """A sale of 20,000 handed over in person."""
    deal = await Deal.accepted(house, order={"delivery": "pickup"})
    await deal.act("ship", deal.seller)
    await deal.act("confirm", deal.buyer)
    await house.until(deal.sale, "completed", by=deal.buyer)
    return deal


async def table(house: House, address: str, *, by: str, **params: str) -> list[dict[str, str]]:
    """A CSV file by its header."""
    answer = await house.call("GET", address, by=by, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


async def test_income_of_one_quarter_taken_back_in_the_next(house: House) -> None:
    now = this_quarter()
    past = now.previous.previous
    deal = await sold(house)
    moved_back(house, deal.id, past)
    await decided(house, await opened(house, deal.sale), won=False)

    earned = await quarter_of(house, deal.seller, past)
    [figures] = earned["figures"]
    assert earned["final"] is False
    assert figures["income"]["amount"] == figures["goods"]["amount"] == 20_000
    assert (figures["fees"]["amount"], figures["transactions"]) == (1_600, 1)
    taken = await quarter_of(house, deal.seller, now)
    [figures] = taken["figures"]
    assert (figures["income"]["amount"], figures["refunds"]["amount"]) == (0, 20_000)
    assert (figures["fees"]["amount"], figures["refund_count"]) == (-1_600, 1)
    assert (await quarter_of(house, deal.buyer, now))["figures"] == []

    # What is written down stays, whatever is found in the books later.
    assert await write_down(house) >= 1
    assert await write_down(house) == 0
    kept = await quarter_of(house, deal.seller, past)
    assert kept == {**earned, "final": True}
    assert (await quarter_of(house, deal.seller, now))["final"] is False
    with pytest.raises(psycopg.errors.RestrictViolation, match="written down"):
        house.sql("DELETE FROM tax_quarters")
    more = await sold(house)
    moved_back(house, more.id, past)
    assert await quarter_of(house, deal.seller, past) == kept


async def lines(house: House, report: str) -> list[Json]:
    """All lines of a report, page by page."""
    found: list[Json] = []
    after: dict[str, str | int] = {}
    while True:
        page = await house.get(report, by=ADMIN, limit=100, **after)
        found += page["items"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


async def test_what_a_payee_states_is_sealed_and_reported(house: House) -> None:
    now = this_quarter()
    deal = await sold(house)
    missing = await house.call("GET", "/v1/me/tax-profile", by=deal.seller)
    assert_problem(missing, 404, "not_found")
    put = await house.call("PUT", "/v1/me/tax-profile", by=deal.seller, json=PROFILE)
    assert put.status_code == 200, put.text
    assert put.json()["tax_number_last4"] == NUMBER[-4:]
    assert NUMBER not in put.text
    assert await house.get("/v1/me/tax-profile", by=deal.seller) == put.json()
    [[stored]] = house.sql(
        "SELECT row_to_json(t)::text FROM tax_profiles t WHERE user_id = %s", deal.sale["seller_id"]
    )
    assert NUMBER not in stored

    report = f"/v1/tax-reports/{now.year}/{now.number}"
    [line] = [
        each for each in await lines(house, report) if each["user_id"] == deal.sale["seller_id"]
    ]
    assert line["profile"]["legal_name"] == "Lin Mei Bamboo"
    assert line["figures"][0]["income"]["amount"] == 20_000
    chinese = await table(house, f"{report}/report.csv", by=ADMIN)
    [row] = [each for each in chinese if each["shop_id"] == deal.sale["seller_id"]]
    assert (row["document_or_credit_code"], row["income_minor"]) == (NUMBER, "20000")
    assert (row["income"], row["orders"], row["final"]) == ("CNY 200.00", "1", "no")
    # A spreadsheet must not compute what somebody wrote into their address.
    assert row["address"] == "'=1+1 Lane, Anji, CN"
    assert row["contact"] == "'+86 571 0000"
    european = await table(house, f"{report}/report.csv", by=ADMIN, form="dac7")
    [row] = [each for each in european if each["name"] == "Lin Mei Bamboo"]
    assert (row["tin"], row["consideration_minor"], row["fees_minor"]) == (NUMBER, "20000", "1600")
    assert row["consideration_less_fees_minor"] == "18400"

    # Nobody else reads any of it.
    for address in (report, f"{report}/report.csv"):
        assert_problem(await house.call("GET", address, by=deal.seller), 403, "forbidden")
    of_seller = f"/v1/users/{deal.sale['seller_id']}/tax/{now.year}/{now.number}"
    assert_problem(await house.call("GET", of_seller, by=deal.buyer), 403, "forbidden")
    assert await house.get(of_seller, by=ADMIN) == await quarter_of(house, deal.seller, now)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "person"}, "birth_date"),
        ({"birth_date": "1990-01-01"}, "birth_date"),
        ({"country": "China"}, "country"),
        ({"tax_number": "??"}, "tax_number"),
        ({"address": {"lines": [], "city": "Anji", "country": "CN"}}, "address.lines"),
        ({"shop_urls": ["javascript:alert(1)"]}, "shop_urls[0]"),
    ],
    ids=["person-unborn", "business-born", "country", "number", "address", "shop"],
)
async def test_what_is_no_profile(house: House, change: Json, field: str) -> None:
    answer = await house.call(
        "PUT", "/v1/me/tax-profile", by=f"odd-{uuid.uuid4().hex[:8]}", json=PROFILE | change
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field
    assert str(PROFILE["tax_number"]).strip() not in answer.text


async def test_statements_and_payouts_as_files(house: House) -> None:
    deal = await sold(house)
    lines = (await house.get("/v1/me/statement", by=deal.seller, limit=100))["items"]
    rows = await table(house, "/v1/me/statement.csv", by=deal.seller)
    assert [(row["entry_id"], row["account"], row["amount_minor"]) for row in rows] == [
        (str(line["entry_id"]), line["account"], str(line["amount"]["amount"])) for line in lines
    ]
    path = await table(house, f"/v1/paths/{deal.id}/statement.csv", by=deal.buyer)
    shown = {row["account"].partition(":")[0] for row in path if row["balance_after_minor"]}
    assert shown == {"escrow"}
    as_operator = await table(house, f"/v1/paths/{deal.id}/statement.csv", by=ADMIN)
    assert all(row["balance_after_minor"] for row in as_operator)
    fees = await table(
        house, "/v1/ledger/accounts/fee:platform/statement.csv", by=ADMIN, currency="CNY"
    )
    assert "1600" in {row["amount_minor"] for row in fees}
    assert await table(house, "/v1/payouts.csv", by=deal.buyer) == []

    stranger = f"stranger-{uuid.uuid4().hex[:8]}"
    closed = await house.call("GET", f"/v1/paths/{deal.id}/statement.csv", by=stranger)
    assert_problem(closed, 404, "not_found")
    other = f"/v1/users/{deal.sale['seller_id']}/statement.csv"
    assert_problem(await house.call("GET", other, by=stranger), 403, "forbidden")
    assert await table(house, other, by=ADMIN) == rows
