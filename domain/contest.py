"""The contest 比稿 (paths 2.2): phases, legal transitions, prizes, and what an owner's silence does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain import accounts, postings
from domain.errors import HoldTooLong, InvalidInput, SharesDoNotSum, WrongPhase
from domain.model import Instant, Message
from domain.money import Currency, basis_points_of, format_money, split
from domain.policy import BallotPolicy, ContestPolicy, RefundPolicy
from domain.postings import JournalEntry, Share


class Phase(StrEnum):
    """Where a contest stands."""

    DRAFT = "draft"
    FUNDING = "funding"
    OPEN = "open"
    """Creators enter; with two rounds, the qualifying round."""
    PICKING = "picking"
    """The owner picks the finalists."""
    FINAL_ROUND = "final_round"
    """Finalists improve their entries."""
    CHOOSING = "choosing"
    VOTING = "voting"
    """The crowd votes for an owner who stayed silent."""
    ANNOUNCED = "announced"
    """公示: the decision waits for objections."""
    CONTESTED = "contested"
    HAND_OVER = "hand_over"
    """Winners sign and hand over, the owner accepts; each prize at its own pace."""
    COMPLETED = "completed"
    SPLIT = "split"
    """Nobody chose, so the bounty was shared."""
    REFUNDED = "refunded"
    EXPIRED = "expired"
    """Never paid, or called off before it was."""
    CANCELLED = "cancelled"
    CHARGED_BACK = "charged_back"
    """The owner's bank took the bounty back for good."""


FINAL = frozenset(
    {
        Phase.COMPLETED,
        Phase.SPLIT,
        Phase.REFUNDED,
        Phase.EXPIRED,
        Phase.CANCELLED,
        Phase.CHARGED_BACK,
    }
)
HIDES_ENTRIES = frozenset({Phase.REFUNDED, Phase.CANCELLED, Phase.CHARGED_BACK})
"""Ends in which the owner gets no right to any entry, so that nobody but its creator sees it any more."""


class Event(StrEnum):
    """What moves a contest."""

    DRAFTED = "drafted"
    FUNDING_ASKED = "funding_asked"
    FUNDED = "funded"
    NOT_FUNDED = "not_funded"
    EXTENSION_ASKED = "extension_asked"
    EXTENDED = "extended"
    ENTRIES_CLOSED = "entries_closed"
    FINALISTS_PICKED = "finalists_picked"
    PICKING_LAPSED = "picking_lapsed"
    FINAL_ROUND_CLOSED = "final_round_closed"
    NUDGED = "nudged"
    ANNOUNCED = "announced"
    TAKEN_BACK = "taken_back"
    """The owner of a refundable contest takes the bounty back."""
    CHOOSING_LAPSED = "choosing_lapsed"
    VOTED = "voted"
    RECOUNTED = "recounted"
    """Votes turned out to be void, and the crowd's order changed."""
    NOT_DECIDED = "not_decided"
    NOTICE_PASSED = "notice_passed"
    OBJECTED = "objected"
    OBJECTION_DISMISSED = "objection_dismissed"
    OBJECTION_LAPSED = "objection_lapsed"
    ENTRY_VOIDED = "entry_voided"
    HANDED_OVER = "handed_over"
    HAND_OVER_LAPSED = "hand_over_lapsed"
    REVISION_ASKED = "revision_asked"
    ACCEPTED = "accepted"
    ACCEPTANCE_LAPSED = "acceptance_lapsed"
    REOPENED = "reopened"
    CANCELLED = "cancelled"
    BOUNTY_LOST = "bounty_lost"


_ENDS_OF_CHOICE = frozenset(
    {Phase.ANNOUNCED, Phase.VOTING, Phase.SPLIT, Phase.REFUNDED, Phase.COMPLETED}
)
_ENDS_OF_VOTE = _ENDS_OF_CHOICE - {Phase.VOTING}
_AFTER_A_PRIZE = frozenset({Phase.HAND_OVER, Phase.CHOOSING, Phase.COMPLETED, Phase.SPLIT})
_RUNNING = (
    Phase.OPEN,
    Phase.PICKING,
    Phase.FINAL_ROUND,
    Phase.CHOOSING,
    Phase.VOTING,
    Phase.ANNOUNCED,
    Phase.CONTESTED,
    Phase.HAND_OVER,
)

TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (Phase.DRAFT, Event.FUNDING_ASKED): frozenset({Phase.FUNDING}),
    (Phase.DRAFT, Event.CANCELLED): frozenset({Phase.EXPIRED}),
    (Phase.FUNDING, Event.FUNDED): frozenset({Phase.OPEN}),
    (Phase.FUNDING, Event.NOT_FUNDED): frozenset({Phase.EXPIRED}),
    (Phase.OPEN, Event.EXTENSION_ASKED): frozenset({Phase.OPEN}),
    (Phase.OPEN, Event.EXTENDED): frozenset({Phase.OPEN}),
    (Phase.OPEN, Event.ENTRIES_CLOSED): frozenset({Phase.PICKING, Phase.CHOOSING, Phase.REFUNDED}),
    (Phase.PICKING, Event.FINALISTS_PICKED): frozenset({Phase.FINAL_ROUND}),
    (Phase.PICKING, Event.PICKING_LAPSED): frozenset({Phase.FINAL_ROUND, Phase.CHOOSING}),
    (Phase.PICKING, Event.TAKEN_BACK): frozenset({Phase.REFUNDED}),
    (Phase.FINAL_ROUND, Event.FINAL_ROUND_CLOSED): frozenset({Phase.CHOOSING}),
    (Phase.CHOOSING, Event.NUDGED): frozenset({Phase.CHOOSING}),
    (Phase.CHOOSING, Event.ANNOUNCED): frozenset({Phase.ANNOUNCED}),
    (Phase.CHOOSING, Event.TAKEN_BACK): frozenset({Phase.REFUNDED}),
    (Phase.CHOOSING, Event.CHOOSING_LAPSED): _ENDS_OF_CHOICE,
    (Phase.VOTING, Event.VOTED): _ENDS_OF_VOTE,
    (Phase.VOTING, Event.NOT_DECIDED): _ENDS_OF_VOTE,
    (Phase.ANNOUNCED, Event.NOTICE_PASSED): frozenset({Phase.HAND_OVER, Phase.CONTESTED}),
    (Phase.ANNOUNCED, Event.OBJECTED): frozenset({Phase.CONTESTED}),
    (Phase.ANNOUNCED, Event.RECOUNTED): _ENDS_OF_VOTE,
    (Phase.CONTESTED, Event.OBJECTION_DISMISSED): frozenset({Phase.HAND_OVER, Phase.CONTESTED}),
    (Phase.CONTESTED, Event.OBJECTION_LAPSED): frozenset({Phase.HAND_OVER}),
    (Phase.CONTESTED, Event.ENTRY_VOIDED): frozenset({Phase.CHOOSING}),
    (Phase.CONTESTED, Event.RECOUNTED): _ENDS_OF_VOTE | {Phase.CONTESTED},
    (Phase.HAND_OVER, Event.HANDED_OVER): frozenset({Phase.HAND_OVER}),
    (Phase.HAND_OVER, Event.REVISION_ASKED): frozenset({Phase.HAND_OVER}),
    (Phase.HAND_OVER, Event.HAND_OVER_LAPSED): frozenset({Phase.HAND_OVER, Phase.CHOOSING}),
    (Phase.HAND_OVER, Event.ENTRY_VOIDED): frozenset({Phase.HAND_OVER, Phase.CHOOSING}),
    (Phase.HAND_OVER, Event.ACCEPTED): _AFTER_A_PRIZE,
    (Phase.HAND_OVER, Event.ACCEPTANCE_LAPSED): _AFTER_A_PRIZE,
    (Phase.HAND_OVER, Event.RECOUNTED): _ENDS_OF_VOTE | {Phase.HAND_OVER},
    (Phase.COMPLETED, Event.REOPENED): frozenset({Phase.HAND_OVER, Phase.COMPLETED}),
    **{(phase, Event.CANCELLED): frozenset({Phase.CANCELLED}) for phase in _RUNNING[:3]},
    (Phase.CHOOSING, Event.CANCELLED): frozenset({Phase.CANCELLED, Phase.COMPLETED}),
    (Phase.VOTING, Event.CANCELLED): frozenset({Phase.CANCELLED, Phase.COMPLETED}),
    **{(phase, Event.BOUNTY_LOST): frozenset({Phase.CHARGED_BACK}) for phase in _RUNNING},
}
"""The whole state machine; what is not in it cannot happen."""


def require_possible(phase: str, event: str) -> None:
    """Raises WrongPhase unless the event can happen in this phase."""
    if (Phase(phase), Event(event)) in TRANSITIONS:
        return
    possible = sorted(e for p, e in TRANSITIONS if p == phase)
    raise WrongPhase(
        f"a contest that is {phase} cannot have {event}",
        field="phase",
        accepted=", ".join(possible) or "nothing: the contest has ended",
    )


def require_leads_to(phase: Phase, event: Event, to: Phase) -> None:
    """Raises WrongPhase unless the state machine has this arrow."""
    require_possible(phase, event)
    if to not in TRANSITIONS[phase, event]:
        raise WrongPhase(f"{event} does not lead from {phase} to {to}", field="phase")


class EntryStatus(StrEnum):
    """Where an entry stands."""

    ENTERED = "entered"
    SHORTLISTED = "shortlisted"
    ELIMINATED = "eliminated"
    WITHDRAWN = "withdrawn"
    VOID = "void"
    """Taken out by the operators, or lost by a winner who did not hand over."""


class EliminationReason(StrEnum):
    """Why the owner put an entry aside."""

    OFF_BRIEF = "off_brief"
    INCOMPLETE = "incomplete"
    QUALITY = "quality"
    TASTE = "taste"
    TOO_SIMILAR = "too_similar"
    RULES = "rules"
    NOT_A_FINALIST = "not_a_finalist"


class Contender(Message):
    """An entry as the rules see it, in the order of arrival."""

    entry_id: str
    creator_id: str
    title: str
    status: EntryStatus
    finalist: bool = False


VALID = frozenset({EntryStatus.ENTERED, EntryStatus.SHORTLISTED, EntryStatus.ELIMINATED})
"""Entries that count as handed in; those that the owner merely put aside do."""
ELIGIBLE = frozenset({EntryStatus.ENTERED, EntryStatus.SHORTLISTED})
"""Entries that can win."""


class DecidedBy(StrEnum):
    """Who made the decision that was announced last."""

    OWNER = "owner"
    SILENCE = "silence"
    CROWD = "crowd"


class PrizeState(StrEnum):
    """What has become of a prize."""

    OPEN = "open"
    ANNOUNCED = "announced"
    HAND_OVER = "hand_over"
    """Waits for the winner to sign and hand over."""
    REVIEW = "review"
    """Waits for the owner to accept."""
    RELEASED = "released"
    SHARED = "shared"
    REFUNDED = "refunded"


IN_PROGRESS = frozenset({PrizeState.ANNOUNCED, PrizeState.HAND_OVER, PrizeState.REVIEW})


class Prize(Message):
    """One prize: what the owner pays for it (minor units, commission included) and who has it."""

    rank: int
    amount: int
    state: PrizeState = PrizeState.OPEN
    entry_id: str | None = None
    creator_id: str | None = None
    revisions: int = 0
    """How often the owner has asked for a revision."""

    @property
    def subject(self) -> str:
        """How deadlines name it."""
        return f"prize {self.rank}"


class ContestState(Message):
    """What changes in a contest besides its phase."""

    prizes: tuple[Prize, ...]
    ranking: tuple[str, ...] = ()
    """Entries that follow when a winner is lost, the best first."""
    extensions: int = 0
    asked_extensions: int = 0
    """Extensions asked for so far, whether or not they were paid."""
    final_round: bool = False
    """Whether finalists were picked; from then on the bounty is guaranteed."""
    decided_by: DecidedBy | None = None
    """None before anything was announced; afterwards a new choice has less time."""
    ballot_id: str | None = None
    reopened: int = 0
    choosing_since: Instant | None = None
    funded_at: Instant | None = None
    completed_at: Instant | None = None
    version: int = 0
    """How many transitions led here: news of an earlier one can arrive late."""

    def prize(self, rank: int, field: str = "prize") -> Prize:
        """The prize of that rank, which `field` of a request named. Raises InvalidInput."""
        for prize in self.prizes:
            if prize.rank == rank:
                return prize
        raise InvalidInput(
            f"there is no prize {rank}", field=field, accepted=f"1 to {len(self.prizes)}"
        )

    def with_prize(self, changed: Prize) -> ContestState:
        """The state with one prize changed."""
        prizes = tuple(changed if p.rank == changed.rank else p for p in self.prizes)
        return self.model_copy(update={"prizes": prizes})

    def in_state(self, *states: PrizeState) -> tuple[Prize, ...]:
        """The prizes in one of these states."""
        return tuple(p for p in self.prizes if p.state in states)

    @property
    def bounty(self) -> int:
        """Everything the owner has paid, minor units."""
        return sum(prize.amount for prize in self.prizes)

    @property
    def open_amount(self) -> int:
        """What is not awarded, minor units."""
        return sum(prize.amount for prize in self.in_state(PrizeState.OPEN))

    @property
    def winners(self) -> frozenset[str]:
        """Entries that have a prize, or had it when it was paid."""
        return frozenset(p.entry_id for p in self.prizes if p.entry_id is not None)


class ContestTerms(Message):
    """What owner and creators agree to; fixed when the contest is funded, except a draft's."""

    contest_id: str
    owner_id: str
    title: str
    brief: str
    currency: Currency
    prizes: tuple[int, ...] = Field(min_length=1, max_length=20)
    """Minor units, the first prize first; commission included."""
    guaranteed: bool
    sealed: bool
    rounds: int = Field(ge=1, le=2)
    max_finalists: int = Field(ge=2, le=50)
    file_ids: tuple[str, ...] = ()
    licence: str
    """The text that owner and winner sign."""
    licence_sha256: str
    policy: ContestPolicy
    ballot_policy: BallotPolicy
    """Rules of the vote that decides for a silent owner."""
    refund_policy: RefundPolicy

    @property
    def bounty(self) -> int:
        """Sum of the prizes, minor units."""
        return sum(self.prizes)

    def net(self, amount: int) -> int:
        """What the creator gets of a prize."""
        return amount - basis_points_of(amount, self.policy.fee_basis_points)


def require_sum(bounty: int, prizes: Sequence[int]) -> None:
    """Raises SharesDoNotSum unless the prizes make up the bounty exactly."""
    if sum(prizes) != bounty:
        raise SharesDoNotSum(
            f"the prizes add up to {sum(prizes)}, the bounty is {bounty}",
            field="prizes",
            accepted=f"prizes that add up to {bounty}",
        )


def require_holdable(terms: ContestTerms, max_hold_seconds: int) -> None:
    """Raises HoldTooLong when the contest could outlast what the provider lets us hold."""
    if terms.policy.hold_seconds() > max_hold_seconds:
        raise HoldTooLong(
            "the payment provider does not hold the bounty that long",
            field="windows",
            accepted=f"windows of at most {max_hold_seconds // 86_400} days in all",
        )


def extended(terms: ContestTerms, state: ContestState, amount: int) -> ContestState:
    """The state after an extension was paid: its amount goes to the prizes in proportion, to the last unit."""
    parts = split(amount, terms.prizes)
    prizes = tuple(
        prize.model_copy(update={"amount": prize.amount + part})
        for prize, part in zip(state.prizes, parts, strict=True)
    )
    return state.model_copy(update={"prizes": prizes, "extensions": state.extensions + 1})


def least_extension(terms: ContestTerms) -> int:
    """Least amount by which the bounty must grow for more time, minor units."""
    return max(1, basis_points_of(terms.bounty, terms.policy.extension_basis_points))


class Outcome(StrEnum):
    """What the owner's silence does."""

    WIN = "win"
    VOTE = "vote"
    SPLIT = "split"
    REFUND = "refund"


class Resolution(Message):
    """The silence resolver's answer: for a win the one entry, for a vote the options, for a split who shares."""

    outcome: Outcome
    contenders: tuple[Contender, ...] = ()


def resolve(
    terms: ContestTerms, state: ContestState, contenders: Sequence[Contender]
) -> Resolution:
    """What happens to the open prizes when the owner has not chosen in time.

    One shortlisted entry wins, several go to the crowd. With none, a guaranteed bounty is shared by the finalists, else
    by all whose entry was not taken out; a refundable one goes back. A contest whose finalists were picked is guaranteed.
    """
    left = [c for c in contenders if c.status in VALID and c.entry_id not in state.winners]
    shortlisted = [c for c in left if c.status is EntryStatus.SHORTLISTED]
    if len(shortlisted) == 1:
        return Resolution(outcome=Outcome.WIN, contenders=tuple(shortlisted))
    if shortlisted:
        return Resolution(outcome=Outcome.VOTE, contenders=tuple(shortlisted))
    if not (terms.guaranteed or state.final_round):
        return Resolution(outcome=Outcome.REFUND)
    sharers = sharing(left)
    return Resolution(outcome=Outcome.SPLIT if sharers else Outcome.REFUND, contenders=sharers)


def sharing(left: Sequence[Contender]) -> tuple[Contender, ...]:
    """Who shares when nobody chose: each creator once, by their earliest entry; finalists before all others.

    Entries that the owner put aside count only when nothing else is left: elimination must not be a way around the
    guarantee.
    """
    qualified = [c for c in left if c.status in ELIGIBLE] or list(left)
    chosen = [c for c in qualified if c.finalist] or qualified
    first: dict[str, Contender] = {}
    for contender in chosen:
        first.setdefault(contender.creator_id, contender)
    return tuple(first.values())


def split_shares(terms: ContestTerms, amount: int, people: int) -> tuple[int, list[int]]:
    """Commission and even shares of `amount` minor units: exact, odd units to the earliest."""
    fee = basis_points_of(amount, terms.policy.fee_basis_points)
    return fee, split(amount - fee, [1] * people)


def prize_shares(terms: ContestTerms, prize: Prize, payee: accounts.Account) -> tuple[Share, ...]:
    """Who gets what when a prize is released."""
    net = terms.net(prize.amount)
    return (
        Share(account=payee, amount=net),
        Share(account=accounts.FEE, amount=prize.amount - net),
    )


def release_entry(
    terms: ContestTerms, prize: Prize, payee: accounts.Account, key: str
) -> JournalEntry:
    """RELEASE of one prize."""
    shares = prize_shares(terms, prize, payee)
    return postings.release(key, terms.contest_id, shares, terms.currency)


def after_prizes(state: ContestState) -> Phase:
    """Where the contest goes when a prize has been decided: prizes in progress first, then lost ones, then the end."""
    if state.in_state(*IN_PROGRESS):
        return Phase.HAND_OVER
    if state.in_state(PrizeState.OPEN):
        return Phase.CHOOSING
    return Phase.COMPLETED


def next_ranked(state: ContestState, contenders: Sequence[Contender]) -> Contender | None:
    """The best-ranked entry that can still take a lost prize."""
    by_id = {c.entry_id: c for c in contenders if c.status in ELIGIBLE}
    for entry_id in state.ranking:
        if entry_id in by_id and entry_id not in state.winners:
            return by_id[entry_id]
    return None


def refund_until(terms: ContestTerms, state: ContestState) -> datetime | None:
    """Until when the owner of a refundable contest may take the bounty back; None when never."""
    if terms.guaranteed or state.final_round or state.funded_at is None:
        return None
    return state.funded_at + timedelta(seconds=terms.policy.refund_within_seconds)


def bounty_in_words(terms: ContestTerms, state: ContestState) -> str:
    """The bounty as people read it."""
    return format_money(state.bounty, terms.currency)
