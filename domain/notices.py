"""Short plain texts for makers who are not at home on the web: what has happened, what they are paid, what to do by when.

They go out as SMS or are read aloud, so they have no links, no markup and no abbreviations; links are sent beside them.
Amounts are what reaches the maker, after the commission. Times are Beijing time unless the person has named a zone of
their own, and the text says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.deadlines import Deadline
from domain.lot import Course, Event, Flow, HandIn, Moved, Phase
from domain.lot_deadlines import ABANDONMENT
from domain.lot_postings import commission
from domain.model import Instant, Message
from domain.plain import Both, Language, Reader, in_money, lot_named, until
from domain.production import ProductionTerms
from domain.production_policy import ProductionPolicy
from domain.taps import Does

MOST_ZH, MOST_EN = 140, 300
"""Longest text, in characters."""


class LotFacts(Message):
    """What has happened to a lot, as its maker has to know it. Amounts in minor units, after the commission."""

    event: Event
    phase: Phase
    """Where the lot stands now."""
    title: str
    units: int
    currency: str
    course: Course
    flow: Flow
    wages: int = 0
    """Paid by this event."""
    at_stake: int = 0
    """Units that can still be accepted."""
    earn: int = 0
    """What they bring when all of them are."""
    deposit: int = 0
    """Of all units."""
    sample_fee: int = 0
    by: Instant | None = None
    """Until when the next thing has to happen."""
    late: bool = False
    """Whether the goods are being made, and should have been sent."""


class Outgoing(Message):
    """A notice on its way to a person."""

    notice_id: int
    """The same at every try."""
    user_id: str
    language: Language
    words: str
    """For reading aloud as well."""
    links: tuple[str, ...] = ()
    """Lines with what a link says and the link; not for reading aloud."""

    @property
    def text(self) -> str:
        """Words and links, for reading."""
        return "\n".join((self.words, *self.links))


class SentNotices(Message):
    """What one round of sending has done."""

    sent: int = 0
    put_off: int = 0
    given_up: int = 0


_NOT_ENDED = "Otherwise it all goes on."
HAPPENED: dict[Event, Both] = {
    Event.CLAIMED: Both("接单成功。", "The lot is yours."),
    Event.SAMPLE_SENT: Both("样品已交上。", "Your sample is handed in."),
    Event.SAMPLE_APPROVED: Both("样品通过了。", "Your sample is approved."),
    Event.SAMPLE_SILENCE: Both(
        "买方没按时看样品，按通过算。",
        "No word about your sample in time: it counts as approved.",
    ),
    Event.SAMPLE_REFUSED: Both(
        "样品没通过，这批活结束。", "Your sample was not approved. The lot is over."
    ),
    Event.SAMPLE_LAPSED: Both(
        "样品没按时交，这批活转给别人了。",
        "No sample came in time. The lot is over, and others can take it.",
    ),
    Event.DEPOSIT_PAID: Both("押金收到了。", "Your deposit has arrived."),
    Event.DEPOSIT_UNPAID: Both(
        "押金没有付，这批活转给别人了。",
        "The deposit was not paid. The lot is over, and others can take it.",
    ),
    Event.WITHDRAWN: Both("您已退出，这批活结束。", "You have stepped back. The lot is over."),
    Event.CALLED_OFF: Both(
        "平台取消了这批活，不怪您。",
        "The platform has called the lot off. It is not your fault.",
    ),
    Event.DEPOSIT_LOST: Both(
        "您的银行把押金收回去了，其余照旧。",
        f"Your bank has taken the deposit back. {_NOT_ENDED}",
    ),
    Event.KIT_SENT: Both("材料已寄出。", "The materials are on their way."),
    Event.KIT_NOT_SENT: Both(
        "买方没按时寄材料，这批活取消，不怪您。",
        "The materials were not sent in time. The lot is cancelled. It is not your fault.",
    ),
    Event.KIT_RECEIVED: Both("材料收到了。", "You have the materials."),
    Event.KIT_LOST: Both(
        "材料在路上丢了，不怪您。", "The materials got lost. It is not your fault."
    ),
    Event.KIT_CONTESTED: Both(
        "您说材料不对，我们记下了，先别做。",
        "We have noted that the materials are not as promised. Wait with the work.",
    ),
    Event.CONTEST_ADMITTED: Both(
        "买方承认材料不对，不怪您。",
        "The requester agrees that the materials are not as promised. It is not your fault.",
    ),
    Event.KIT_RULED: Both("材料的事有结果了。", "The question of your materials is decided."),
    Event.CONTEST_LAPSED: Both(
        "材料的事没人按时处理，算您对，这批活取消。",
        "Nobody decided about the materials in time, so your word counts. The lot is cancelled.",
    ),
    Event.SILENT: Both(
        "有些日子没您的消息了，活还在做吗？", "We have not heard from you. Are you still working?"
    ),
    Event.OVERDUE: Both("交货时间已过。", "The goods are overdue."),
    Event.EXTENDED: Both("交货时间改了。", "You have another date for sending."),
    Event.ABANDONED: Both(
        "一直没寄出，这批活结束。", "Nothing was sent for too long. The lot is over."
    ),
    Event.GOODS_SENT: Both("成品已寄出。", "Your goods are on their way."),
    Event.GOODS_RECEIVED: Both("东西寄到了。", "What you sent has arrived."),
    Event.GOODS_LOST: Both("成品在路上丢了。", "Your goods got lost on their way."),
    Event.GOODS_DENIED: Both(
        "买方说没收到您寄的东西。", "The requester says that your goods have never come."
    ),
    Event.INSPECTED: Both("验收完：合格{accepted}件。", "Inspected: {accepted} accepted."),
    Event.INSPECTION_LAPSED: Both(
        "没按时验收，{accepted}件全算合格。",
        "Nobody inspected in time, so all {accepted} units are accepted.",
    ),
    Event.REWORK_LAPSED: Both(
        "要修的没按时寄回，这些件没有工钱。",
        "The units to be mended were not sent in time. They are not paid.",
    ),
    Event.APPEALED: Both("申诉收到了。", "We have your appeal."),
    Event.APPEAL_WAIVED: Both("您同意了验收结果。", "You have agreed with the inspection."),
    Event.APPEAL_OVER: Both(
        "申诉时间已过，验收结果不变。", "The time for an appeal is over. The inspection stands."
    ),
    Event.RULED: Both(
        "申诉有结果：又有{accepted}件算合格。",
        "Your appeal is decided: {accepted} more units are accepted.",
    ),
    Event.RULING_LAPSED: Both(
        "申诉没人按时处理，算您对：{accepted}件合格。",
        "Nobody decided your appeal in time, so it is granted: {accepted} units are accepted.",
    ),
}
"""What has happened. Not a word about a heartbeat: the maker has just given it."""

_ENDED_BY_BANK = Both(
    "您的银行把押金收回去了，这批活结束。",
    "Your bank has taken the deposit back. The lot is over.",
)
_APPEAL_LOST = Both(
    "申诉有结果：没有更多件算合格。", "Your appeal is decided: no more units are accepted."
)
_NOT_COVERED = Both(
    "没用平台运单，这次赔不了。", "They did not travel under our label, so we cannot pay for them."
)
_OVERDUE = Both(
    "请在{by}寄出，不然这批活就没了。最多可得{earn}。",
    "Send them {by}, or the lot is over. You can earn up to {earn}.",
)
_EARN = Both("全部合格可得{earn}。", "You earn {earn} if all are accepted.")

NEXT: dict[Phase, Both] = {
    Phase.SAMPLE: Both(
        f"请在{{by}}做一件样品交上来，样品费{{sample_fee}}。{_EARN.zh}",
        f"Show one sample {{by}}. You get {{sample_fee}} for it. {_EARN.en}",
    ),
    Phase.SAMPLE_REVIEW: Both(
        "买方会在{by}看，到时没看算通过。样品费{sample_fee}照付。",
        "It is looked at {by}, else it counts as approved. You get {sample_fee} for it either way.",
    ),
    Phase.KIT_RESERVED: Both(
        f"请在{{by}}付押金{{deposit}}，料用好了就退。{_EARN.zh}",
        f"Pay the deposit of {{deposit}} {{by}}; you get it back for good work. {_EARN.en}",
    ),
    Phase.KIT_PAID: Both(
        f"请等着，材料会在{{by}}寄出，不寄就取消，付过的押金退您。{_EARN.zh}",
        f"Please wait: the materials are sent {{by}}, else it is off and a deposit comes back. {_EARN.en}",
    ),
    Phase.KIT_SHIPPED: Both(
        f"收到后请告诉我们，从那时起算时间。{_EARN.zh}",
        f"Tell us when they are there: your time begins then. {_EARN.en}",
    ),
    Phase.MAKING: Both(f"请在{{by}}做好寄出。{_EARN.zh}", f"Make and send them {{by}}. {_EARN.en}"),
    Phase.KIT_CONTESTED: Both(
        "会在{by}有结果，没结果就取消，押金退您。",
        "It is decided {by}, else the lot is cancelled and a deposit comes back.",
    ),
    Phase.RETURN_SHIPPED: Both(
        f"到货就验收，合格的马上算钱。{_EARN.zh}",
        f"They are inspected when they arrive, and what is good is paid at once. {_EARN.en}",
    ),
    Phase.INSPECTING: Both(
        f"会在{{by}}验收，到时没验全算合格。{_EARN.zh}",
        f"They are inspected {{by}}, else all are accepted. {_EARN.en}",
    ),
    Phase.DECIDED: Both(
        "{rejected}件不合格，没有工钱。不服请在{by}申诉。",
        "{rejected} are rejected and not paid. If that is wrong, appeal {by}.",
    ),
    Phase.REWORK: Both(
        "{in_rework}件要修，请在{by}修好寄回，全合格再得{earn}。",
        "{in_rework} have to be mended: send them {by}. You earn {earn} more if all are accepted.",
    ),
    Phase.APPEALED: Both(
        "会在{by}有结果，没结果算您对，可得{earn}。",
        "It is decided {by}, else it is granted. You can earn {earn}.",
    ),
    Phase.SETTLED: Both("这批活结清了。", "The lot is settled."),
}
"""What comes next; nothing when the lot has ended without goods."""

_NOT_BACK = Both(
    "{not_returned}件没用的材料说没收到，押金不退。不服请在{by}申诉。",
    "Unused materials of {not_returned} units did not come back, it is said. If that is wrong, appeal {by}.",
)
_NEVER_CAME = Both(
    "会在{by}有结果；没结果的话，没收到的东西没有工钱。",
    "It is decided {by}; else what never came is not paid.",
)
_SAYS: dict[Does, Both] = {
    Does.KIT_RECEIVED: Both("材料收到了请点", "Materials are here:"),
    Does.WORKING: Both("还在做请点", "Still working:"),
    Does.ALL_SENT: Both("全部寄出了请点", "All is sent:"),
    Does.AGREED: Both("同意验收结果请点", "I agree with the inspection:"),
}
_WOULD: dict[Does, Both] = {
    Does.KIT_RECEIVED: Both(
        "{lot}按下确认，就是说材料您收到了。做好寄出的时间从现在算起。",
        "{lot}If you confirm, you say that the materials are there. Your time for making begins now.",
    ),
    Does.WORKING: Both(
        "{lot}按下确认，就是说活还在做。",
        "{lot}If you confirm, you say that you are still working.",
    ),
    Does.ALL_SENT: Both(
        "{lot}按下确认，就是说{made}件全部做好寄出了，没有运单号。没有运单号，路上丢了平台不赔；有运单号请在网上填。",
        "{lot}If you confirm, you say that all {made} units are made and sent, without a tracking number. "
        "What gets lost without one is not paid for; with one, send it on the web instead.",
    ),
    Does.AGREED: Both(
        "{lot}按下确认，就是同意{rejected}件不合格、不申诉。这批活马上结清。",
        "{lot}If you confirm, you agree that {rejected} units are rejected, and do not appeal. "
        "The lot is settled at once.",
    ),
}
_DONE = Both("{lot}记下了，谢谢。", "{lot}It is noted. Thank you.")


def facts_of(
    terms: ProductionTerms,
    units: int,
    event: Event,
    moved: Moved,
    timers: Sequence[Deadline],
    hand_in: HandIn | None,
    at: datetime,
) -> LotFacts:
    """What a transition of a lot means for its maker. `hand_in`: of goods on their way."""
    course, phase = moved.course, moved.phase
    at_stake = _at_stake(course, phase, hand_in)
    gross, paid = at_stake * terms.rate, moved.flow.wages
    late = phase is Phase.MAKING and course.due_at is not None and course.due_at <= at
    return LotFacts(
        event=event,
        phase=phase,
        title=terms.title,
        units=units,
        currency=terms.currency,
        course=course,
        flow=moved.flow,
        wages=paid - commission(terms, paid),
        at_stake=at_stake,
        earn=gross - commission(terms, gross),
        deposit=units * terms.deposit,
        sample_fee=terms.sample_fee or 0,
        by=course.due_at if phase is Phase.MAKING and not late else step_ends(timers),
        late=late,
    )


def _at_stake(course: Course, phase: Phase, hand_in: HandIn | None) -> int:
    match phase:
        case Phase.RETURN_SHIPPED:
            return hand_in.made if hand_in else course.units
        case Phase.INSPECTING:
            return course.undecided
        case Phase.REWORK:
            return course.in_rework
        case Phase.APPEALED:
            return course.rejected
        case Phase.DECIDED:
            return 0
        case _:
            return course.units


def step_ends(timers: Sequence[Deadline]) -> datetime | None:
    """When the phase ends: of several timers the one that ends it. None when nothing but a person ends it."""
    own = {each.name: each.due_at for each in timers if not each.subject.startswith("ref_")}
    return own.get(ABANDONMENT) or next(iter(own.values()), None)


def link_ends(timers: Sequence[Deadline], at: datetime, policy: ProductionPolicy) -> datetime:
    """Until when a link works that is sent now: as long as its step lasts, but not for ever."""
    latest = at + timedelta(seconds=policy.tap_seconds)
    return min(latest, step_ends(timers) or latest)


def does_of(facts: LotFacts) -> tuple[Does, ...]:
    """What the maker can say by one tap after this."""
    match facts.event, facts.phase:
        case Event.DEPOSIT_LOST, _:
            return ()
        case Event.SILENT, _:
            return (Does.WORKING, Does.ALL_SENT)
        case (Event.OVERDUE | Event.EXTENDED, _) | (_, Phase.REWORK):
            return (Does.ALL_SENT,)
        case _, Phase.KIT_SHIPPED:
            return (Does.KIT_RECEIVED,)
        case _, Phase.DECIDED:
            return (Does.AGREED,)
        case _:
            return ()


def concerns(event: Event) -> bool:
    """Whether somebody is told of the event."""
    return event in HAPPENED


def notice(facts: LotFacts, reader: Reader) -> str:
    """The whole text, at most MOST_ZH or MOST_EN characters. Raises KeyError for an event that concerns nobody.

    When it is too long the title gives way first, then the list of what was paid becomes one sum.
    """
    most = MOST_ZH if reader.language is Language.ZH else MOST_EN
    for letters, in_detail in ((12, True), (6, True), (12, False), (4, False)):
        text = _composed(facts, reader, letters, in_detail=in_detail)
        if len(text) <= most:
            break
    return text


def _composed(facts: LotFacts, reader: Reader, letters: int, *, in_detail: bool) -> str:
    language = reader.language
    values = _values(facts, reader)
    parts = [
        lot_named(facts.title, facts.units, reader, letters),
        _happened(facts).in_(language).format(**values),
        _paid(facts, language, in_detail=in_detail),
        _next(facts).in_(language).format(**values),
    ]
    if language is Language.ZH:
        return "".join(parts)
    return " ".join(part.strip() for part in parts if part)


def _happened(facts: LotFacts) -> Both:
    if facts.event is Event.DEPOSIT_LOST and facts.phase is Phase.LAPSED:
        return _ENDED_BY_BANK
    if facts.event is Event.RULED and not facts.flow.accepted:
        return _APPEAL_LOST
    if facts.event is Event.GOODS_LOST and not facts.flow.protected:
        lost = HAPPENED[Event.GOODS_LOST]
        return Both(lost.zh + _NOT_COVERED.zh, f"{lost.en} {_NOT_COVERED.en}")
    return HAPPENED[facts.event]


def _next(facts: LotFacts) -> Both:
    if facts.late:
        return _OVERDUE
    if facts.phase is Phase.DECIDED and not facts.course.rejected:
        return _NOT_BACK
    if facts.phase is Phase.APPEALED and (facts.course.gone or not facts.course.arrived):
        return _NEVER_CAME
    return NEXT.get(facts.phase, Both("", ""))


def _values(facts: LotFacts, reader: Reader) -> dict[str, str | int]:
    def money(amount: int) -> str:
        return in_money(amount, facts.currency, reader.language)

    return {
        "by": until(facts.by, reader),
        "earn": money(facts.earn),
        "deposit": money(facts.deposit),
        "sample_fee": money(facts.sample_fee),
        "accepted": facts.flow.accepted,
        "rejected": facts.course.rejected,
        "in_rework": facts.course.in_rework,
        "not_returned": facts.course.not_returned,
    }


def _paid(facts: LotFacts, language: Language, *, in_detail: bool) -> str:
    flow = facts.flow
    fee = facts.event is not Event.GOODS_RECEIVED and not facts.course.made
    freight = Both("样品费", "sample") if fee else Both("运费", "freight")
    back = 0 if flow.deposit_refunded else flow.deposit_back
    listed = [
        (words.in_(language), amount)
        for words, amount in (
            (Both("工钱", "wages"), facts.wages),
            (Both("平台赔付", "for what was lost"), flow.protected),
            (freight, flow.freight),
            (Both("退押金", "deposit back"), back),
        )
        if amount
    ]

    def money(amount: int) -> str:
        return in_money(amount, facts.currency, language)

    found = []
    if listed:
        total = money(sum(amount for _, amount in listed))
        several = "、".join(f"{words}{money(amount)}" for words, amount in listed)
        if language is Language.EN:
            several = ", ".join(f"{words} {money(amount)}" for words, amount in listed)
        told = several if in_detail else total
        found.append(Both("已给您{0}。", "Paid to you: {0}.").in_(language).format(told))
    if flow.deposit_refunded and flow.deposit_back:
        way = Both("押金{0}原路退回。", "Your deposit of {0} goes back the way it came.")
        found.append(way.in_(language).format(money(flow.deposit_back)))
    if flow.deposit_kept:
        kept = Both("押金{0}赔材料。", "{0} of the deposit pays for materials.")
        found.append(kept.in_(language).format(money(flow.deposit_kept)))
    return ("" if language is Language.ZH else " ").join(found)


# Taps.


def link_line(does: Does, link: str, language: Language) -> str:
    """A line that says what a link is for."""
    return f"{_SAYS[does].in_(language)} {link}"


def would_do(does: Does, title: str, units: int, course: Course, reader: Reader) -> str:
    """What confirming does, in words."""
    return _tapped(_WOULD[does], title, units, course, reader)


def was_done(title: str, units: int, course: Course, reader: Reader) -> str:
    """That it was done, in words."""
    return _tapped(_DONE, title, units, course, reader)


def _tapped(words: Both, title: str, units: int, course: Course, reader: Reader) -> str:
    lot = lot_named(title, units, reader, 12)
    return words.in_(reader.language).format(
        lot=lot, made=course.in_rework or course.units, rejected=course.rejected
    )
