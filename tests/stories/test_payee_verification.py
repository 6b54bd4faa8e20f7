"""Payees whom the payment company verifies: what it says is read there, and nobody else is paid where it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.api.client import assert_problem
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import AT_ONCE, House, Json, running_house
from tests.stories.money import (
    SHARE,
    assert_sound,
    destination,
    earned,
    gather_payouts,
    inbox,
    payout_at,
    people,
    take_out,
    unheard,
)
from tests.stories.operators import operator
from tests.stories.polls import user_id
from tests.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def verifying(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A platform whose payment company pays verified people only."""
    policy = AT_ONCE.model_copy(update={"verifying_providers": ("sandbox",)})
    with postgres_server.fresh() as url:
        folder = tmp_path_factory.mktemp("verifying")
        async with running_house(dev_server, url, issuer, folder, payout_policy=policy) as running:
            yield running


async def company_says(house: House, payee: Json, to: str, *requirements: str) -> None:
    """The payment company decides about the payee."""
    found = (await house.sandbox.get("/v1/payees", params={"limit": 100})).json()["data"]
    [theirs] = [each for each in found if each["subject"] == payee["id"]]
    step = {"to": to, "requirements": requirements}
    answer = await house.sandbox.post(f"/v1/payees/{theirs['reference']}/advance", json=step)
    answer.raise_for_status()


async def stands(house: House, by: str, status: str) -> Json:
    """The payee, once the platform has read that."""

    async def there() -> Json:
        now = await house.get("/v1/me/payee", by=by)
        assert now["status"] == status, now
        return now

    return await eventually(there) or {}


async def payee_with_money(house: House) -> str:
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller, automatic=True)
    return seller


async def asked(house: House, by: str) -> httpx.Response:
    return await house.call("POST", "/v1/payouts", by=by, json={})


async def test_nobody_is_paid_before_they_are_verified(verifying: House) -> None:
    seller = await payee_with_money(verifying)
    assert_problem(await verifying.call("GET", "/v1/me/payee", by=seller), 404, "not_found")
    assert_problem(await asked(verifying, seller), 409, "payee_not_verified")
    payee = await verifying.post("/v1/me/payee", by=seller)
    assert (payee["status"], payee["requirements"]) == ("pending", ["identity_document"])
    assert payee["id"].startswith("pye_")
    again = await verifying.post("/v1/me/payee", by=seller)
    assert again["id"] == payee["id"]
    assert_problem(await asked(verifying, seller), 409, "payee_not_verified")
    await gather_payouts(verifying)
    assert (await verifying.get("/v1/payouts", by=seller))["items"] == []
    # They prove who they are on the company's page.
    page = await verifying.sandbox.get(payee["url"])
    assert "Verify" in page.text
    await verifying.sandbox.post(payee["url"])
    active = await stands(verifying, seller, "active")
    assert active["requirements"] == []
    payout = await take_out(verifying, seller)
    await payout_at(verifying, payout, "paid", by=seller)
    kinds = {kind for kind, _ in await inbox(verifying, payee["id"])}
    assert kinds == {"payee.updated"}
    await assert_sound(verifying)


async def test_a_restricted_payee_goes_on_earning_and_operators_hear_of_it(
    verifying: House,
) -> None:
    one = await operator(verifying)
    seller = await payee_with_money(verifying)
    who = await user_id(verifying, seller)
    payee = await verifying.post("/v1/me/payee", by=seller)
    for status in ("restricted", "rejected"):
        await company_says(verifying, payee, status, "bank_statement")
        now = await stands(verifying, seller, status)
        assert now["requirements"] == ["bank_statement"]
        refused = assert_problem(await asked(verifying, seller), 409, "payee_not_verified")
        assert status in refused["detail"]
    await earned(verifying, seller)
    assert await verifying.payable(seller) == 2 * SHARE
    cases = (await verifying.get("/v1/cases", by=one, kind="payee", limit=100))["items"]
    [case] = [each for each in cases if each["subject"] == who]
    assert "CNY 184.00" in case["summary"]
    seen = await verifying.get(f"/v1/users/{who}/payee", by=one)
    assert seen["status"] == "rejected"
    await company_says(verifying, payee, "active")
    await stands(verifying, seller, "active")
    closed = await verifying.get(f"/v1/cases/{case['id']}", by=one)
    assert (closed["case"]["state"], closed["case"]["outcome"]) == ("closed", "active")
    await gather_payouts(verifying)

    async def sent() -> list[Json]:
        found: list[Json] = (await verifying.get("/v1/payouts", by=seller))["items"]
        return found

    [payout] = await eventually(sent) or []
    await payout_at(verifying, payout, "paid", by=seller)
    await assert_sound(verifying)


async def test_without_news_it_is_read_on_request(verifying: House) -> None:
    _, seller = people()
    payee = await verifying.post("/v1/me/payee", by=seller)
    async with unheard(verifying):
        await company_says(verifying, payee, "active")
        now = await verifying.post("/v1/me/payee", by=seller)
    assert now["status"] == "active"


async def test_a_lost_answer_makes_one_payee(verifying: House) -> None:
    _, seller = people()
    for effect in ("answer_lost", "unavailable"):
        await verifying.misbehave("payee", effect)
    payee = await verifying.post("/v1/me/payee", by=seller)
    found = (await verifying.sandbox.get("/v1/payees", params={"limit": 100})).json()["data"]
    assert [each["subject"] for each in found].count(payee["id"]) == 1


async def test_where_nobody_asks_for_it_unverified_people_are_paid(house: House) -> None:
    seller = await payee_with_money(house)
    payee = await house.post("/v1/me/payee", by=seller)
    await company_says(house, payee, "pending")
    await payout_at(house, await take_out(house, seller), "paid", by=seller)
    await assert_sound(house)
