"""The pending timers of a lot: until when, who can stop them, what silence does, and what would be posted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from domain import postings
from domain.deadlines import Deadline, PlannedPosting, planned
from domain.lot import Course, Event, Flow, Phase, deposit_account
from domain.lot_moves import Said, move
from domain.lot_postings import entries
from domain.model import Message
from domain.path import Standing
from domain.production import Label, ProductionTerms

HEARTBEAT = "heartbeat"
OVERDUE = "overdue"
ABANDONMENT = "abandonment"
DEPOSIT = "deposit"
INSPECTION = "inspection"
_WITHDRAW = "maker: withdraw"
_MAKER_SENDS = ("maker: send goods", "requester: extend")
_RESENT = "The kit counts as lost: the requester has to send another one."
_SILENT_PARCELS = frozenset({Event.KIT_LOST, Event.GOODS_LOST})
_RENEWED = {
    Event.HEARTBEAT: frozenset({HEARTBEAT}),
    Event.SILENT: frozenset({HEARTBEAT}),
    Event.EXTENDED: frozenset({OVERDUE, ABANDONMENT}),
}
"""Timers of the phase that an event starts anew, when the lot stays in it."""


class Clock(Message):
    """A lot, as its timers see it."""

    lot_id: str
    maker_id: str
    terms: ProductionTerms
    course: Course
    said: Said = Said()
    """Of goods on their way."""
    inspection_id: str = ""
    pay_until: datetime | None = None
    """When the payment of the deposit expires."""


def entered(clock: Clock, phase: Phase, at: datetime) -> tuple[Deadline, ...]:
    """The timers of a phase entered at this moment, with what each would post."""
    return _shown(clock, phase, _timers(clock, phase, at))


def stayed(
    clock: Clock, phase: Phase, event: Event, at: datetime, running: Sequence[Deadline]
) -> tuple[Deadline, ...]:
    """The timers after an event that leaves the lot in its phase: those that it does not concern go on.

    A reminder that was given is not given again.
    """
    renewed: Collection[str] = _RENEWED.get(event, frozenset())
    times = {each.name: each.due_at for each in running if each.event != event}
    timers = [
        each if each.name in renewed else each.model_copy(update={"due_at": times[each.name]})
        for each in _timers(clock, phase, at)
        if each.name in renewed or each.name in times
    ]
    return _shown(clock, phase, timers)


def heard_of(clock: Clock, phase: Phase, silent_until: datetime) -> tuple[Deadline, ...]:
    """The timer of a parcel that a carrier has scanned: it counts as lost only then, and was sent for certain."""
    timers = _timers(clock, phase, silent_until)
    return _shown(clock, phase, (t.model_copy(update={"due_at": silent_until}) for t in timers))


def scanned(standing: Standing, silent_until: datetime) -> Standing:
    """The same with its parcel heard of: it counts as lost only then."""
    timers = (
        each.model_copy(update={"due_at": max(each.due_at, silent_until)})
        if each.event in _SILENT_PARCELS
        else each
        for each in standing.deadlines
    )
    return standing.model_copy(update={"deadlines": tuple(timers)})


def preview(clock: Clock, phase: Phase, timer: Deadline) -> tuple[PlannedPosting, ...]:
    """Exactly what the timer would post, as long as the order's escrow and the protection fund hold enough."""
    event = _EVENTS_OF_OTHERS.get(timer.name) or Event(timer.event)
    moved = move(clock.terms, clock.course, phase, event, timer.due_at, clock.said)
    return planned(
        *entries(clock.terms, clock.lot_id, clock.maker_id, moved.flow, "preview"),
        *_sent_back(clock, moved.flow),
    )


_EVENTS_OF_OTHERS = {DEPOSIT: Event.DEPOSIT_UNPAID, INSPECTION: Event.INSPECTION_LAPSED}
"""What happens when a timer fires that another story runs."""


def _sent_back(clock: Clock, flow: Flow) -> Iterable[postings.JournalEntry]:
    if flow.deposit_refunded and flow.deposit_back:
        yield postings.refund(
            "preview",
            clock.lot_id,
            "new",
            flow.deposit_back,
            clock.terms.currency,
            source=deposit_account(clock.lot_id, clock.maker_id),
        )


def _shown(clock: Clock, phase: Phase, timers: Iterable[Deadline]) -> tuple[Deadline, ...]:
    return tuple(
        each.model_copy(update={"postings": preview(clock, phase, each)}) for each in timers
    )


def _timers(clock: Clock, phase: Phase, at: datetime) -> tuple[Deadline, ...]:
    """The timers of a phase entered at this moment; their postings are still to be told."""
    policy = clock.terms.policy

    def timer(
        name: str, seconds: int, stopped_by: tuple[str, ...], outcome: str, event: str, **more: str
    ) -> Deadline:
        return Deadline(
            name=name,
            due_at=at + timedelta(seconds=seconds),
            stopped_by=stopped_by,
            outcome=outcome,
            event=event,
            **more,
        )

    by: tuple[str, ...]
    back = " The maker gets the deposit back." if clock.course.deposit_held else ""
    match phase:
        case Phase.SAMPLE:
            words = "No sample has come: the units go to others."
            by = ("maker: send sample", _WITHDRAW)
            return (timer("sample", policy.sample_seconds, by, words, Event.SAMPLE_LAPSED),)
        case Phase.SAMPLE_REVIEW:
            words = "The sample counts as approved, and its fee is paid."
            by = ("requester: approve sample", "requester: refuse sample")
            seconds = policy.sample_review_seconds
            return (timer("sample_review", seconds, by, words, Event.SAMPLE_SILENCE),)
        case Phase.KIT_RESERVED:
            words = "The kit is not reserved any more: the units go to others."
            unpaid = timer(DEPOSIT, 0, ("maker: pay", _WITHDRAW), words, "")
            return (unpaid.model_copy(update={"due_at": clock.pay_until or at}),)
        case Phase.KIT_PAID:
            words = f"The materials were not sent: the lot is cancelled.{back}"
            by = ("requester: send kit", _WITHDRAW)
            return (timer("kit", policy.kit_ship_seconds, by, words, Event.KIT_NOT_SENT),)
        case Phase.KIT_SHIPPED | Phase.RETURN_SHIPPED:
            name, by, words, event = _parcel(clock, phase, back)
            return (timer(name, policy.scan_silence_seconds, by, words, event),)
        case Phase.MAKING:
            return _making(clock, at)
        case Phase.KIT_CONTESTED:
            words = f"Nobody has ruled: the lot is cancelled.{back}"
            by = ("requester: admit contest", "operator: rule kit")
            return (timer("contest", policy.ruling_seconds, by, words, Event.CONTEST_LAPSED),)
        case Phase.INSPECTING:
            words = "Nobody has inspected: everything is accepted and paid."
            by = ("inspector: decide",)
            about = {"subject": clock.inspection_id}
            return (timer(INSPECTION, policy.inspect_seconds, by, words, "", **about),)
        case Phase.REWORK:
            words = (
                "Units that were to be mended are not paid; the deposit pays for their materials."
            )
            by = ("maker: send goods",)
            return (timer("rework", policy.rework_seconds, by, words, Event.REWORK_LAPSED),)
        case Phase.DECIDED:
            words = "Nobody has appealed: the rejected units are not paid."
            by = ("maker: appeal", "maker: accept decision")
            return (timer("appeal", policy.appeal_seconds, by, words, Event.APPEAL_OVER),)
        case Phase.APPEALED:
            words = "Nobody has ruled: the appeal counts as granted, and the units are paid."
            if clock.course.gone or not clock.course.arrived:
                words = "Nobody has ruled: goods that never arrived are not paid."
            by = ("operator: rule", "jury: vote")
            return (timer("ruling", policy.ruling_seconds, by, words, Event.RULING_LAPSED),)
        case _:
            return ()


def _making(clock: Clock, at: datetime) -> tuple[Deadline, ...]:
    """The question how the work goes, the reminder after the due date, and the end of a lot of which nothing comes."""
    policy, due_at = clock.terms.policy, clock.course.due_at
    assert due_at is not None
    kept = "the deposit pays for the materials, and " if clock.course.deposit_held else ""
    return (
        Deadline(
            name=HEARTBEAT,
            due_at=at + timedelta(seconds=policy.heartbeat_seconds),
            stopped_by=("maker: report", "maker: send goods"),
            outcome="The maker is asked how the work goes.",
            event=Event.SILENT,
        ),
        Deadline(
            name=OVERDUE,
            due_at=due_at + timedelta(seconds=policy.overdue_seconds),
            stopped_by=_MAKER_SENDS,
            outcome="The maker is reminded that the goods are overdue.",
            event=Event.OVERDUE,
        ),
        Deadline(
            name=ABANDONMENT,
            due_at=due_at + timedelta(seconds=policy.abandon_seconds),
            stopped_by=_MAKER_SENDS,
            outcome=f"The lot counts as abandoned: {kept}others can claim the units.",
            event=Event.ABANDONED,
        ),
    )


def _parcel(clock: Clock, phase: Phase, back: str) -> tuple[str, tuple[str, ...], str, Event]:
    """Name, who can stop it, outcome and event of the timer of a parcel that is on its way."""
    if phase is Phase.KIT_SHIPPED:
        last = clock.course.kits_lost + 1 >= clock.terms.policy.kits_most
        words = f"The kit counts as lost: the lot is cancelled.{back}" if last else _RESENT
        return "kit_scan", ("maker: receive kit", "carrier: any scan"), words, Event.KIT_LOST
    if not clock.said.tracked:
        by = ("requester: receive goods", "inspector: deny goods")
        return "goods", by, "The goods count as arrived.", Event.GOODS_RECEIVED
    by = ("requester: receive goods", "carrier: any scan")
    return "goods_scan", by, _goods_lost(clock), Event.GOODS_LOST


def _goods_lost(clock: Clock) -> str:
    if clock.terms.label is Label.PLATFORM and clock.said.covered:
        return "The goods count as lost: the protection fund pays the wages, and the maker gets the deposit back."
    return "The goods count as lost; the maker bears it, and may appeal."
