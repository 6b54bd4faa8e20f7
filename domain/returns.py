"""The return of a sale's goods (paths 2.6): phases, legal transitions, who may ask for what, and what silence does.

asked -> agreed -> shipped -> received -> refunded; an offer of a part of the price, a refusal or an exchange in between.
A return is a path of its own beside its sale: the money that it is about stays locked in the sale's escrow until it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain.deadlines import Deadline, PlannedPosting
from domain.errors import InvalidInput, TooLate, WrongPhase
from domain.model import Instant, Message
from domain.money import Currency, format_money
from domain.path import Act
from domain.policy import RefundPolicy
from domain.return_policy import ReturnPolicy
from domain.sale import Delivery, SaleLine, SaleTerms, StockKind

MOST_RETURNS = 30
"""Of one sale, goodwill included: opening and withdrawing them without end must not fill its timeline."""


class Reason(StrEnum):
    """Why goods go back."""

    NO_REASON = "no_reason"
    DEFECTIVE = "defective"
    NOT_AS_DESCRIBED = "not_as_described"
    GOODWILL = "goodwill"
    """The seller gives a part of the price back of their own accord; nothing is sent."""


class Remedy(StrEnum):
    """What the buyer wants."""

    REFUND = "refund"
    EXCHANGE = "exchange"
    """Other goods of the same kind; the price goes back if they do not come."""


class Phase(StrEnum):
    """Where a return stands."""

    ASKED = "asked"
    """The seller has to answer a claim."""
    AGREED = "agreed"
    """The buyer has to send the goods."""
    SHIPPED = "shipped"
    RECEIVED = "received"
    """The seller looks at what came back."""
    OFFERED = "offered"
    """The seller offers a part of the price; the buyer keeps what they have."""
    REFUSED = "refused"
    """Nothing goes back unless the seller thinks again or a dispute is opened."""
    EXCHANGING = "exchanging"
    """The seller has to send other goods."""
    EXCHANGE_SENT = "exchange_sent"
    REFUNDED = "refunded"
    """What was agreed is on its way back to the buyer, or there."""
    EXCHANGED = "exchanged"
    CLOSED = "closed"
    """Nothing goes back."""
    DISPUTED = "disputed"
    """A dispute decides about the money now."""


FINAL = frozenset({Phase.REFUNDED, Phase.EXCHANGED, Phase.CLOSED, Phase.DISPUTED})


class Event(StrEnum):
    """What moves a return."""

    OPENED = "return_opened"
    AGREED = "return_agreed"
    ANSWER_LAPSED = "answer_lapsed"
    KEPT = "kept_and_refunded"
    """The seller sends the price back and does not want the goods."""
    PART_OFFERED = "part_offered"
    OFFER_TAKEN = "offer_taken"
    OFFER_LAPSED = "offer_lapsed"
    OFFER_REJECTED = "offer_rejected"
    REFUSED = "return_refused"
    REFUSAL_LAPSED = "refusal_lapsed"
    SHIPPED = "return_shipped"
    SHIPMENT_LAPSED = "return_not_shipped"
    DELIVERED = "return_delivered"
    LOST = "return_lost"
    ACCEPTED = "return_accepted"
    INSPECTION_LAPSED = "inspection_lapsed"
    EXCHANGE_SENT = "exchange_sent"
    EXCHANGE_LAPSED = "exchange_not_sent"
    EXCHANGE_CONFIRMED = "exchange_confirmed"
    EXCHANGE_CONFIRM_LAPSED = "exchange_confirm_lapsed"
    WITHDRAWN = "return_withdrawn"
    DISPUTED = "return_disputed"


_P = Phase
_BACK_OR_OTHERS = frozenset({_P.REFUNDED, _P.EXCHANGING})
_REFUND = frozenset({_P.REFUNDED})
_CLOSE = frozenset({_P.CLOSED})
TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.ASKED, Event.OPENED): frozenset({_P.ASKED, _P.AGREED, _P.REFUNDED}),
    (_P.ASKED, Event.AGREED): frozenset({_P.AGREED}),
    (_P.ASKED, Event.ANSWER_LAPSED): frozenset({_P.AGREED}),
    (_P.ASKED, Event.KEPT): _REFUND,
    (_P.ASKED, Event.PART_OFFERED): frozenset({_P.OFFERED}),
    (_P.ASKED, Event.REFUSED): frozenset({_P.REFUSED}),
    (_P.AGREED, Event.SHIPPED): frozenset({_P.SHIPPED, _P.RECEIVED}),
    (_P.AGREED, Event.SHIPMENT_LAPSED): _CLOSE,
    (_P.AGREED, Event.KEPT): _REFUND,
    (_P.SHIPPED, Event.DELIVERED): frozenset({_P.RECEIVED}),
    (_P.SHIPPED, Event.LOST): _REFUND | _CLOSE,
    (_P.SHIPPED, Event.ACCEPTED): _BACK_OR_OTHERS,
    (_P.RECEIVED, Event.ACCEPTED): _BACK_OR_OTHERS,
    (_P.RECEIVED, Event.INSPECTION_LAPSED): _BACK_OR_OTHERS,
    (_P.RECEIVED, Event.PART_OFFERED): frozenset({_P.OFFERED}),
    (_P.RECEIVED, Event.REFUSED): frozenset({_P.REFUSED}),
    (_P.OFFERED, Event.OFFER_TAKEN): _REFUND,
    (_P.OFFERED, Event.OFFER_LAPSED): _REFUND,
    (_P.OFFERED, Event.OFFER_REJECTED): frozenset({_P.REFUSED}),
    (_P.OFFERED, Event.KEPT): _REFUND,
    (_P.REFUSED, Event.KEPT): _REFUND,
    (_P.REFUSED, Event.REFUSAL_LAPSED): _CLOSE,
    (_P.EXCHANGING, Event.EXCHANGE_SENT): frozenset({_P.EXCHANGE_SENT}),
    (_P.EXCHANGING, Event.EXCHANGE_LAPSED): _REFUND,
    (_P.EXCHANGING, Event.KEPT): _REFUND,
    (_P.EXCHANGE_SENT, Event.EXCHANGE_CONFIRMED): frozenset({_P.EXCHANGED}),
    (_P.EXCHANGE_SENT, Event.EXCHANGE_CONFIRM_LAPSED): frozenset({_P.EXCHANGED}),
    **{
        (phase, Event.WITHDRAWN): _CLOSE
        for phase in (_P.ASKED, _P.AGREED, _P.OFFERED, _P.REFUSED, _P.EXCHANGE_SENT)
    },
    **{
        (phase, Event.DISPUTED): frozenset({_P.DISPUTED})
        for phase in (_P.SHIPPED, _P.RECEIVED, _P.OFFERED, _P.REFUSED, _P.EXCHANGE_SENT)
    },
}
"""The whole state machine; what is not in it cannot happen."""


def require_possible(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted({str(e) for p, e in TRANSITIONS if p == phase})
        raise WrongPhase(
            f"a return that is {phase} cannot have {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the return has ended",
        )
    return found


def can_follow(phase: str, later: str) -> bool:
    """Whether some event leads straight from `phase` to `later`."""
    return any(later in to for (origin, _), to in TRANSITIONS.items() if origin == phase)


class WantedLine(Message):
    """What a buyer wants to send back of one line."""

    line: int = Field(ge=0, le=49)
    """Number of the sale's line, from 0."""
    quantity: int = Field(ge=1, le=10_000)


class ReturnLine(WantedLine):
    """The same with its price, minor units."""

    amount: int


class ReturnTerms(Message):
    """What a return is about; never recomputed."""

    return_id: str
    sale_id: str
    buyer_id: str
    seller_id: str
    currency: Currency
    reason: Reason
    remedy: Remedy
    lines: tuple[ReturnLine, ...]
    delivery: Delivery
    policy: ReturnPolicy
    refund_policy: RefundPolicy
    given: int = 0
    """What the seller gives of their own accord, minor units."""
    note: str = ""
    file_ids: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The price of what goes back, or what the seller gives, minor units."""
        return self.given + sum(each.amount for each in self.lines)

    @property
    def sellers_fault(self) -> bool:
        """Whether the goods are not what was sold, so that the seller bears what happens to them on the way back."""
        return self.reason in (Reason.DEFECTIVE, Reason.NOT_AS_DESCRIBED)


class Course(Message):
    """What has become of a return so far."""

    offered: int | None = None
    """The part of the price that the seller offers, minor units."""
    refunded: int = 0
    carrier: str | None = None
    tracking_number: str | None = None
    exchange_carrier: str | None = None
    exchange_tracking: str | None = None


class ReturnAct(Act):
    """Somebody's act on a return."""

    amount: int | None = None
    """The part of the price that a seller offers, minor units."""
    carrier: str | None = None
    tracking_number: str | None = None


class OpenReturn(Message):
    """Input of a return: who wants to send back what, and why."""

    return_id: str
    sale_id: str
    buyer_id: str
    reason: Reason
    remedy: Remedy
    lines: tuple[WantedLine, ...] = Field(max_length=50)
    amount: int = 0
    """Of goodwill, which has no lines: minor units."""
    note: str = ""
    file_ids: tuple[str, ...] = ()


class ReturnStep(Message):
    """Ask the database to take a return through one transition. `key` makes it happen once."""

    opening: OpenReturn
    workflow_id: str
    key: str
    event: Event
    act: ReturnAct
    at: Instant


def require_open_window(
    terms: SaleTerms,
    reason: Reason,
    delivered_at: datetime | None,
    completed_at: datetime | None,
    at: datetime,
) -> None:
    """Raises TooLate when it is too late for this reason; `at` is when the buyer asked."""
    policy = terms.return_policy
    if delivered_at is None:
        raise WrongPhase("nothing has been delivered yet", field="phase", accepted="delivered")
    if reason is Reason.NO_REASON:
        until = delivered_at + timedelta(seconds=policy.no_reason_seconds)
    elif completed_at is not None:
        until = completed_at + timedelta(seconds=policy.defect_seconds)
    else:
        return
    if at >= until:
        raise TooLate(
            "it is too late to send this back",
            field="reason",
            accepted=f"until {until:%Y-%m-%d %H:%M:%S} UTC; a defect longer than a change of mind",
        )


def priced(
    terms: SaleTerms,
    reason: Reason,
    wanted: Sequence[WantedLine],
    before: Sequence[ReturnLine],
    left: Sequence[int],
) -> tuple[ReturnLine, ...]:
    """The lines with their price. `before`: what earlier returns took; `left`: what can still go back of each line.

    Raises InvalidInput for lines, quantities or reasons that are not possible.
    """
    if len({each.line for each in wanted}) != len(wanted):
        raise InvalidInput("a line appears twice", field="lines", accepted="each line once")
    found = []
    for index, each in enumerate(wanted):
        field = f"lines[{index}]"
        if each.line >= len(terms.lines):
            raise InvalidInput(
                "the sale has no such line",
                field=f"{field}.line",
                accepted=f"0 to {len(terms.lines) - 1}",
            )
        sold = terms.lines[each.line]
        if reason is Reason.NO_REASON and sold.stock_kind is StockKind.MADE_TO_ORDER:
            raise InvalidInput(
                "pieces made to order are not taken back without a reason, as confirmed with the order",
                field=f"{field}.line",
                accepted="another line, or a defect",
            )
        pieces = sold.quantity - sum(one.quantity for one in before if one.line == each.line)
        if each.quantity > pieces:
            raise InvalidInput(
                f"{pieces} pieces are left of this line",
                field=f"{field}.quantity",
                accepted=f"at most {pieces}",
            )
        amount = min(_price(sold, each.quantity), left[each.line])
        if not amount:
            raise InvalidInput(
                "the whole price of this line has gone back already",
                field=f"{field}.line",
                accepted="another line",
            )
        found.append(ReturnLine(line=each.line, quantity=each.quantity, amount=amount))
    return tuple(found)


def _price(sold: SaleLine, quantity: int) -> int:
    return sold.total if quantity == sold.quantity else sold.unit_price * quantity


def opened(terms: ReturnTerms) -> Phase:
    """Where a return begins: without a reason nobody has to agree, and goodwill is done at once."""
    if terms.reason is Reason.GOODWILL:
        return Phase.REFUNDED
    return Phase.ASKED if terms.sellers_fault else Phase.AGREED


def after(terms: ReturnTerms, event: Event) -> Phase:
    """Where an event leads that needs no more than the terms to tell."""
    match event:
        case Event.ACCEPTED | Event.INSPECTION_LAPSED:
            return Phase.EXCHANGING if terms.remedy is Remedy.EXCHANGE else Phase.REFUNDED
        case Event.SHIPPED:
            return Phase.RECEIVED if terms.delivery is Delivery.PICKUP else Phase.SHIPPED
        case Event.LOST:
            return Phase.REFUNDED if terms.sellers_fault else Phase.CLOSED
    [only] = {to for (_, each), targets in TRANSITIONS.items() if each is event for to in targets}
    return only


def part(terms: ReturnTerms, amount: int) -> dict[int, int]:
    """So much of the price by line, the first lines first; nothing of the others."""
    left, found = amount, {}
    for each in terms.lines:
        found[each.line] = min(left, each.amount)
        left -= found[each.line]
    return found


def require_part(terms: ReturnTerms, amount: int | None) -> int:
    """Raises InvalidInput unless it is a part of the price."""
    if amount is None or not 1 <= amount <= terms.total:
        raise InvalidInput(
            "the offer has to be a part of the price",
            field="amount",
            accepted=f"1 to {terms.total}",
        )
    return amount


def due_at(terms: ReturnTerms, phase: Phase, entered_at: datetime) -> datetime | None:
    """When the timer of a phase entered at this moment fires; None for phases that have none."""
    policy = terms.policy
    seconds = {
        Phase.ASKED: policy.answer_seconds,
        Phase.AGREED: policy.ship_back_seconds,
        Phase.SHIPPED: policy.scan_silence_seconds,
        Phase.RECEIVED: policy.inspect_seconds,
        Phase.OFFERED: policy.part_reply_seconds,
        Phase.REFUSED: policy.refused_seconds,
        Phase.EXCHANGING: policy.exchange_ship_seconds,
        Phase.EXCHANGE_SENT: policy.exchange_confirm_seconds,
    }.get(phase)
    return None if seconds is None else entered_at + timedelta(seconds=seconds)


def deadlines(
    terms: ReturnTerms,
    phase: Phase,
    due: datetime | None,
    refund: Sequence[PlannedPosting],
) -> tuple[Deadline, ...]:
    """The pending timer of a return; `refund`: what would be posted if the price, or the part on offer, went back."""
    if due is None:
        return ()
    name, stopped_by, event = _TIMERS[phase]
    outcome, goes_back = _silence(terms, phase)
    return (
        Deadline(
            name=name,
            due_at=due,
            stopped_by=stopped_by,
            outcome=outcome,
            postings=tuple(refund) if goes_back else (),
            event=event,
        ),
    )


_TIMERS: dict[Phase, tuple[str, tuple[str, ...], Event]] = {
    _P.ASKED: (
        "answer",
        ("seller: agree", "seller: refund", "seller: offer", "seller: refuse", "buyer: withdraw"),
        Event.ANSWER_LAPSED,
    ),
    _P.AGREED: (
        "shipment back",
        ("buyer: ship", "buyer: withdraw", "seller: refund"),
        Event.SHIPMENT_LAPSED,
    ),
    _P.SHIPPED: ("scan", ("carrier: scan", "seller: accept"), Event.LOST),
    _P.RECEIVED: (
        "inspection",
        ("seller: accept", "seller: offer", "seller: refuse"),
        Event.INSPECTION_LAPSED,
    ),
    _P.OFFERED: ("reply", ("buyer: take", "buyer: reject", "seller: refund"), Event.OFFER_LAPSED),
    _P.REFUSED: (
        "refusal",
        ("buyer: dispute", "seller: refund", "buyer: withdraw"),
        Event.REFUSAL_LAPSED,
    ),
    _P.EXCHANGING: ("exchange", ("seller: send others", "seller: refund"), Event.EXCHANGE_LAPSED),
    _P.EXCHANGE_SENT: (
        "exchange confirmation",
        ("buyer: confirm", "buyer: dispute"),
        Event.EXCHANGE_CONFIRM_LAPSED,
    ),
}
"""By phase: its timer, who can stop it, and what it brings about."""


def _silence(terms: ReturnTerms, phase: Phase) -> tuple[str, bool]:
    """What silence does in this phase, in words, and whether money goes back then."""
    back = f"the buyer gets {format_money(terms.total, terms.currency)} back."
    exchange = terms.remedy is Remedy.EXCHANGE
    match phase:
        case Phase.ASKED:
            return "The claim counts as accepted: the buyer may send the goods back.", False
        case Phase.AGREED:
            return "Nothing was sent: the return is closed.", False
        case Phase.SHIPPED:
            then = back if terms.sellers_fault else "the return is closed."
            lost = "Unless the carrier has scanned it since, the parcel counts as lost: "
            return lost + then, terms.sellers_fault
        case Phase.RECEIVED:
            then = "the seller has to send others." if exchange else back
            return f"The goods count as accepted: {then}", not exchange
        case Phase.OFFERED:
            return "The offer counts as taken.", True
        case Phase.REFUSED:
            return "The return is closed; nothing goes back.", False
        case Phase.EXCHANGING:
            return f"Other goods were not sent: {back}", True
        case _:
            return "The exchange is done; nothing goes back.", False
