"""What those around a lot are told: whole, short and in both languages, and only those whom it concerns."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from domain.asked import Ask, Asks, asked, asking
from domain.deadlines import Deadline
from domain.lot import TRANSITIONS, Course, Event, Flow, Phase
from domain.notices import MOST_EN, MOST_ZH, LotFacts, link_ends
from domain.plain import Language, Reader
from domain.production_policy import ProductionPolicy

AT = datetime(2027, 11, 26, 12, 30, tzinfo=UTC)
ZH, EN = Reader(), Reader(language=Language.EN)


def facts_of(event: Event, phase: Phase) -> LotFacts:
    """A transition of a lot of which three units are at stake."""
    return LotFacts(
        event=event,
        phase=phase,
        title="Baskets",
        units=10,
        currency="CNY",
        course=Course(units=10, accepted=7, rejected=3),
        flow=Flow(),
        at_stake=3,
        by=AT,
    )


@pytest.mark.parametrize("asks", list(Asks))
def test_each_text_is_short_and_whole(asks: Asks) -> None:
    ask = Ask(
        asks=asks,
        title="Hand-woven bamboo baskets with a lid, 竹编提篮带盖子带花纹的那一种",
        units=10_000,
        count=10_000,
        accepted=9_999,
        rejected=9_999,
        by=AT,
    )
    for reader, most in ((ZH, MOST_ZH), (EN, MOST_EN)):
        text = asking(ask, reader)
        assert len(text) <= most, text
        assert not re.search(r"[{}<>]|None|  ", text), text
        assert text[-1] in "。."
    plain = asking(ask.model_copy(update={"title": "Vase"}), ZH).replace("Vase", "")
    assert not re.search("[A-Za-z]", plain), plain


@pytest.mark.parametrize("certified", [True, False], ids=["certified", "not certified"])
def test_who_is_told_of_which_step(certified: bool) -> None:
    found = {
        (event, phase): {str(side): str(ask.asks) for side, ask in told.items()}
        for (_, event), phases in TRANSITIONS.items()
        for phase in phases
        if (told := asked(facts_of(event, phase), certified=certified))
    }
    goods = {"requester": "goods"} | ({"certifier": "goods"} if certified else {})
    inspector = "certifier" if certified else "requester"
    assert found[Event.SAMPLE_SENT, Phase.SAMPLE_REVIEW] == {"requester": "sample"}
    assert found[Event.DEPOSIT_PAID, Phase.KIT_PAID] == {"requester": "kit"}
    assert found[Event.KIT_LOST, Phase.KIT_PAID] == {"requester": "kit_again"}
    assert found[Event.GOODS_SENT, Phase.RETURN_SHIPPED] == goods
    assert found[Event.GOODS_RECEIVED, Phase.INSPECTING] == {inspector: "inspect"}
    assert found[Event.APPEALED, Phase.APPEALED] == {"requester": "appeal", "juror": "vote"}
    assert found[Event.APPEAL_OVER, Phase.SETTLED] == {"requester": "settled"}
    assert not [event for event, _ in found if event in (Event.DEPOSIT_LOST, Event.HEARTBEAT)]


def test_a_link_ends_with_its_step_but_does_not_live_for_ever() -> None:
    policy = ProductionPolicy()

    def ends_after(*timers: tuple[str, int]) -> int:
        pending = [
            Deadline(
                name=name,
                due_at=AT + timedelta(days=days),
                stopped_by=(),
                outcome="",
                event="",
            )
            for name, days in timers
        ]
        return (link_ends(pending, AT, policy) - AT).days

    assert ends_after(("rework", 7)) == 7
    assert ends_after(("heartbeat", 7), ("overdue", 13), ("abandonment", 20)) == 20
    assert ends_after(("heartbeat", 7), ("abandonment", 200)) == 30
    assert ends_after() == 30
