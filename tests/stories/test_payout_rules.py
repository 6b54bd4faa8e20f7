"""When a balance may leave: wishes, minimums, debts, reserves, changed destinations, and payouts that somebody looks at."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from domain import accounts, postings
from domain.operator_policy import OperatorPolicy
from domain.policy import PayoutPolicy
from domain.postings import EntryKind, Share
from ledger import journal
from tests.api.client import assert_problem
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import DAY, House, Json, running_house
from tests.stories.money import (
    SHARE,
    assert_sound,
    at_provider,
    called_off,
    days_pass,
    destination,
    earned,
    gather_payouts,
    payout_at,
    payout_postings,
    people,
    refund_of,
    take_out,
)
from tests.stories.operators import REASON, done, operator, try_to_propose
from tests.stories.polls import user_id

RESERVE = 1_840
"""A tenth of SHARE."""
POLICY = PayoutPolicy(
    availability_seconds=0,
    min_interval_seconds=0,
    minimums={"CNY": 1_000},
    review_amounts={"CNY": 10_000},
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A platform with all rules of payouts switched on."""
    with postgres_server.fresh() as url:
        async with running_house(
            dev_server,
            url,
            issuer,
            tmp_path_factory.mktemp("strict"),
            payout_policy=POLICY,
            operator_policy=OperatorPolicy(alone_amounts={"CNY": 12_000}),
        ) as running:
            await running.paid(await running.listing("treasurer", price=100_000_000), by="patron")
            yield running


async def payee(house: House, **account: object) -> str:
    """A seller with SHARE on the balance and a bank account."""
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller, **account)
    return seller


async def refused(house: House, by: str, status: int, code: str, **body: object) -> Json:
    """A payout request that must be refused so."""
    answer = await house.call("POST", "/v1/payouts", by=by, json=body)
    return assert_problem(answer, status, code)


async def held(house: House, by: str, amount: int | None = None) -> Json:
    """A payout that somebody looks at first."""
    payout = await take_out(house, by, amount)
    assert payout["status"] == "held"
    assert payout["held_reason"]
    assert await at_provider(house, "payouts", payout["id"]) == []
    return payout


async def test_a_new_payee_leaves_a_reserve(strict: House) -> None:
    seller = await payee(strict)
    above = await refused(strict, seller, 409, "insufficient_funds", amount=SHARE - RESERVE + 1)
    assert above["accepted"] == f"at most {SHARE - RESERVE}"
    small = await refused(strict, seller, 409, "nothing_to_pay_out", amount=999)
    assert small["accepted"] == "1000"
    first = await take_out(strict, seller, 9_000)
    await payout_at(strict, first, "paid", by=seller)
    # A month later nothing of it is kept any more.
    days_pass(strict, 31)
    rest = await take_out(strict, seller)
    assert rest["amount"]["amount"] == SHARE - 9_000
    await payout_at(strict, rest, "paid", by=seller)
    # Three months after the first income they are no new payee.
    days_pass(strict, 60)
    await earned(strict, seller)
    payout = await held(strict, seller)
    assert payout["amount"]["amount"] == SHARE
    await assert_sound(strict)


async def test_money_that_came_back_is_not_kept(strict: House) -> None:
    sale, buyer = await called_off(strict, "refund_refused")
    refund = await refund_of(strict, sale, "refused", by=buyer)
    await strict.post(f"/v1/refunds/{refund['id']}/accept-balance", by=buyer)
    await destination(strict, buyer)
    payout = await held(strict, buyer)
    assert payout["amount"]["amount"] == 20_000


async def test_an_operator_looks_at_large_payouts(strict: House) -> None:
    one = await operator(strict)
    seller = await payee(strict)
    payout = await held(strict, seller, 12_000)
    assert await strict.payable(seller) == SHARE - 12_000
    [case] = [
        each
        for each in (await strict.get("/v1/cases", by=one, kind="payout_review"))["items"]
        if each["subject"] == payout["id"]
    ]
    address = f"/v1/payouts/{payout['id']}"
    word = {"reason": REASON}
    by_seller = await strict.call("POST", f"{address}/release", by=seller, json=word)
    assert_problem(by_seller, 403, "forbidden")
    stranger = await strict.call("POST", f"{address}/cancel", by="stranger", json={})
    assert_problem(stranger, 404, "not_found")

    sent = await strict.post(f"{address}/release", word, by=one)
    assert sent["status"] in ("requested", "in_transit", "paid")
    await payout_at(strict, payout, "paid", by=seller)
    late = await strict.call("POST", f"{address}/reject", by=one, json=word)
    assert late.status_code == 409
    too_late = await strict.call("POST", f"{address}/cancel", by=seller, json={})
    assert too_late.status_code == 409
    closed = await strict.get(f"/v1/cases/{case['id']}", by=one)
    assert (closed["case"]["state"], closed["case"]["outcome"]) == ("closed", "sent")
    assert payout_postings(strict, payout) == [
        "payout: debit payable 12000",
        "payout: credit transit 12000",
        "payout_paid: debit transit 12000",
        "payout_paid: credit cash 12000",
    ]
    await assert_sound(strict)


async def test_a_held_payout_is_taken_back_or_not_sent(strict: House) -> None:
    one = await operator(strict)
    seller = await payee(strict)
    for verb, by, body in (("cancel", seller, {}), ("reject", one, {"reason": REASON})):
        payout = await held(strict, seller, 11_000)
        ended = await strict.post(f"/v1/payouts/{payout['id']}/{verb}", body, by=by)
        assert ended["status"] == "cancelled"
        assert await strict.payable(seller) == SHARE
        assert payout_postings(strict, payout)[2:] == [
            "payout_failed: debit transit 11000",
            "payout_failed: credit payable 11000",
        ]
    # Nobody decides about their own.
    grant = f"/v1/users/{await user_id(strict, seller)}/roles/operator"
    assert (await strict.call("PUT", grant, by="admin")).status_code == 200
    payout = await held(strict, seller, 11_000)
    own = await strict.call(
        "POST", f"/v1/payouts/{payout['id']}/release", by=seller, json={"reason": REASON}
    )
    assert_problem(own, 403, "own_request")
    await assert_sound(strict)


async def test_above_the_limit_two_operators_decide(strict: House) -> None:
    one, two = await operator(strict), await operator(strict)
    seller = await payee(strict)
    payout = await held(strict, seller, 12_001)
    alone = await strict.call(
        "POST", f"/v1/payouts/{payout['id']}/release", by=one, json={"reason": REASON}
    )
    assert_problem(alone, 409, "needs_second_operator")
    order = {
        "kind": "payout_decision",
        "payout_id": payout["id"],
        "user_id": await user_id(strict, seller),
        "send": True,
    }
    other = {**order, "user_id": await user_id(strict, one)}
    assert (await try_to_propose(strict, two, other)).status_code in (403, 422)
    await done(strict, one, order, second=two)
    await payout_at(strict, payout, "paid", by=seller)
    assert (await try_to_propose(strict, one, order)).status_code == 409
    await assert_sound(strict)


async def test_nobodys_silence_keeps_the_money(strict: House) -> None:
    one = await operator(strict)
    seller, frozen = await payee(strict), await payee(strict)
    payouts = {by: await held(strict, by, 11_000) for by in (seller, frozen)}
    account = f"/v1/users/{await user_id(strict, frozen)}"
    await strict.post(f"{account}/freeze", {"reason": "case 7"}, by=one)
    for payout in payouts.values():
        story = strict.workflow(f"payout-{payout['id']}")
        await strict.skipper.fast_forward(story, 7 * DAY + 1)
    await payout_at(strict, payouts[seller], "paid", by=seller)
    # Whoever was frozen meanwhile is not paid, and has it held.
    await payout_at(strict, payouts[frozen], "cancelled", by=frozen)
    assert await strict.payable(frozen) == 0
    held_now = await strict.get("/v1/users/" + account.rpartition("/")[2] + "/statement", by=one)
    assert held_now["items"][0]["account"].startswith("held:")
    await assert_sound(strict)


async def test_debts_are_paid_before_anything_leaves(strict: House) -> None:
    seller = await payee(strict)
    who = await user_id(strict, seller)
    async with strict.database.transaction() as session:
        debt = postings.entry(
            EntryKind.CORRECTION,
            f"debt/{uuid.uuid4().hex}",
            "CNY",
            [Share(account=accounts.receivable(who), amount=9_000)],
            [Share(account=accounts.FEE, amount=9_000)],
        )
        await journal.post(session, debt)
    left = SHARE - 9_000 - RESERVE
    await refused(strict, seller, 409, "insufficient_funds", amount=left + 1)
    payout = await take_out(strict, seller)
    assert payout["amount"]["amount"] == left
    assert payout_postings(strict, payout)[:4] == [
        "netting: debit payable 9000",
        "netting: credit receivable 9000",
        f"payout: debit payable {left}",
        f"payout: credit transit {left}",
    ]
    await payout_at(strict, payout, "paid", by=seller)
    [balance] = (await strict.call("GET", "/v1/me/balances", by=seller)).json()
    assert balance["receivable"]["amount"] == 0
    await assert_sound(strict)


async def test_a_changed_destination_waits(strict: House) -> None:
    _, seller = people()
    await earned(strict, seller)
    known = f"62220202{uuid.uuid4().hex[:8]}"
    await destination(strict, seller, account=known)
    # The first one ever is used at once.
    await payout_at(strict, await take_out(strict, seller, 2_000), "paid", by=seller)
    await destination(strict, seller)
    waits = await refused(strict, seller, 409, "destination_too_new", amount=2_000)
    assert waits["accepted"].startswith("after ")
    # Back at the account that was there before, nothing waits.
    await destination(strict, seller, account=known)
    await payout_at(strict, await take_out(strict, seller, 2_000), "paid", by=seller)
    await destination(strict, seller)
    strict.sql(
        "UPDATE payout_destinations SET created_at = created_at - interval '1 day'"
        " WHERE user_id = %s",
        await user_id(strict, seller),
    )
    await payout_at(strict, await take_out(strict, seller, 2_000), "paid", by=seller)
    await assert_sound(strict)


async def test_a_balance_leaves_when_its_owner_wishes(house: House) -> None:
    async def wish(by: str, **body: object) -> None:
        answer = await house.call("PUT", "/v1/me/payout-wishes/CNY", by=by, json=body)
        assert answer.status_code == 200, answer.text

    today = datetime.now(UTC).isoweekday()
    wishes: dict[str, Json] = {
        "daily": {"every": "day"},
        "today": {"every": "week", "weekday": today},
        "tomorrow": {"every": "week", "weekday": today % 7 + 1},
        "asked": {"every": "request"},
        "more": {"every": "day", "minimum": SHARE + 1},
        "enough": {"every": "day", "minimum": SHARE},
    }
    sellers = {name: await payee(house, automatic=True) for name in (*wishes, "silent")}
    for name, body in wishes.items():
        await wish(sellers[name], **body)
    assert (await house.call("GET", "/v1/me/payout-wishes", by=sellers["today"])).json() == [
        {"currency": "CNY", "every": "week", "weekday": today, "minimum": None}
    ]
    await gather_payouts(house)
    await gather_payouts(house)
    leaves = {
        name: len((await house.get("/v1/payouts", by=by))["items"]) for name, by in sellers.items()
    }
    assert leaves == {
        "daily": 1,
        "today": 1,
        "tomorrow": 0,
        "asked": 0,
        "more": 0,
        "enough": 1,
        "silent": 1,
    }
    # Whoever wants it only on request still gets it then.
    await payout_at(house, await take_out(house, sellers["asked"]), "paid", by=sellers["asked"])
    for body in (
        {"every": "week"},
        {"every": "day", "weekday": 1},
        {"every": "week", "weekday": 8},
        {"every": "hour"},
        {"every": "day", "minimum": 0},
    ):
        bad = await house.call("PUT", "/v1/me/payout-wishes/CNY", by="anybody", json=body)
        assert bad.status_code == 422, body
    await assert_sound(house)
