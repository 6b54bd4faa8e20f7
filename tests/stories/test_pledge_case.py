"""Charges that failed: their backers are reminded for a week, mend them in one way or the other, or are dropped."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from activities.campaigns import Campaigns
from activities.pledge_cases import PledgeCases
from db import campaign_seats
from domain.campaign import CampaignTerms, Event, Phase
from domain.campaign_deadlines import phase_deadlines
from domain.campaign_messages import CampaignAct, CampaignStep, PledgeNews, PledgeStep, RunGoal
from domain.errors import OutOfStock
from providers.registry import build_providers
from tests.stories.crowd import SEATED, One
from tests.stories.house import DAY, House
from tests.stories.money import unheard
from tests.stories.runs import M, Round, S, history_length
from tests.waiting import eventually
from workflows.pledge import Pledge

HOURS = 3_600


async def failed(house: House, count: int, *, declines: int = 100, **more: Any) -> Round:
    """A campaign that collects, all of whose charges were declined; so are the next ones of each card."""
    round_ = await Round.of(house, Phase.COLLECTING, {(S.SAVED, M.CARD): count}, **more)
    for one in round_.crowd.ones:
        await house.misbehave("charge", "decline", subject=one.reference or "", times=declines)
    assert (await round_.run(RunGoal.COLLECT)).failed == count
    await eventually(lambda: all(reminders(house, one) == 1 for one in round_.crowd.ones))
    return round_


def story(house: House, one: One) -> WorkflowHandle[Pledge, PledgeNews]:
    """The story of a pledge."""
    return house.temporal.get_workflow_handle_for(Pledge.run, f"pledge-{one.pledge_id}")


def reminders(house: House, one: One) -> int:
    """How often the backer was told."""
    [(count,)] = house.sql(
        "SELECT count(*) FROM pledge_events WHERE pledge_id = %s AND kind = 'charge_reminder'",
        one.pledge_id,
    )
    return int(count)


async def told(house: House, one: One, times: int) -> None:
    """Waits until the backer was told so often."""
    await eventually(lambda: reminders(house, one) == times)


async def skip(house: House, one: One, seconds: int) -> None:
    """Time passes for one pledge."""
    await house.skipper.fast_forward(story(house, one), seconds)


async def test_a_week_of_reminders_and_the_end(house: House) -> None:
    """Told at 0, 48, 96 and 144 hours; at the end the card is tried once more: one is paid, the others are dropped."""
    async with unheard(house):
        round_ = await failed(house, 3, seats=2)
        dropped, lucky, last = round_.crowd.ones
        for number in (2, 3, 4):
            await skip(house, dropped, 48 * HOURS + 1)
            await told(house, dropped, number)
        await _no_seat(house, round_.id)

        await skip(house, dropped, DAY)
        news = await story(house, dropped).result()

        assert (news.state, news.over, news.last) == (S.DROPPED, True, False)
        assert reminders(house, dropped) == 4
        assert await history_length(story(house, dropped)) <= 36
        # The seat is somebody else's now.
        async with house.database.transaction() as session:
            await campaign_seats.take(session, round_.id, {SEATED: 1})
            await session.rollback()
        payment = round_.at_provider("payments", "subject", "status")
        assert sorted(status for _, status in payment) == ["canceled", "open", "open"]

        await house.sandbox.delete("/v1/behaviours")
        await skip(house, lucky, 8 * DAY)
        assert (await story(house, lucky).result()).state == S.COLLECTED
        await house.misbehave("charge", "decline", subject=last.reference or "")
        await house.misbehave("charge", "unavailable", subject=last.reference or "")
        await skip(house, last, 8 * DAY)
        news = await story(house, last).result()
        assert (news.state, news.last) == (S.DROPPED, True)
        kinds = [each.event_type for each in (await story(house, last).fetch_history()).events]
        assert EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED in kinds
        cards = round_.at_provider("cards", "reference", "status")
        assert dict(cards)[lucky.reference] == "saved"
        assert {dict(cards)[one.reference] for one in (dropped, last)} == {"canceled"}
        await round_.assert_books(lucky.amount)


async def _no_seat(house: House, campaign_id: str) -> None:
    async with house.database.transaction() as session:
        with pytest.raises(OutOfStock):
            await campaign_seats.take(session, campaign_id, {SEATED: 1})


async def test_mended_by_the_backer(house: House) -> None:
    """By paying on the page, or by having the card tried again: a few times a day, and only while it can help."""
    round_ = await failed(house, 2)
    by_hand, by_card = round_.crowd.ones
    [(page,)] = house.sql(
        "SELECT checkout_url FROM payments WHERE pledge_id = %s", by_hand.pledge_id
    )
    await house.sandbox.post(page, data={"action": "pay"})
    assert (await story(house, by_hand).result()).state == S.COLLECTED

    for _ in range(3):
        news = await story(house, by_card).execute_update(Pledge.retry)
        assert (news.state, news.over) == (S.ERRORED, False)
    with pytest.raises(WorkflowUpdateFailedError) as often:
        await story(house, by_card).execute_update(Pledge.retry)
    assert getattr(often.value.cause, "type", None) == "limit_reached"
    [(attempts,)] = house.sql("SELECT attempts FROM pledges WHERE id = %s", by_card.pledge_id)
    assert attempts == 4

    await house.sandbox.delete("/v1/behaviours")
    await skip(house, by_card, DAY + 1)
    news = await story(house, by_card).execute_update(Pledge.retry)
    assert (news.state, news.last) == (S.COLLECTED, True)
    await story(house, by_card).result()
    await round_.assert_books(round_.crowd.ones[0].amount + by_card.amount)
    theirs = round_.at_provider("payments", "status", "amount")
    assert sorted(theirs) == sorted(("captured", one.amount) for one in round_.crowd.ones)


async def test_paid_in_the_last_moment(house: House) -> None:
    """The backer pays while the payment is being closed: it counts. Without the last try, after a long outage, as well."""
    async with unheard(house), build_providers(house.settings) as providers:
        round_ = await failed(house, 2)
        fast, slow = round_.crowd.ones
        [(page,)] = house.sql(
            "SELECT checkout_url FROM payments WHERE pledge_id = %s", fast.pledge_id
        )
        await house.sandbox.post(page, data={"action": "pay"})
        cases = PledgeCases(house.database, providers, house.settings)
        at = (await story(house, fast).describe()).start_time

        def step(one: One) -> PledgeStep:
            return PledgeStep(
                pledge_id=one.pledge_id, key=f"{one.pledge_id}/last-try", at=at, last_try=False
            )

        assert (await cases.drop(step(fast))).state == S.COLLECTED
        assert (await cases.drop(step(slow))).state == S.DROPPED
        # Asked once more, because the answer was lost.
        again = await cases.drop(step(slow))
        assert (again.state, again.last) == (S.DROPPED, True)
        [(attempts,)] = house.sql("SELECT attempts FROM pledges WHERE id = %s", slow.pledge_id)
        assert attempts == 1
        for one in (fast, slow):
            await story(house, one).signal(Pledge.wake)
            assert (await story(house, one).result()).over
        await round_.assert_books(fast.amount)


async def test_nothing_is_dropped_before_all_last_tries_had_their_time(house: House) -> None:
    """601 failed charges at one call a second need six seconds more than the hour; then whoever is left is dropped."""
    count = 601
    round_ = await Round.of(house, Phase.COLLECTING, {(S.ERRORED, M.CARD): count})
    [(stored, fix_until)] = house.sql(
        "SELECT terms, fix_until FROM campaigns WHERE id = %s", round_.id
    )
    terms = CampaignTerms.model_validate(stored)
    due = phase_deadlines(terms, Phase.COLLECTING, fix_until, until=fix_until)
    house.sql(
        "UPDATE paths SET deadlines = %s::jsonb WHERE id = %s",
        json.dumps([each.model_dump(mode="json") for each in due]),
        round_.id,
    )
    campaigns = Campaigns(house.database, house.temporal, payout_at_once=False, rate_per_second=1)

    async def move(seconds: int) -> tuple[str, list[float]]:
        step = CampaignStep(
            campaign_id=round_.id,
            key=f"{round_.id}/{seconds}",
            event=Event.COLLECTED,
            act=CampaignAct(actor="system"),
            at=fix_until + timedelta(seconds=seconds),
        )
        found = await campaigns.move(step)
        graces = [(each.passes_at - fix_until).total_seconds() for each in found.deadlines]
        return found.phase, graces

    for seconds in (-DAY, HOURS, HOURS + 5):
        assert await move(seconds) == (Phase.COLLECTING, [HOURS + 6])
    assert round_.states() == {S.ERRORED: count}
    assert await move(HOURS + 6) == (Phase.FAILED, [])
    assert round_.states() == {S.DROPPED: count}
    await round_.assert_books(0)
