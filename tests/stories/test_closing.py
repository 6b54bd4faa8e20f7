"""Closing an account for good: with money, debts, held money and paths under way; and what comes back afterwards."""

from __future__ import annotations

import uuid
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
    at_provider,
    destination,
    earned,
    gather_payouts,
    payout_at,
    people,
    provider_moves,
    take_out,
)
from tests.stories.operators import done, operator
from tests.stories.test_frozen import balances, decide, owe, user_id
from tests.stories.test_limits import change
from tests.waiting import eventually
from workflows.upkeep import EndClosings


async def close(house: House, by: str, key: str | None = None) -> httpx.Response:
    return await house.call("POST", "/v1/me/closing", by=by, key=key)


async def sent(house: House, by: str) -> Json:
    """The payout that the schedule makes of the whole balance."""

    async def there() -> list[Json]:
        found: list[Json] = (await house.get("/v1/payouts", by=by))["items"]
        return found

    [payout] = await eventually(there) or []
    return payout


async def ended(house: House) -> None:
    """One round of the schedule, now."""
    await house.temporal.execute_workflow(
        EndClosings.run,
        id=f"end-closings-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


async def gone(house: House, subject: str, who: str) -> None:
    """Nobody can sign in to the account, and nobody sees a name."""
    assert_problem(await house.call("GET", "/v1/me", by=subject), 401, "unauthenticated")
    public = await house.get(f"/v1/users/{who}", by="anybody")
    assert public["display_name"] == "Closed account"
    one = await operator(house)
    told = (await house.get(f"/v1/users/{who}/account-events", by=one))["items"]
    assert told[0]["kind"] == "closed"


async def test_an_empty_account_is_closed_at_once(house: House) -> None:
    somebody, _ = people()
    who = await user_id(house, somebody)
    answer = await close(house, somebody)
    assert answer.status_code == 200, answer.text
    assert answer.json()["display_name"] == "Closed account"
    await gone(house, somebody, who)


async def test_the_whole_balance_leaves_first(house: House) -> None:
    _, seller = people()
    who = await user_id(house, seller)
    await earned(house, seller)
    listing = await house.listing(seller)
    missing = await close(house, seller)
    assert_problem(missing, 409, "no_payout_destination")
    # Never by itself, and above everything it has: a closing account is paid out all the same.
    await destination(house, seller, automatic=False)
    wish = {"every": "request", "minimum": SHARE + 1}
    assert (
        await house.call("PUT", "/v1/me/payout-wishes/CNY", by=seller, json=wish)
    ).status_code == 200
    first, again = await close(house, seller, key="close"), await close(house, seller, key="close")
    assert first.json() == again.json()
    assert first.json()["lacks"] == ["bid", "pledge", "sell"]
    assert not (await house.get(f"/v1/listings/{listing['id']}", by=seller))["on_sale"]
    refused = await house.call("POST", "/v1/listings", by=seller, json={"title": "More"})
    assert_problem(refused, 403, "capability_limited")
    await ended(house)
    await gather_payouts(house)
    payout = await sent(house, seller)
    assert payout["amount"]["amount"] == SHARE
    await payout_at(house, payout, "paid", by=seller)
    await ended(house)
    await gone(house, seller, who)
    await assert_sound(house)
    await _comes_back(house, who, payout)


async def _comes_back(house: House, who: str, payout: Json) -> None:
    """The bank returns what was sent: it is held, and operators decide."""
    one, two = await operator(house), await operator(house)
    [theirs] = await at_provider(house, "payouts", payout["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="returned")

    async def held() -> bool:
        rows = house.sql(
            "SELECT balance FROM ledger_accounts WHERE kind = 'held' AND owner = %s", who
        )
        return [int(row[0]) for row in rows] == [SHARE]

    await eventually(held)
    await ended(house)
    case = await _case(house, one, who)
    order = {"kind": "escheat", "user_id": who, "amount": SHARE, "currency": "CNY"}
    await done(house, one, order, second=two, case_id=case["id"])
    await assert_sound(house)


async def _case(house: House, one: str, who: str) -> Json:
    cases = (await house.get("/v1/cases", by=one, kind="closing", limit=100))["items"]
    [case] = [each for each in cases if each["subject"] == who]
    found: Json = case
    return found


async def test_what_is_in_the_way_is_listed(house: House) -> None:
    buyer, seller = people()
    who = await user_id(house, seller)
    sale = await house.paid(await house.listing(seller), by=buyer, delivery="pickup")
    for by in (buyer, seller):
        answer = assert_problem(await close(house, by), 409, "account_not_empty")
        assert f"path {sale['id']}" in answer["detail"]
    await house.act(sale, "accept", by=seller)
    await house.act(sale, "ship", by=seller)
    await house.act(sale, "confirm", by=buyer)
    await house.until(sale, "completed", by=buyer)
    await house.assert_at_zero(sale)
    assert (await close(house, buyer)).status_code == 200
    await destination(house, seller)
    await house.misbehave("payout", "payout_hold")
    payout = await take_out(house, seller, 400)
    await payout_at(house, payout, "in_transit", by=seller)
    await owe(house, who, 700)
    answer = assert_problem(await close(house, seller), 409, "account_not_empty")
    assert f"payout {payout['id']}" in answer["detail"]
    assert "you owe CNY 7.00" in answer["detail"]
    assert (await house.get("/v1/me", by=seller))["closing_at"] is None
    await assert_sound(house)


async def test_held_money_waits_for_operators(house: House) -> None:
    one = await operator(house)
    _, seller = people()
    who = await user_id(house, seller)
    await earned(house, seller)
    await destination(house, seller)
    await decide(house, seller, "freeze")
    assert_problem(await close(house, seller), 403, "account_frozen")
    await decide(house, seller, "unfreeze")
    await change(house, seller, "withdraw")
    assert (await close(house, seller)).json()["closing_at"] is not None
    await ended(house)
    case = await _case(house, one, who)
    assert "CNY 184.00" in case["summary"]
    assert await balances(house, seller) == (0, SHARE)
    await change(house, seller, "withdraw", lift=True)
    await gather_payouts(house)
    payout = await sent(house, seller)
    await payout_at(house, payout, "paid", by=seller)
    await ended(house)
    await gone(house, seller, who)
    closed = await house.get(f"/v1/cases/{case['id']}", by=one)
    assert (closed["case"]["state"], closed["case"]["outcome"]) == ("closed", "closed")
    await assert_sound(house)


async def test_operators_keep_an_account_that_is_closing(house: House) -> None:
    one = await operator(house)
    _, seller = people()
    path = f"/v1/users/{await user_id(house, seller)}/closing/cancel"
    await earned(house, seller)
    await destination(house, seller)
    word = {"reason": "They have called"}
    assert_problem(await house.call("POST", path, by=one, json=word), 409, "wrong_phase")
    await close(house, seller)
    assert_problem(await house.call("POST", path, by=seller, json=word), 403, "forbidden")
    kept = await house.post(path, word, by=one)
    assert (kept["state"], kept["lacks"]) == ("active", [])
    await ended(house)
    assert (await house.get("/v1/me", by=seller))["closing_at"] is None
    await house.listing(seller)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A platform that pays out no less than two sales."""
    policy = AT_ONCE.model_copy(update={"minimums": {"CNY": 2 * SHARE}})
    with postgres_server.fresh() as url:
        folder = tmp_path_factory.mktemp("closing")
        async with running_house(dev_server, url, issuer, folder, payout_policy=policy) as running:
            yield running


async def test_less_than_the_minimum_leaves_a_closing_account(strict: House) -> None:
    _, seller = people()
    who = await user_id(strict, seller)
    await earned(strict, seller)
    await destination(strict, seller)
    refused = await strict.call("POST", "/v1/payouts", by=seller, json={})
    assert_problem(refused, 409, "nothing_to_pay_out")
    await close(strict, seller)
    await gather_payouts(strict)
    await payout_at(strict, await sent(strict, seller), "paid", by=seller)
    await ended(strict)
    await gone(strict, seller, who)
    await assert_sound(strict)
