"""Spendings out of a match call's budget: paid when enough different people agree, and only then."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.client import assert_problem
from tests.stories.chargebacks import balance
from tests.stories.house import House, Json
from tests.stories.jobs import lines, paid_in, sent_back
from tests.stories.sponsors import ADMIN, BUDGET, DAY, Call
from tests.waiting import eventually

PAID = paid_in("match:call", BUDGET)


async def with_approvers(house: House, count: int = 3, needed: int = 2) -> tuple[Call, list[str]]:
    """An open call, and its approvers."""
    first = await Call.drafted(house)
    names = [first.somebody("approver") for _ in range(count)]
    ids = [await first.who(name) for name in names]
    call = await Call.opened(house, approvers=ids, approvals_needed=needed)
    call.people.update(first.people)
    return call, names


async def try_ask(call: Call, by: str, payee: str, amount: int, **more: Any) -> httpx.Response:
    """Somebody asks for a spending; the answer is for the test to judge."""
    return await call.try_to(
        "spendings",
        by,
        payee_id=await call.who(payee),
        amount={"amount": amount},
        purpose="Clay for the summer school",
        **more,
    )


async def ask(call: Call, by: str, payee: str, amount: int) -> Json:
    """A spending that must be taken."""
    answer = await try_ask(call, by, payee, amount)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    assert found["state"] == "asked"
    return found


def paid_to(amount: int, kind: str = "payable") -> list[str]:
    """What a spending posts."""
    return lines(("release", "debit match:call", amount), ("release", f"credit {kind}:usr", amount))


async def test_two_of_three_agree(house: House) -> None:
    call, [lin, wu, he] = await with_approvers(house)
    potter, frozen = call.somebody("potter"), call.somebody("frozen")
    spending = await ask(call, call.sponsor, potter, 3_000)
    await call.assert_sums(left=7_000, reserved=3_000)
    at = f"spendings/{spending['id']}"
    assert_problem(await call.try_to(f"{at}/approve", potter), 403, "forbidden")
    assert_problem(await call.try_to(f"{at}/approve", call.sponsor), 403, "forbidden")
    assert (await call.act(f"{at}/approve", lin))["state"] == "asked"
    assert_problem(await call.try_to(f"{at}/approve", lin), 409, "limit_reached")
    done = await call.act(f"{at}/approve", wu)
    assert (done["state"], len(done["approvals"])) == ("paid", 2)
    assert_problem(await call.try_to(f"{at}/approve", he), 409, "wrong_phase")
    assert_problem(await call.try_to(f"{at}/refuse", he, note="Too late"), 409, "wrong_phase")
    report = await call.assert_sums(left=7_000, spent=3_000)
    assert [each["state"] for each in report["spendings"]] == ["paid"]
    assert balance(house, "payable", await call.who(potter)) == 3_000
    # What a frozen payee is due is held.
    await call.freeze(frozen)
    other = await ask(call, lin, frozen, 500)
    await call.act(f"spendings/{other['id']}/approve", wu)
    await call.act(f"spendings/{other['id']}/approve", he)
    assert balance(house, "held", await call.who(frozen)) == 500
    assert_problem(
        await house.call("GET", f"/v1/match-calls/{call.id}/spendings", by=potter), 403, "forbidden"
    )
    listed = await house.get(f"/v1/match-calls/{call.id}/spendings", by=he)
    assert [each["id"] for each in listed["items"]] == [spending["id"], other["id"]]
    mine = await house.get("/v1/match-calls", by=he, which="approver")
    assert [each["id"] for each in mine["items"]] == [call.id]
    # Only what is asked for keeps a closed call from its end; refused, that goes back as well.
    last = await ask(call, wu, potter, 1_000)
    await call.act("close", call.sponsor)
    await call.until("closed")
    await call.act(f"spendings/{last['id']}/refuse", lin, note="Too late")
    found = await call.ended(
        "ended",
        PAID,
        paid_to(3_000),
        paid_to(500, "held"),
        sent_back("match:call", 5_500),
        sent_back("match:call", 1_000),
    )
    assert found["end_reason"] == "spending_refused"


async def test_refused_lapsed_and_still_open_at_the_end(house: House) -> None:
    call, [lin, wu, he] = await with_approvers(house)
    campaign = await call.accepted()
    await call.pledge(campaign, 6_000)
    potter = call.somebody("potter")
    refused = await ask(call, call.sponsor, potter, 4_000)
    # What is kept back is not there for pledges; refused, it goes to the one who waits.
    assert (await call.pledge(campaign, 1_000))[1] == 0
    assert_problem(await try_ask(call, lin, potter, 1), 409, "insufficient_funds")
    gone = await call.act(f"spendings/{refused['id']}/refuse", lin, note="Too dear")
    assert (gone["state"], gone["note"]) == ("refused", "Too dear")
    await call.assert_sums(left=3_000, reserved=7_000)
    await ask(call, call.sponsor, potter, 1_000)
    await ask(call, lin, potter, 300)
    agreed = await ask(call, wu, potter, 700)
    # Nothing new after the end, but what is asked for is still decided.
    await call.act("close", call.sponsor)
    await call.until("closed")
    assert_problem(await try_ask(call, lin, potter, 1), 409, "wrong_phase")
    await call.act(f"spendings/{agreed['id']}/approve", lin)
    await call.act(f"spendings/{agreed['id']}/approve", he)
    await call.assert_sums(reserved=8_300, spent=700, returned=1_000)
    await call.fail(campaign)

    async def settled() -> bool:
        await call.assert_sums(reserved=1_300, spent=700, returned=8_000)
        return True

    await eventually(settled)
    # One lapses after the other, and with the last one the call ends.
    await call.let_pass(14 * DAY + 60)
    found = await call.ended(
        "ended",
        PAID,
        paid_to(700),
        sent_back("match:call", 1_000),
        sent_back("match:call", 7_000),
        sent_back("match:call", 1_000),
        sent_back("match:call", 300),
    )
    assert found["end_reason"] == "spending_lapsed"
    states = [each["state"] for each in (await call.report())["spendings"]]
    assert states == ["refused", "lapsed", "lapsed", "paid"]


async def test_different_people_only(house: House) -> None:
    """Who asks, who is paid and those who agree are different people, whatever their accounts say."""
    call, [lin, wu, he] = await with_approvers(house)
    ids = [await call.who(each) for each in (lin, wu)]
    potter = call.somebody("potter")
    assert_problem(await try_ask(call, call.sponsor, call.sponsor, 10), 403, "self_dealing")
    spending = await ask(call, he, potter, 100)
    at = f"spendings/{spending['id']}/approve"
    assert_problem(await call.try_to(at, he), 403, "self_dealing")
    await call.act(at, lin)
    house.sql(
        "UPDATE users SET identity_hash = %s, verified_at = now() WHERE id = ANY(%s)", call.id, ids
    )
    assert_problem(await call.try_to(at, wu), 403, "self_dealing")
    # With two of the three the same person nobody is left to agree.
    assert_problem(await try_ask(call, he, potter, 10), 422, "invalid_input")
    assert_problem(await try_ask(call, call.sponsor, lin, 10), 422, "invalid_input")
    await call.act("cancel", ADMIN)
    await call.ended("cancelled", PAID, sent_back("match:call", BUDGET))
    report = await call.report()
    assert [each["state"] for each in report["spendings"]] == ["called_off"]


async def test_a_call_without_approvers_spends_nothing(house: House) -> None:
    call = await Call.opened(house)
    potter = call.somebody("potter")
    assert_problem(await try_ask(call, call.sponsor, potter, 10), 422, "invalid_input")
    await call.act("close", call.sponsor)
    await call.ended("ended", PAID, sent_back("match:call", BUDGET))
