"""What makers are told: every step has words in both languages, short, whole, and with the right sums and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import errors, lot_deadlines
from domain.lot import FINAL, TRANSITIONS, Course, Decision, Event, Flow, HandIn, Moved, Phase
from domain.lot_deadlines import Clock
from domain.lot_moves import Said, move
from domain.notices import (
    MOST_EN,
    MOST_ZH,
    LotFacts,
    concerns,
    does_of,
    facts_of,
    link_line,
    notice,
    was_done,
    would_do,
)
from domain.plain import Language, Reader, in_money, short, until
from domain.policy import RefundPolicy
from domain.production import Material, ProductionTerms, Rules, Standard
from domain.production_policy import ProductionPolicy
from domain.taps import Does, Tap, hand_in_of, outdated, read_token, tap, tap_key, token_of

NOW = datetime(2027, 3, 1, 2, 30, tzinfo=UTC)
DUE = datetime(2027, 3, 21, 10, 0, tzinfo=UTC)
LOT = "lot_01m84w48p2efraax340ck8tnqz"
ZH, EN = Reader(), Reader(language=Language.EN)
MAKER_SAYS_NOTHING_NEW = {Event.HEARTBEAT}
CASES = [
    (origin, event, phase)
    for (origin, event), phases in TRANSITIONS.items()
    for phase in sorted(phases)
    if event not in MAKER_SAYS_NOTHING_NEW
]


def terms_of(**changes: Any) -> ProductionTerms:
    return ProductionTerms.model_validate(
        {
            "order_id": "prd_1",
            "requester_id": "usr_1",
            "title": "Baskets",
            "process": "Weave",
            "standard": Standard(text="Good", defects=()),
            "currency": "CNY",
            "units": 100,
            "lot_least": 1,
            "lot_most": 100,
            "rate": 500,
            "materials": [Material(number=1, title="Bamboo", pieces=2, cost=100)],
            "deposit": 200,
            "make_seconds": 20 * 86_400,
            "claims_seconds": 86_400,
            "rules": Rules(
                policy=ProductionPolicy(),
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="",
            ),
            **changes,
        }
    )


def told(
    event: Event, course: Course, phase: Phase, terms: ProductionTerms | None = None, **said: Any
) -> LotFacts:
    """What follows from an event, by the rules and with the timers of a real lot."""
    terms = terms or terms_of()
    moved = move(terms, course, phase, event, NOW, Said.model_validate(said))
    clock = Clock(
        lot_id=LOT,
        maker_id="usr_2",
        terms=terms,
        course=moved.course,
        said=Said.model_validate(said),
        pay_until=NOW + timedelta(days=1),
    )
    timers = lot_deadlines.entered(clock, moved.phase, NOW) if moved.phase not in FINAL else ()
    hand_in = said.get("hand_in")
    return facts_of(terms, course.units, event, moved, timers, hand_in, NOW)


def big(event: Event, phase: Phase) -> LotFacts:
    """As much as a lot can have to say: all kinds of money at once, long names, many units."""
    sum_ = 99_999_999
    return LotFacts(
        event=event,
        phase=phase,
        title="Hand-woven bamboo baskets with a lid, 竹编提篮带盖子带花纹的那一种",
        units=10_000,
        currency="CNY",
        course=Course(units=10_000, made=10_000, rejected=4_321, in_rework=1_234),
        flow=Flow(
            wages=sum_,
            freight=sum_,
            protected=0,
            deposit_back=sum_,
            # Only the end of a lot keeps any of it.
            deposit_kept=sum_ if phase in FINAL else 0,
            accepted=4_445,
        ),
        wages=sum_,
        earn=sum_,
        deposit=sum_,
        sample_fee=sum_,
        by=datetime(2027, 11, 26, 12, 30, tzinfo=UTC),
        late=event is Event.OVERDUE,
    )


def test_every_step_that_concerns_the_maker_has_words() -> None:
    assert {event for _, event in TRANSITIONS if not concerns(event)} == MAKER_SAYS_NOTHING_NEW


@pytest.mark.parametrize(("origin", "event", "phase"), CASES, ids=lambda each: str(each))
def test_each_text_is_short_and_whole(origin: Phase, event: Event, phase: Phase) -> None:
    small = big(event, phase).model_copy(update={"flow": Flow(), "title": "Vase", "by": None})
    long_name = "Wang Xiaoming of the long street"
    for facts in (big(event, phase), small):
        for reader, most in ((ZH, MOST_ZH), (EN, MOST_EN)):
            for who in (None, long_name, "王小明王小明王小明王小明"):
                text = notice(facts, reader.model_copy(update={"acts_for": who}))
                assert len(text) <= most, text
                assert not re.search(r"[{}<>]|None|  ", text), text
                assert text == text.strip()
                assert text[-1] in "。？.?"
                assert bool(who) == text.startswith(("代", "For "))
    chinese = notice(small, ZH)
    assert "《Vase》" in chinese
    assert not re.search("[A-Za-z]", chinese.replace("Vase", "")), chinese
    assert notice(small, EN).isascii() or "“Vase”" in notice(small, EN)


def test_what_is_to_be_done_and_paid_by_when() -> None:
    """The whole way of one lot, as its maker reads it."""
    terms, course = terms_of(sample_fee=1_500, samples=3), Course(units=100)
    claimed = notice(told(Event.CLAIMED, course, Phase.SAMPLE, terms), ZH)
    assert claimed == (
        "《Baskets》100件：接单成功。请在北京时间3月8日10:30前做一件样品交上来，样品费15元。全部合格可得475元。"
    )
    approved = told(Event.SAMPLE_APPROVED, course, Phase.SAMPLE_REVIEW, terms)
    assert notice(approved, EN) == (
        "100 x “Baskets”: Your sample is approved. Paid to you: sample CNY 15.00."
        " Pay the deposit of CNY 200.00 by 2 Mar 10:30 Beijing time; you get it back for good work."
        " You earn CNY 475.00 if all are accepted."
    )
    making = told(Event.KIT_RECEIVED, course, Phase.KIT_SHIPPED)
    urumqi = Reader(time_zone="Asia/Urumqi")
    assert "请在您当地时间3月21日08:30前做好寄出。" in notice(making, urumqi)
    assert "by 21 Mar 10:30 Beijing time" in notice(making, EN)
    deposit = course.model_copy(update={"made": 100, "deposit_held": 20_000})
    seen = Decision(accepted=90, rework=6, rejected=4)
    mending = told(Event.INSPECTED, deposit, Phase.INSPECTING, decision=seen)
    assert notice(mending, ZH) == (
        "《Baskets》100件：验收完：合格90件。已给您工钱427.50元、退押金180元。"
        "6件要修，请在北京时间3月8日10:30前修好寄回，全合格再得28.50元。"
    )
    appeal = told(
        Event.INSPECTED, deposit, Phase.INSPECTING, decision=Decision(accepted=98, rejected=2)
    )
    assert notice(appeal, ZH).endswith("2件不合格，没有工钱。不服请在北京时间3月4日10:30前申诉。")


def test_unhappy_ends_say_who_pays() -> None:
    held = Course(units=10, deposit_held=2_000)
    sent = HandIn(made=10)
    ours = told(Event.GOODS_LOST, held, Phase.RETURN_SHIPPED, hand_in=sent)
    assert "已给您平台赔付50元、退押金20元。" in notice(ours, ZH)
    theirs = told(Event.GOODS_LOST, held, Phase.RETURN_SHIPPED, covered=False, hand_in=sent)
    assert "没用平台运单，这次赔不了。10件不合格，没有工钱。" in notice(theirs, ZH)
    over = told(Event.APPEAL_OVER, theirs.course, Phase.DECIDED)
    assert notice(over, ZH).endswith("押金20元赔材料。")
    pleading = told(Event.APPEALED, theirs.course, Phase.DECIDED)
    assert "没收到的东西没有工钱" in notice(pleading, ZH)
    sent_back = HandIn(made=0, unused=4)
    denied = told(Event.GOODS_DENIED, held, Phase.RETURN_SHIPPED, tracked=False, hand_in=sent_back)
    assert "Unused materials of 4 units did not come back" in notice(denied, EN)
    assert notice(told(Event.ABANDONED, held, Phase.MAKING), EN).endswith(
        "The lot is over. CNY 20.00 of the deposit pays for materials."
    )
    back = notice(told(Event.KIT_NOT_SENT, held, Phase.KIT_PAID), ZH)
    assert back == "《Baskets》10件：买方没按时寄材料，这批活取消，不怪您。押金20元原路退回。"
    bank = told(Event.DEPOSIT_LOST, held, Phase.KIT_PAID, amount=2_000)
    assert "这批活结束" in notice(bank, ZH)
    lost = told(Event.RULED, Course(units=10, made=10, rejected=2), Phase.APPEALED, granted=0)
    assert "没有更多件算合格" in notice(lost, ZH)


def test_a_late_maker_is_told_when_it_is_over() -> None:
    late = Course(units=10, due_at=NOW - timedelta(days=3))
    for event in (Event.OVERDUE, Event.SILENT):
        # Due ten days after the date at which the goods should have been sent.
        assert "请在北京时间3月8日10:30前寄出，不然这批活就没了。" in notice(
            told(event, late, Phase.MAKING), ZH
        )


@pytest.mark.parametrize(
    ("amount", "currency", "zh", "en"),
    [
        (123_450, "CNY", "1,234.50元", "CNY 1,234.50"),
        (10_000, "CNY", "100元", "CNY 100.00"),
        (5_000, "JPY", "5,000日元", "JPY 5,000"),
        (1_050, "USD", "10.50美元", "USD 10.50"),
        (1_000, "SEK", "10SEK", "SEK 10.00"),
    ],
)
def test_money(amount: int, currency: str, zh: str, en: str) -> None:
    assert in_money(amount, currency, Language.ZH) == zh
    assert in_money(amount, currency, Language.EN) == en


def test_times() -> None:
    at = datetime(2027, 12, 31, 16, 5, tzinfo=UTC)
    assert until(at, ZH) == "北京时间1月1日00:05前"
    assert until(at, Reader(language=Language.EN, time_zone="Europe/Lisbon")) == (
        "by 31 Dec 16:05 your time"
    )
    # A zone that this machine does not know is not guessed.
    assert until(at, Reader(time_zone="Mars/Olympus")) == until(at, ZH)


def test_no_phone_finds_a_link_in_what_others_wrote() -> None:
    assert short("Win at http://evil.example/x", 99) == "Win at http evil example x"
    assert short("No. 5 vase", 99) == "No. 5 vase"
    assert short("竹编提篮带盖子", 4) == "竹编提…"


# Taps.

KEY = b"key"


def made(**changes: Any) -> Tap:
    return Tap.model_validate(
        {"lot_id": LOT, "does": Does.ALL_SENT, "number": 7, "expires_at": NOW, **changes}
    )


@pytest.mark.parametrize("does", list(Does))
def test_tokens(does: Does) -> None:
    found = made(does=does, kits_lost=2, rework_rounds=1, by_broker=True)
    token = token_of(KEY, found)
    assert read_token(KEY, token) == found
    assert len(token) <= 60
    assert token not in tap_key(token)
    assert token_of(KEY, made(does=does)) != token_of(KEY, made(does=does, number=8))


def test_forged_tokens() -> None:
    token = token_of(KEY, made())
    other = token_of(b"another", made())
    bent = [
        f"{token[:i]}{'A' if token[i] != 'A' else 'B'}{token[i + 1 :]}" for i in range(len(token))
    ]
    for wrong in (*bent, other, token[:-1], token + "A", token + "=", "", "ü" * 59, "a" * 200):
        with pytest.raises(errors.NotFound):
            read_token(KEY, wrong)


def test_a_tap_is_for_one_stay_in_one_phase() -> None:
    course = Course(units=10, kits_lost=1)
    kit = tap(LOT, Does.KIT_RECEIVED, course, 4, NOW, by_broker=False)
    assert outdated(kit, Phase.KIT_SHIPPED, course) is None
    for phase, now in (
        (Phase.MAKING, course),
        (Phase.KIT_SHIPPED, course.model_copy(update={"kits_lost": 2})),
    ):
        assert isinstance(outdated(kit, phase, now), errors.WrongPhase)
    mended = Course(units=10, made=10, in_rework=3, rework_rounds=1)
    again = tap(LOT, Does.ALL_SENT, mended, 9, NOW, by_broker=False)
    assert outdated(again, Phase.REWORK, mended) is None
    assert isinstance(outdated(again, Phase.MAKING, mended), errors.WrongPhase)
    assert hand_in_of(mended) == HandIn(made=3)
    assert hand_in_of(Course(units=10)) == HandIn(made=10)


def test_taps_go_with_the_steps_that_ask_for_them() -> None:
    found = {
        (str(event), str(phase)): does_of(big(event, phase))
        for _, event, phase in CASES
        if does_of(big(event, phase))
    }
    assert found == {
        ("kit_sent", "kit_shipped"): (Does.KIT_RECEIVED,),
        ("silent", "making"): (Does.WORKING, Does.ALL_SENT),
        ("overdue", "making"): (Does.ALL_SENT,),
        ("extended", "making"): (Does.ALL_SENT,),
        ("goods_denied", "decided"): (Does.AGREED,),
        **{
            (event, "rework"): (Does.ALL_SENT,)
            for event in ("goods_received", "inspected", "inspection_lapsed")
        },
        **{
            (event, "decided"): (Does.AGREED,)
            for event in (
                "goods_received",
                "goods_lost",
                "inspected",
                "inspection_lapsed",
                "rework_lapsed",
            )
        },
    }


@pytest.mark.parametrize("does", list(Does))
@pytest.mark.parametrize("reader", [ZH, EN], ids=["zh", "en"])
def test_what_a_tap_would_do_in_words(does: Does, reader: Reader) -> None:
    course = Course(units=10, made=10, rejected=2)
    words = would_do(does, "Baskets", 10, course, reader)
    assert "Baskets" in words
    assert not re.search(r"[{}]", words)
    assert link_line(does, "https://x", reader.language).endswith(" https://x")
    assert was_done("Baskets", 10, course, reader) != words
    if does is Does.AGREED:
        assert "2" in words


def test_facts_survive_their_way() -> None:
    facts = big(Event.INSPECTED, Phase.REWORK)
    assert LotFacts.model_validate(facts.model_dump(mode="json")) == facts
    assert Moved(course=facts.course, phase=facts.phase, flow=facts.flow).phase is Phase.REWORK
