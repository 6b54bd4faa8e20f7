"""Match calls through their stories: funded, matched, closed by time or sponsor, and settled as campaigns are decided."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.jobs import paid_in, sent_back
from tests.stories.money import needs_operator
from tests.stories.sponsors import ADMIN, BUDGET, DAY, Call, used
from tests.waiting import eventually

PAID = paid_in("match:call", BUDGET)


async def test_funded_matched_exhausted_closed_by_time_and_settled(house: House) -> None:
    """The whole way: one campaign succeeds while the call is open, one after it has closed, one fails."""
    call = await Call.opened(house, offer={"per_pledge_cap": 6_000})
    assert call.call["status"] == "funding"
    one, two, three = [await call.accepted() for _ in range(3)]
    assert (await call.pledge(one, 2_500))[1] == 2_500
    assert (await call.pledge(two, 9_000))[1] == 6_000
    gone, reserved = await call.pledge(three, 4_000)
    assert reserved == 1_500
    found = await call.now("anybody-else")
    assert (found["status"], found["phase"], found["projects"]) == ("exhausted", "open", 3)
    assert found["payments"] == []
    # Money becomes free: open again, and the next who comes gets it.
    assert await call.rows.free(gone) == 1_500
    assert (await call.now())["status"] == "open"
    [line] = (await call.deadlines())["end"]["postings"][:1]
    assert (line["account"], line["amount"]["amount"]) == (f"match:{call.id}", 1_500)
    assert (await call.pledge(three, 1_000))[1] == 1_000
    await call.succeed(one)
    await call.assert_sums(left=500, reserved=7_000, used=2_500)
    statement = await house.get(f"/v1/match-calls/{call.id}/statement", by=call.sponsor)
    assert [each["kind"] for each in statement["items"][:2]] == ["match_used"] * 2
    assert statement["items"][-1]["kind"] == "fund"
    small = await house.get(f"/v1/match-calls/{call.id}/statement", by=call.sponsor, limit=1)
    page = await house.get(
        f"/v1/match-calls/{call.id}/statement", by=call.sponsor, after=small["next"], limit=100
    )
    assert small["items"] + page["items"] == statement["items"]

    await call.let_pass(DAY + 11)
    await call.until("closed")
    assert (await call.pledge(two, 10))[1] == 0
    await call.assert_sums(reserved=7_000, used=2_500, returned=500)
    await call.succeed(two)
    await call.fail(three)
    await call.ended(
        "ended",
        PAID,
        used(2_500),
        used(6_000),
        sent_back("match:call", 500),
        sent_back("match:call", 1_000),
    )
    report = await call.assert_sums(used=8_500, returned=1_500)
    assert (report["pledges"], report["backers"]) == (2, 2)
    assert [each["leverage_basis_points"] for each in report["projects"]] == [10_000, 15_016, None]
    assert (await call.timeline())[:3] == [
        "funding_asked by initiator",
        "budget_paid by provider",
        "time_up by system",
    ]


async def test_closed_by_its_sponsor_and_long_unsettled(house: House) -> None:
    """Campaigns that are not decided: operators are called, and the books are looked at when no news comes of one."""
    call = await Call.opened(house)
    campaign, silent = await call.accepted(), await call.accepted()
    await call.pledge(campaign, 4_000)
    await call.pledge(silent, 1_000)
    assert_problem(await call.try_to("cancel", call.sponsor), 403, "forbidden")
    await call.act("close", call.sponsor, note="Enough")
    await call.until("closed")
    assert_problem(await call.try_to("close", call.sponsor), 409, "wrong_phase")
    assert_problem(
        await call.try_to("top-up", call.sponsor, amount={"amount": 5}), 409, "wrong_phase"
    )
    assert set(await call.deadlines()) == {"settlement"}
    await call.let_pass(180 * DAY)

    async def called() -> bool:
        assert await needs_operator(house, call.story)
        return "settlement_overdue by system" in await call.timeline()

    await eventually(called)
    # Cancelling the workflow does not break what was promised.
    await house.workflow(call.story).cancel()
    await call.assert_sums(reserved=5_000, returned=5_000)
    await call.fail(campaign)

    async def settled() -> bool:
        await call.assert_sums(reserved=1_000, returned=9_000)
        return bool(await needs_operator(house, call.story))

    await eventually(settled)
    # Nobody tells of the other one, and the next look at the books finds that nothing is promised.
    await call.rows.fail(silent)
    await call.let_pass(180 * DAY)
    found = await call.ended(
        "ended",
        PAID,
        sent_back("match:call", 5_000),
        sent_back("match:call", 4_000),
        sent_back("match:call", 1_000),
    )
    assert found["end_reason"] == "settlement_overdue"
    assert await needs_operator(house, call.story) is False


async def test_nothing_promised_ends_at_once(house: House) -> None:
    call = await Call.opened(house)
    await call.act("close", call.sponsor)
    await call.ended("ended", PAID, sent_back("match:call", BUDGET))


async def test_not_paid_in_time(house: House) -> None:
    call = await Call.funding(house)
    [payment] = call.call["payments"]
    handle = house.workflow(f"payment-{payment['id']}")
    await house.skipper.fast_forward(handle, 3_600)
    assert (await call.ended("expired"))["end_reason"] == "budget_unpaid"


async def test_a_draft_is_its_sponsors_own(house: House) -> None:
    call = await Call.drafted(house)
    changed = Call.body(budget=500, title="Fewer kilns")
    path = f"/v1/match-calls/{call.id}"
    answer = await house.call("PUT", path, by=call.sponsor, json=changed)
    assert (answer.json()["title"], answer.json()["planned_budget"]["amount"]) == (
        "Fewer kilns",
        500,
    )
    assert_problem(await house.call("GET", path, by="stranger"), 404, "not_found")
    assert (await call.act("cancel", call.sponsor))["phase"] == "cancelled"
    assert_problem(await house.call("GET", path, by="stranger"), 404, "not_found")
    assert_problem(await call.try_to("fund", call.sponsor), 409, "wrong_phase")
    await house.assert_at_zero(call.call)


async def test_called_off_before_it_was_paid_and_paid_all_the_same(house: House) -> None:
    call = await Call.funding(house)
    await call.act("cancel", call.sponsor)
    await call.until("cancelled")
    answer = await house.pay({"payment": call.call["payments"][0]})
    if answer.status_code == 200:
        await call.ended("cancelled", PAID, sent_back("match:call", BUDGET))
    else:
        await call.ended("cancelled")


async def test_called_off_by_operators_while_open(house: House) -> None:
    """What was used stays used; promises to undecided campaigns are taken back, and all else goes to the sponsor."""
    call = await Call.opened(house)
    one, two = await call.accepted(), await call.accepted()
    await call.pledge(one, 3_000)
    await call.pledge(two, 5_000)
    await call.succeed(one)
    await call.act("cancel", ADMIN, note="A fraud")
    await call.ended("cancelled", PAID, used(3_000), sent_back("match:call", 7_000))
    assert await call.rows.matched(two) == 0
    assert await call.rows.use(two) == ()
    assert "cancelled by operator" in await call.timeline()


async def test_cancelling_the_workflow_while_open(house: House) -> None:
    call = await Call.opened(house)
    campaign = await call.accepted()
    await call.pledge(campaign, 3_000)
    await house.workflow(call.story).cancel()
    await call.ended("cancelled", PAID, sent_back("match:call", BUDGET))
    assert await call.rows.fail(campaign) == 0


async def test_a_top_up_serves_those_who_wait(house: House) -> None:
    call = await Call.opened(house, budget=1_000)
    campaign = await call.accepted()
    assert (await call.pledge(campaign, 2_500))[1] == 1_000
    wrong = {"amount": 5, "currency": "JPY"}
    assert_problem(
        await call.try_to("top-up", call.sponsor, amount=wrong), 422, "currency_mismatch"
    )
    await call.topped_up(2_000)
    await call.assert_sums(left=500, reserved=2_500)
    # One at a time; a top-up that is not paid leaves the call as it is, one that comes too late goes back.
    found = await call.top_up(700)
    assert_problem(
        await call.try_to("top-up", call.sponsor, amount={"amount": 5}), 409, "wrong_phase"
    )
    lapsing = found["payments"][-1]
    handle = house.workflow(f"payment-{lapsing['id']}")
    await house.skipper.fast_forward(handle, 3_600)
    await handle.result()
    assert "top_up" not in await call.deadlines()
    await call.succeed(campaign)
    await call.act("close", call.sponsor)
    await call.ended(
        "ended",
        paid_in("match:call", 1_000),
        paid_in("match:call", 2_000),
        used(2_500),
        sent_back("match:call", 500),
    )


async def test_a_campaign_that_stops_gives_back(house: House) -> None:
    """While the call is open its money goes to others; once it has ended, on to the sponsor."""
    call = await Call.opened(house, budget=1_000)
    one, two = await call.accepted(), await call.accepted()
    await call.pledge(one, 1_000)
    await call.pledge(two, 1_000)
    await call.succeed(one)
    await call.stop(one, 300)
    await call.assert_sums(used=700, reserved=300)
    await call.succeed(two)
    await call.act("close", call.sponsor)
    ended = [
        paid_in("match:call", 1_000),
        used(1_000),
        used(300),
        ["match_returned: debit escrow:cmp 300", "match_returned: credit match:call 300"],
    ]
    await call.ended("ended", *ended)
    await call.stop(one, 500)
    back = ["match_returned: debit escrow:cmp 500", "match_returned: credit match:call 500"]
    await call.ended("ended", *ended, back, sent_back("match:call", 500))
    assert "given_back by system" in await call.timeline()
