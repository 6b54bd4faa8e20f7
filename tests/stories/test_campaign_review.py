"""The way of a campaign to its launch: review, mending, withdrawal, schedule, and who sees it meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.api.client import assert_problem
from tests.stories.funds import ADMIN, DAY, PRICE, Fund, draft, tier
from tests.stories.house import House
from tests.stories.money import needs_operator
from tests.waiting import eventually

STRANGER = "stranger"


async def is_seen_by_others(fund: Fund) -> bool:
    """Whether somebody who has no part in it sees the campaign and its timers."""
    answers = [
        await fund.house.call("GET", f"/v1/campaigns/{fund.id}{part}", by=STRANGER)
        for part in ("", "/stats", "/deadlines", "/timeline")
    ]
    codes = {answer.status_code for answer in answers}
    assert len(codes) == 1, codes
    return codes == {200}


async def test_sent_back_mended_and_scheduled(house: House) -> None:
    fund = await Fund.drafted(house)
    assert not await is_seen_by_others(fund)
    await fund.act("submit", fund.creator, return_url="https://shop.example/back")
    assert not await is_seen_by_others(fund)
    found = await fund.act("send-back", ADMIN, note="Show a finished lamp")
    assert (found["phase"], found["review_note"]) == ("draft", "Show a finished lamp")
    assert list(await fund.deadlines()) == ["mending"]
    starts_at = datetime.now(UTC) + timedelta(days=10)
    mended = draft(title="Better lamps", starts_at=starts_at.isoformat(), tiers=[tier(), tier()])
    changed = await house.call("PUT", f"/v1/campaigns/{fund.id}", by=fund.creator, json=mended)
    assert (changed.status_code, len(changed.json()["tiers"])) == (200, 2)
    found = await fund.act("submit", fund.creator)
    assert (found["phase"], found["review_note"]) == ("in_review", None)
    late = await house.call("PUT", f"/v1/campaigns/{fund.id}", by=fund.creator, json=mended)
    assert_problem(late, 409, "wrong_phase")
    found = await fund.act("approve", ADMIN)
    assert (found["phase"], found["launched_at"]) == ("scheduled", None)
    assert await is_seen_by_others(fund)
    listed = await house.get("/v1/campaigns", STRANGER, which="upcoming", limit=100)
    assert fund.id in [each["id"] for each in listed["items"]]
    early = await fund.try_pledge("early")
    assert_problem(early, 409, "wrong_phase")
    await fund.let_pass(10 * DAY)
    await fund.until("live")
    assert (await fund.act("cancel", fund.creator, note="Ill"))["phase"] == "cancelled"
    await fund.ended("cancelled")
    assert await is_seen_by_others(fund)
    assert await fund.timeline() == [
        "submitted by initiator",
        "sent_back by operator",
        "submitted by initiator",
        "approved by operator",
        "launched by system",
        "cancelled by initiator",
        "given_back by system",
    ]


async def test_nobody_mends_it(house: House) -> None:
    fund = await Fund.submitted(house)
    await fund.act("send-back", ADMIN, note="Too little to see")
    await fund.let_pass(30 * DAY)
    assert (await fund.ended("cancelled"))["end_reason"] == "mending_lapsed"
    assert not await is_seen_by_others(fund)


async def test_operators_are_called_when_a_review_is_overdue(house: House) -> None:
    fund = await Fund.submitted(house)

    async def called() -> bool:
        return bool(await needs_operator(house, f"campaign-{fund.id}"))

    assert not await called()
    await fund.let_pass(5 * DAY)
    await eventually(called)
    assert (await fund.until("in_review"))["phase"] == "in_review"
    assert (await fund.timeline())[-1] == "review_overdue by system"
    waits = await house.get("/v1/campaigns", ADMIN, which="in_review", limit=100)
    assert fund.id in [each["id"] for each in waits["items"]]
    assert_problem(
        await house.call("GET", "/v1/campaigns?which=in_review", by=STRANGER), 403, "forbidden"
    )
    await fund.act("approve", ADMIN)
    assert not await called()
    await fund.act("ban", ADMIN, note="It is a weapon")
    await fund.ended("cancelled")


async def test_withdrawn_before_it_is_live(house: House) -> None:
    draft_only = await Fund.drafted(house)
    found = await draft_only.act("withdraw", draft_only.creator, note="Another year")
    assert (found["phase"], found["end_reason"]) == ("cancelled", "withdrawn")
    assert not await is_seen_by_others(draft_only)
    await house.assert_at_zero(draft_only.campaign)
    assert_problem(await draft_only.try_to("submit", draft_only.creator), 409, "wrong_phase")
    in_review = await Fund.submitted(house)
    await in_review.act("withdraw", in_review.creator)
    await in_review.ended("cancelled")
    mended = await Fund.submitted(house)
    await mended.act("send-back", ADMIN, note="No")
    await mended.act("withdraw", mended.creator)
    await mended.ended("cancelled")
    starts_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled = await Fund.submitted(house, starts_at=starts_at)
    await scheduled.act("approve", ADMIN)
    await scheduled.act("withdraw", scheduled.creator)
    await scheduled.ended("cancelled")
    assert await is_seen_by_others(scheduled)


async def test_banned_before_it_is_live(house: House) -> None:
    fund = await Fund.submitted(house)
    assert_problem(await fund.try_to("ban", ADMIN), 422, "invalid_input")
    await fund.act("ban", ADMIN, note="Not handmade")
    assert (await fund.ended("cancelled"))["end_reason"] == "banned"
    assert not await is_seen_by_others(fund)
    starts_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled = await Fund.submitted(house, starts_at=starts_at)
    await scheduled.act("approve", ADMIN)
    await scheduled.act("ban", ADMIN, note="Not handmade either")
    assert (await scheduled.ended("cancelled"))["end_reason"] == "banned"


async def test_operators_do_not_approve_their_own(house: House) -> None:
    fund = await Fund.submitted(house, creator=ADMIN)
    assert_problem(await fund.try_to("approve", ADMIN), 403, "self_dealing")
    await fund.act("withdraw", ADMIN)
    await fund.ended("cancelled")


async def test_pledges_are_late_by_the_clock_of_the_database(house: House) -> None:
    fund = await Fund.live(house)
    house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb(now() -"
        " interval '1 second')) WHERE id = %s",
        fund.id,
    )
    problem = assert_problem(await fund.try_pledge("late"), 409, "too_late")
    assert problem["field"] == "pledging"
    assert (await fund.now())["seconds_left"] == 0
    await fund.close()
    found = await fund.ended("failed")
    assert found["totals"]["pledges"] == 0 and found["goal"]["amount"] < 2 * PRICE
