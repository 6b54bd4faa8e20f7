"""Help in kind that goes well, through the REST API, each ending with the path's accounts at 0."""

from __future__ import annotations

from tests.stories.house import House
from tests.stories.in_kind import BACK, DAY, DUE_DAYS, PAID, Aid, given_back, in_days
from tests.stories.jobs import paid_in
from tests.waiting import eventually


async def test_a_material_is_given_and_received(house: House) -> None:
    aid = await Aid.matched(house, "material", askers=2)
    first, second = aid.asks
    assert (await aid.now())["agreement"]["asker_id"] == aid.asks[first]["asker_id"]
    await aid.act("hand-over", aid.supporter, note="At the gate")
    await aid.act("confirm", first, note="Lovely clay")
    done = await aid.ended("completed")
    told = [(each["kind"], each["made_by"]) for each in done["agreement"]["records"]]
    assert told == [("handed_over", "initiator"), ("confirmed", "asker")]
    assert await aid.timeline() == [
        "published by initiator",
        "picked by initiator",
        "handed_over by initiator",
        "confirmed by asker",
    ]
    assert [each["status"] for each in await aid.seen_asks(second)] == ["live"]


async def test_a_task_nobody_objects_to_counts_as_done(house: House) -> None:
    aid = await Aid.handed_over(house, "task")
    assert set(await aid.deadlines()) == {"confirmation"}
    await aid.let_pass(7 * DAY + 1)
    done = await aid.ended("completed")
    assert done["agreement"]["end_reason"] == "confirmation_lapsed"


async def test_a_loan_without_a_deposit_comes_back(house: House) -> None:
    aid = await Aid.lent(house, deposit=None)
    assert (await aid.now())["agreement"]["held"] is None
    await aid.act("send-back", aid.picked, note="By cart")
    await aid.act("return", aid.supporter)
    await aid.ended("returned")


async def test_a_deposit_goes_back_when_the_lender_says_nothing(house: House) -> None:
    aid = await Aid.lent(house)
    assert set(await aid.deadlines()) == {"due", "overdue"}
    await aid.let_pass(DUE_DAYS * DAY + 60)

    async def reminded() -> bool:
        return set(await aid.deadlines()) == {"overdue"}

    await eventually(reminded)
    await aid.act("send-back", aid.picked)
    promised = await aid.promised("return")
    await aid.let_pass(7 * DAY + 1)
    done = await aid.ended("returned", PAID, BACK)
    assert aid.decided() == promised
    assert done["agreement"]["released"]["amount"] == 0
    assert await aid.timeline() == [
        "published by initiator",
        "picked by initiator",
        "deposit_paid by provider",
        "handed_over by initiator",
        "fell_due by system",
        "sent_back by asker",
        "return_lapsed by system",
        "refund_arrived by provider",
    ]
    history = await house.workflow(aid.story).fetch_history()
    assert len(history.events) < 120


async def test_yen_have_no_decimals(house: House) -> None:
    aid = await Aid.lent(house, deposit={"amount": 55, "currency": "JPY"}, due_at=in_days(1))
    assert aid.offer["deposit"] == {"amount": 55, "currency": "JPY", "text": "JPY 55"}
    await aid.act("return", aid.supporter)
    await aid.ended("returned", paid_in("deposit:borrower", 55), given_back(55))
