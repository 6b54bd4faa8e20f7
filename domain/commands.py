"""What operators may do about paths, money and people: the kinds of commands, what each needs, and when two must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from domain import campaign, contest, in_kind, lot, match_call, production, sale, tender
from domain.accounts import Side
from domain.cases import RefundCase
from domain.deadlines import PlannedPosting
from domain.errors import InvalidInput
from domain.ids import PathId, PayoutId, SaleId, UserId
from domain.model import Instant, Message
from domain.money import Currency, MinorUnits, Money
from domain.operator_policy import OperatorPolicy
from domain.path import Standing

_DAY = 86_400
LONGEST_EXTENSION = 30 * _DAY
"""Seconds that one command may add to a timer."""
COUNTED_SECONDS = _DAY
"""So far back the commands on a path count together, so that a large amount cannot be split."""
BULK_PAGE = 50
"""How many paths of a bulk command are seen to in one step of its story."""


class CommandKind(StrEnum):
    """What a command does."""

    CANCEL_PATH = "cancel_path"
    REFUND_PATH = "refund_path"
    EXTEND_DEADLINE = "extend_deadline"
    LEDGER_CORRECTION = "ledger_correction"
    WRITE_OFF = "write_off"
    ESCHEAT = "escheat"
    PAYOUT_DECISION = "payout_decision"
    BULK = "bulk"


class CommandState(StrEnum):
    """How far a command has got."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    """By another operator; what they were shown may be executed."""
    EXECUTING = "executing"
    """The path's own story, or the story of a bulk command, is at work on it."""
    EXECUTED = "executed"
    REJECTED = "rejected"
    LAPSED = "lapsed"


OPEN = frozenset({CommandState.PROPOSED, CommandState.APPROVED})
"""States in which a command can still be decided."""
ENDED = frozenset({CommandState.EXECUTED, CommandState.REJECTED, CommandState.LAPSED})
COMMAND_MOVES: Mapping[CommandState, frozenset[CommandState]] = {
    CommandState.PROPOSED: ENDED | {CommandState.APPROVED, CommandState.EXECUTING},
    CommandState.APPROVED: ENDED | {CommandState.PROPOSED, CommandState.EXECUTING},
    CommandState.EXECUTING: OPEN | {CommandState.EXECUTED},
    **{each: frozenset() for each in ENDED},
}
"""The whole state machine. Shown anew it has to be approved anew; what a path refuses stands as before."""


class ItemState(StrEnum):
    """How far one path of a bulk command has got."""

    PLANNED = "planned"
    EXECUTING = "executing"
    """The path's own story is at work on it."""
    DONE = "done"
    REFUSED = "refused"
    """Nothing was done: it was not possible, or things had moved since it was shown."""


class Bearer(StrEnum):
    """Who pays for a refund that operators order."""

    SELLER = "seller"
    """As a return would: out of escrow, then from whoever got the money."""
    PLATFORM = "platform"
    """A loss of the platform; the seller keeps what they have."""


# What each kind is told. A word that is not known is refused: it could change what a command means.


class Order(Message):
    """What one command is to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cancelling(Order):
    """Call paths off."""

    kind: Literal[CommandKind.CANCEL_PATH] = CommandKind.CANCEL_PATH


class Refunding(Order):
    """Send a part of the price of sales back to the buyer."""

    kind: Literal[CommandKind.REFUND_PATH] = CommandKind.REFUND_PATH
    amount: MinorUnits
    line: int = Field(default=0, ge=0, le=49)
    """Number of the sale's line, from 0; of no meaning when the platform bears it."""
    bearer: Bearer = Bearer.SELLER


class Extending(Order):
    """Give more time."""

    kind: Literal[CommandKind.EXTEND_DEADLINE] = CommandKind.EXTEND_DEADLINE
    name: str = Field(min_length=1, max_length=80, examples=["selection"])
    """Of the timer, as the path's deadlines call it."""
    subject: str = Field(default="", max_length=80)
    """Which part of the path it is about, where there are several timers of the name."""
    seconds: int = Field(ge=1, le=LONGEST_EXTENSION)


class CancelPath(Cancelling):
    """Call one path off by its own event for operators."""

    path_id: PathId


class RefundPath(Refunding):
    """Send a part of the price of one sale back."""

    path_id: SaleId


class ExtendDeadline(Extending):
    """Move one timer of one path."""

    path_id: PathId


class CorrectedPosting(Order):
    """One line of a correction."""

    account: str = Field(pattern=r"^[a-z_]{3,20}:[^\s:]{1,80}(:[^\s:]{1,80})?$")
    """Kind and owner, such as `payable:usr_…` or `fee:platform`."""
    side: Side
    amount: MinorUnits


class LedgerCorrection(Order):
    """Move money in the books: given postings, or an entry the other way round."""

    kind: Literal[CommandKind.LEDGER_CORRECTION] = CommandKind.LEDGER_CORRECTION
    currency: Currency = "CNY"
    postings: tuple[CorrectedPosting, ...] = Field(default=(), max_length=20)
    reverses: str | None = Field(default=None, min_length=1, max_length=300)
    """Key of the entry that was wrong; then there are no postings."""
    path_id: PathId | None = None


class OfUser(Order):
    """About what somebody has or owes in one currency."""

    user_id: UserId
    amount: MinorUnits
    currency: Currency = "CNY"


class WriteOff(OfUser):
    """Give up what somebody owes: a loss of the platform."""

    kind: Literal[CommandKind.WRITE_OFF] = CommandKind.WRITE_OFF


class Escheat(OfUser):
    """Put aside what a closed account holds and nobody asks for."""

    kind: Literal[CommandKind.ESCHEAT] = CommandKind.ESCHEAT


class DecidePayout(Order):
    """Send a payout that is held, or put its money back."""

    kind: Literal[CommandKind.PAYOUT_DECISION] = CommandKind.PAYOUT_DECISION
    payout_id: PayoutId
    user_id: UserId
    """Its payee, so that nobody decides about their own without seeing it."""
    send: bool


class Chosen(Order):
    """Which paths a bulk command is for, instead of their ids: all that are open and answer to this."""

    kind: str = Field(min_length=1, max_length=20, examples=["sale"])
    phase: str = Field(min_length=1, max_length=40, examples=["paid"])
    initiator_id: UserId | None = None
    opened_before: Instant | None = None


class Bulk(Order):
    """The same for many paths, one after the other: those named, or those that answer to `chosen` when it is proposed."""

    kind: Literal[CommandKind.BULK] = CommandKind.BULK
    each: Annotated[Cancelling | Refunding | Extending, Field(discriminator="kind")]
    path_ids: tuple[PathId, ...] = Field(default=(), max_length=10_000)
    chosen: Chosen | None = None


CommandOrder = Annotated[
    CancelPath
    | RefundPath
    | ExtendDeadline
    | LedgerCorrection
    | WriteOff
    | Escheat
    | DecidePayout
    | Bulk,
    Field(discriminator="kind"),
]
"""Whatever can be proposed."""


class Party(Message):
    """What somebody would get and give. Minor units."""

    user_id: str | None
    """None: the platform, or a pot that is nobody's own."""
    account: str
    currency: Currency
    gets: int
    gives: int


class Preview(Message):
    """What a command would do, as it was shown to whoever approves and executes it."""

    postings: tuple[PlannedPosting, ...] = ()
    who: tuple[Party, ...] = ()
    words: tuple[str, ...] = ()
    """What happens besides, such as a timer that moves."""
    amounts: tuple[Money, ...] = ()
    """What counts towards the limit of one operator alone, by currency."""
    items: int = 0
    """Of a bulk command: for how many paths."""
    refused: int = 0
    """Of a bulk command: for how many of them it cannot be done."""
    sha256: str
    """Only what carries this hash may be approved and executed."""


class Tell(StrEnum):
    """How a path's own story hears of what a command has done to its rows."""

    NOTHING = "nothing"
    MOVED = "told"
    """It stands where the message says."""
    RETIMED = "resume"
    """Only its timers have moved."""
    LOOK = "wake"
    """It reads its rows anew."""


class Executed(Message):
    """What the story of a command sees to once the books are right."""

    tell: Tell = Tell.NOTHING
    workflow_id: str = ""
    """Of the path's story."""
    standing: Standing | None = None
    refunds: tuple[RefundCase, ...] = ()
    """Refunds that no story of a path follows."""


class CommandStart(Message):
    """Input of the Command workflow."""

    command_id: str
    by: str
    """Who proposes it: a user id."""
    order: CommandOrder
    reason: str
    at: Instant
    case_id: str | None = None
    policy: OperatorPolicy = OperatorPolicy()


class CommandVerb(StrEnum):
    """What is done with a command that is proposed."""

    APPROVE = "approve"
    REJECT = "reject"
    EXECUTE = "execute"
    REHEARSE = "rehearse"
    """Shown anew, because things have moved; an approval of the former preview is void."""
    LAPSE = "lapse"


class CommandAct(Message):
    """What somebody does with a command."""

    by: str | None = None
    """User id; None: nobody did anything in time."""
    sha256: str = ""
    """Of the preview they saw."""
    reason: str = ""


class CommandStep(Message):
    """Ask the database for one step of a command."""

    command_id: str
    verb: CommandVerb
    act: CommandAct
    at: Instant
    policy: OperatorPolicy = OperatorPolicy()


class CommandStanding(Message):
    """Where a command stands, and what its story has to see to."""

    command_id: str
    state: CommandState
    lapses_at: Instant
    executed: Executed | None = None
    bulk: bool = False
    """Whether the paths of a bulk command are to be seen to now."""


class BulkStep(Message):
    """Ask for the next paths of a bulk command."""

    command_id: str
    by: str
    after: int = -1
    """Number of the last path that was seen to."""
    at: Instant
    policy: OperatorPolicy = OperatorPolicy()


class BulkDone(Message):
    """What was done with some of the paths."""

    last: int | None
    """None: there are no more."""
    executed: tuple[Executed, ...] = ()


class BulkStart(Message):
    """Input of the BulkCommand workflow."""

    command_id: str
    by: str
    after: int = -1
    policy: OperatorPolicy = OperatorPolicy()


def one_of_bulk(bulk: Bulk, path_id: str) -> CancelPath | RefundPath | ExtendDeadline:
    """The command for one of the paths. Raises InvalidInput when it is not for paths of this kind."""
    told = {**bulk.each.model_dump(), "path_id": path_id}
    try:
        match bulk.each:
            case Cancelling():
                return CancelPath.model_validate(told)
            case Refunding():
                return RefundPath.model_validate(told)
            case Extending():
                return ExtendDeadline.model_validate(told)
    except ValidationError:
        raise InvalidInput(
            "this cannot be done with a path of this kind", field="path_ids", accepted="sales"
        ) from None


# When two operators must agree.

_ALWAYS_TWO = frozenset({CommandKind.LEDGER_CORRECTION, CommandKind.WRITE_OFF, CommandKind.ESCHEAT})


def needs_two(
    order: Order,
    amounts: Iterable[Money],
    before: Iterable[Money],
    policy: OperatorPolicy,
) -> bool:
    """Whether a second operator has to approve.

    `amounts` is what the command moves; `before` what others have moved on the same path within COUNTED_SECONDS.
    """
    if getattr(order, "kind", None) in _ALWAYS_TWO:
        return True
    told = order.each if isinstance(order, Bulk) else order
    if isinstance(told, Refunding) and told.bearer is Bearer.PLATFORM:
        return True
    sums: dict[str, int] = {}
    moved = {each.currency for each in amounts}
    for each in (*amounts, *before):
        sums[each.currency] = sums.get(each.currency, 0) + each.amount
    return any(sums[currency] > policy.alone(currency) for currency in moved)


# What can happen to a path now.

CANCELS: dict[str, frozenset[str]] = {
    "sale": frozenset(p for p, e in sale.TRANSITIONS if e is sale.Event.CANCELLED),
    "contest": frozenset(p for p, e in contest.TRANSITIONS if e is contest.Event.CANCELLED),
    "tender": frozenset(p for p, e in tender.TRANSITIONS if e is tender.Event.CANCELLED),
    "campaign": frozenset(p for p, e in campaign.TRANSITIONS if e is campaign.Event.BANNED),
    "match_call": frozenset(
        p for p, e in match_call.TRANSITIONS if e is match_call.Event.CANCELLED
    ),
    "in_kind": frozenset(p for p, e in in_kind.TRANSITIONS if e is in_kind.Event.CANCELLED),
    "production": frozenset(
        p for p, e in production.TRANSITIONS if e is production.Event.CANCELLED
    ),
    "lot": frozenset(p for p, e in lot.TRANSITIONS if e is lot.Event.CALLED_OFF),
}
"""By kind of path: the phases in which operators can call it off; a draft has no story yet."""
_DRAFT = "draft"


def can_cancel(kind: str, phase: str) -> bool:
    """Whether operators can call the path off now."""
    return phase != _DRAFT and phase in CANCELS.get(kind, frozenset())


class RunningTimer(Message):
    """A timer of the path's own."""

    name: str
    subject: str
    due_at: Instant


class PathFacts(Message):
    """As much of a path as decides what operators can do with it."""

    kind: str
    phase: str
    paused: bool
    """Whether the payer's bank has the money for the moment."""
    held: tuple[Money, ...]
    """What its own accounts hold."""
    refundable: int = 0
    """Of a sale: what can still go back to the buyer, minor units."""
    currency: Currency
    timers: tuple[RunningTimer, ...] = ()


class Offered(Message):
    """A command that can be proposed now."""

    command: CommandKind
    words: str
    needs_two: bool
    """Whether a second operator has to approve it as it stands; for a refund: of everything that is left."""
    timer: str = ""
    subject: str = ""


def legal(facts: PathFacts, policy: OperatorPolicy) -> tuple[Offered, ...]:
    """What operators can do with the path now: nothing else is ever carried out."""
    if facts.paused:
        return ()
    found = []
    if can_cancel(facts.kind, facts.phase):
        large = any(each.amount > policy.alone(each.currency) for each in facts.held)
        found.append(
            Offered(
                command=CommandKind.CANCEL_PATH,
                words="Call it off: what is held goes back to whoever paid it",
                needs_two=large,
            )
        )
    if facts.refundable:
        found.append(
            Offered(
                command=CommandKind.REFUND_PATH,
                words="Send a part of the price back to the buyer",
                needs_two=facts.refundable > policy.alone(facts.currency),
            )
        )
    found += [
        Offered(
            command=CommandKind.EXTEND_DEADLINE,
            words=f"Give more time: {each.name}",
            needs_two=False,
            timer=each.name,
            subject=each.subject,
        )
        for each in facts.timers
        if can_extend(facts.kind)
    ]
    return tuple(found)


def can_extend(kind: str) -> bool:
    """Whether operators can move the timers of paths of this kind."""
    return kind not in ("sale", "ballot")
