"""What those around a lot are asked to do by when, in the same short words as its maker: look, send, receive, inspect, vote.

They are at home on the web: no links are sent along.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain.lot import Event, Phase
from domain.model import Instant, Message
from domain.notices import LotFacts
from domain.plain import Both, Reader, lot_named, until

_LETTERS = 12
"""Of a title."""


class Side(StrEnum):
    """Who is told, besides the maker and their broker."""

    REQUESTER = "requester"
    CERTIFIER = "certifier"
    """The independent inspector that the order names, without having been asked."""
    JUROR = "juror"


class Asks(StrEnum):
    """What somebody is asked to do, or is told."""

    SAMPLE = "sample"
    KIT = "kit"
    KIT_AGAIN = "kit_again"
    """The first one got lost."""
    CONTEST = "contest"
    """The materials are said not to be as promised."""
    GOODS = "goods"
    """They are on their way: say when they are there."""
    INSPECT = "inspect"
    SECOND_LOOK = "second_look"
    VOTE = "vote"
    APPEAL = "appeal"
    ABANDONED = "abandoned"
    LOST = "lost"
    SETTLED = "settled"


class Ask(Message):
    """One of these, about one lot."""

    asks: Asks
    title: str
    units: int
    """Of the lot."""
    count: int = 0
    """Units that it is about."""
    accepted: int = 0
    rejected: int = 0
    by: Instant | None = None


_WORDS: Mapping[Asks, Both] = {
    Asks.SAMPLE: Both(
        "样品交上来了，请在{by}看，到时没看算通过。",
        "The sample is there. Look at it {by}, else it counts as approved.",
    ),
    Asks.KIT: Both(
        "有人接单了，请在{by}寄出材料，不寄这批活就取消。",
        "Somebody makes it. Send the materials {by}, else the lot is cancelled.",
    ),
    Asks.KIT_AGAIN: Both(
        "材料在路上丢了，请在{by}再寄一份，不寄这批活就取消。",
        "The materials got lost. Send them once more {by}, else the lot is cancelled.",
    ),
    Asks.CONTEST: Both(
        "工匠说材料不对。您承认就再寄一份；不然平台在{by}定，没结果就取消，押金退工匠。",
        "The maker says that the materials are not as promised. Agree and send others, or it is decided {by}; else it is off.",
    ),
    Asks.GOODS: Both(
        "做好的{count}件已寄出，到了请在网上点收，点收后开始算验收时间。",
        "{count} made units are on their way. Say on the web when they are there: the time for the inspection begins then.",
    ),
    Asks.INSPECT: Both(
        "东西寄到了，做好{count}件，请您在{by}验完，到时没验全算合格。",
        "The goods are there, {count} made. Inspect them {by}, else all of them are accepted.",
    ),
    Asks.SECOND_LOOK: Both(
        "工匠不服验收，请您在{by}复验{count}件不合格的，到时没结果算工匠对。",
        "The maker appeals against an inspection. Look at {count} rejected units once more {by}, else the appeal is granted.",
    ),
    Asks.VOTE: Both(
        "工匠不服验收，您被抽中当陪审，请在{by}投票：{count}件不合格的到底合不合格。",
        "You are drawn for the jury of an appeal. Vote {by} whether {count} rejected units are as agreed.",
    ),
    Asks.APPEAL: Both(
        "工匠不服验收，{count}件不合格的要再看，会在{by}有结果，没结果算工匠对。",
        "The maker appeals: {count} rejected units are looked at once more. It is decided {by}, else it is granted.",
    ),
    Asks.ABANDONED: Both(
        "工匠一直没寄出，这批活结束，别人可以接。",
        "The maker has sent nothing for too long. The lot is over, and others can take it.",
    ),
    Asks.LOST: Both("成品在路上丢了，这批活结束。", "The goods got lost. The lot is over."),
    Asks.SETTLED: Both(
        "这批活结清了：合格{accepted}件，不合格{rejected}件。",
        "The lot is settled: {accepted} accepted, {rejected} rejected.",
    ),
}
_OF_EVENT: Mapping[Event, Asks] = {
    Event.SAMPLE_SENT: Asks.SAMPLE,
    Event.KIT_LOST: Asks.KIT_AGAIN,
    Event.KIT_CONTESTED: Asks.CONTEST,
    Event.GOODS_SENT: Asks.GOODS,
    Event.APPEALED: Asks.APPEAL,
}
_OF_PHASE: Mapping[Phase, Asks] = {
    Phase.KIT_PAID: Asks.KIT,
    Phase.INSPECTING: Asks.INSPECT,
    Phase.ABANDONED: Asks.ABANDONED,
    Phase.LOST: Asks.LOST,
    Phase.SETTLED: Asks.SETTLED,
}
_CERTIFIERS = frozenset({Asks.GOODS, Asks.INSPECT})


def asked(facts: LotFacts, *, certified: bool) -> dict[Side, Ask]:
    """Who is told what after a transition. `certified`: an independent inspector looks at the goods.

    Jurors have less time than the ruling: how much is for the caller to say.
    """
    if facts.event is Event.DEPOSIT_LOST or facts.phase is Phase.CANCELLED:
        # The deposit is the maker's, and what was called off asks nothing of anybody.
        return {}
    what = _OF_EVENT.get(facts.event) or _OF_PHASE.get(facts.phase)
    if what is None:
        return {}
    ask = Ask(
        asks=what,
        title=facts.title,
        units=facts.units,
        count=facts.at_stake,
        accepted=facts.course.accepted,
        rejected=facts.course.rejected,
        by=facts.by,
    )
    sides = {Side.REQUESTER: ask}
    if certified and what in _CERTIFIERS:
        sides = {Side.CERTIFIER: ask} if what is Asks.INSPECT else {**sides, Side.CERTIFIER: ask}
    if what is Asks.APPEAL:
        sides[Side.JUROR] = ask.model_copy(update={"asks": Asks.VOTE})
    return sides


def asking(ask: Ask, reader: Reader) -> str:
    """The whole text, not longer than a maker's."""
    words = (
        _WORDS[ask.asks]
        .in_(reader.language)
        .format(
            by=until(ask.by, reader),
            count=ask.count,
            accepted=ask.accepted,
            rejected=ask.rejected,
        )
    )
    return lot_named(ask.title, ask.units, reader, _LETTERS) + words
