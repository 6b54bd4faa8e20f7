"""Money of pledges, many at a time: what was captured finds its place, what goes back is written down.

Everything here works on rows that the caller has locked, the path's (at least shared) before the pledges', and posts
through one `journal.post`, so that hundreds of pledges cost hardly more round trips than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from activities.pledge_locks import among
from db import campaign_seats, match_rows, pledge_stats
from db.pledge_states import delta, facts_of, now_of, rewrite
from db.pledge_states import end as end
from db.pledge_states import move as move
from db.pledge_states import saved as saved
from db.pledge_states import set_free as set_free
from db.pledge_states import went as went
from db.pledge_stats import Delta
from db.tables import Campaign, Chargeback, Path, Payment, Pledge, Refund
from domain import postings
from domain.campaign import AWAITS_MONEY, LATE_PLEDGES, OPEN_FOR_PLEDGES, CampaignTerms, Phase
from domain.cases import RefundCase
from domain.chargebacks import ChargebackState
from domain.errors import InsufficientFunds
from domain.ids import new_id
from domain.model import Message
from domain.payments import PaymentState, RefundState
from domain.pledge import (
    STANDING,
    PendingChange,
    PledgeState,
    Selection,
)
from domain.postings import JournalEntry
from ledger import journal
from providers.base import ProviderPayment, require_same

_S = PledgeState


@dataclass
class Capture:
    """A payment of a pledge that the provider says is captured; all rows locked by the caller."""

    path: Path
    campaign: Campaign
    pledge: Pledge
    payment: Payment
    theirs: ProviderPayment
    posted: bool = False
    """Whether its FUND has been posted already, in this very transaction."""


class GoesBack(Message):
    """Part of a pledge's money that is to be sent back, in minor units."""

    pledge_id: str
    amount: int
    reason: str


@dataclass
class Aftermath:
    """What taking money in has brought about, to be seen to when it is committed."""

    refunds: list[RefundCase] = field(default_factory=list)
    """Money nobody has use for: a story each sends it back."""
    mended: list[str] = field(default_factory=list)
    """Pledges whose failed charge has been paid after all: their stories want to know."""


async def take_in(
    session: AsyncSession, captures: Sequence[Capture], at: datetime, *, hold_days: int
) -> Aftermath:
    """FUND and settlement of each payment, and each pledge where the money takes it.

    A payment that is captured already only settles. Money that a pledge has no use for goes back in the same
    transaction. Raises ProviderMismatch when the provider's object is another one.
    """
    entries: list[JournalEntry] = []
    deltas: list[Delta] = []
    returns: list[tuple[Capture, GoesBack]] = []
    matches: list[tuple[Capture, PledgeState]] = []
    late: dict[str, int] = {}
    aftermath = Aftermath()
    await _lock_items(session, captures)
    for each in captures:
        payment, pledge = each.payment, each.pledge
        require_same(payment.id, payment.amount, payment.currency, each.theirs)
        payment.reference = each.theirs.reference
        if each.posted or payment.status != PaymentState.CAPTURED:
            if not each.posted:
                entries.append(_fund(payment, at, hold_days))
            before = PledgeState(pledge.state)
            changed = await _place(session, each, at)
            pledge.paid += payment.amount
            # Also what has no place is in the books until it is sent back.
            deltas += [*(changed or ()), _paid(pledge, payment.amount, at)]
            if changed is None:
                back = GoesBack(pledge_id=pledge.id, amount=payment.amount, reason="paid_late")
                returns.append((each, back))
            elif before is _S.ERRORED:
                aftermath.mended.append(pledge.id)
            elif pledge.late:
                late[pledge.campaign_id] = late.get(pledge.campaign_id, 0) + payment.amount
            elif before in (_S.EXPIRED, _S.DROPPED, _S.FUNDED):
                matches.append((each, before))
        if each.theirs.settled and payment.settled_at is None:
            entries.append(_settle(payment, each.theirs.fee, at))
    await session.flush()
    for campaign_id, amount in sorted(late.items()):
        # Others may add to it at the same moment: the path is locked for all of them together.
        await session.execute(
            update(Campaign)
            .where(Campaign.id == campaign_id)
            .values(taken_in=Campaign.taken_in + amount)
            .execution_options(synchronize_session="fetch")
        )
    for capture, back in returns:
        sent = await send_back(
            session,
            [(capture.pledge, back.amount)],
            key=f"late/{capture.payment.id}",
            reason=back.reason,
            terms=CampaignTerms.model_validate(capture.campaign.terms),
            at=at,
        )
        entries += sent.entries
        deltas += sent.deltas
        aftermath.refunds += sent.cases
        capture.path.closed_at = None
    for capture, before in matches:
        await _match(session, capture, before)
    await pledge_stats.note(session, deltas)
    if entries:
        await journal.post(session, *entries)
    return aftermath


async def _lock_items(session: AsyncSession, captures: Sequence[Capture]) -> None:
    """Of pledges that want their seats back or change them, before the first of them does: others wait in that order too."""
    wanted: dict[str, set[int]] = {}
    for each in captures:
        pledge = each.pledge
        chosen = []
        if not pledge.holds_seats:
            chosen = [Selection.model_validate(pledge.selection)]
        elif pledge.pending is not None:
            change = PendingChange.model_validate(pledge.pending)
            chosen = [Selection.model_validate(pledge.selection), change.selection]
        for selection in chosen:
            pieces = campaign_seats.pieces_of(selection)
            wanted.setdefault(pledge.campaign_id, set()).update(pieces)
    for campaign_id, numbers in sorted(wanted.items()):
        await campaign_seats.lock(session, campaign_id, numbers)


async def _place(session: AsyncSession, capture: Capture, at: datetime) -> list[Delta] | None:
    """Moves the pledge on with its money; answers what the totals change by besides, None when it has no use for it."""
    pledge, phase = capture.pledge, Phase(capture.path.phase)
    state = PledgeState(pledge.state)
    if pledge.pending is not None:
        change = PendingChange.model_validate(pledge.pending)
        if change.payment_id == capture.payment.id:
            return await _change(session, pledge, change, phase, at)
    if state in (_S.CHARGING, _S.ERRORED, _S.DROPPED):
        wanted = _S.COLLECTED if phase is Phase.COLLECTING else None
    elif state in (_S.INITIATED, _S.EXPIRED) and pledge.late:
        wanted = _S.COLLECTED if phase in LATE_PLEDGES else None
    elif state in (_S.INITIATED, _S.EXPIRED):
        open_still = phase in OPEN_FOR_PLEDGES or (state is _S.INITIATED and phase in AWAITS_MONEY)
        wanted = _S.FUNDED if open_still else None
    else:
        wanted = None
    if wanted is None or not await campaign_seats.retake(session, pledge):
        return None
    stood = state in STANDING
    move(pledge, wanted)
    pledge.stands_since = pledge.stands_since or at
    pledge.expires_at = None
    pledge.decline_reason = None
    return [] if stood else [delta(pledge, at, pledges=1, amount=pledge.amount)]


async def _change(
    session: AsyncSession, pledge: Pledge, change: PendingChange, phase: Phase, at: datetime
) -> list[Delta] | None:
    """A bigger choice is paid: it takes the place of the former one, if the pledge still stands."""
    pledge.pending = None
    pledge.expires_at = None
    stands = PledgeState(pledge.state) is _S.FUNDED and phase in AWAITS_MONEY
    surplus = dict(change.seats)
    deltas = None
    if stands:
        for number, pieces in campaign_seats.pieces_of(
            Selection.model_validate(pledge.selection)
        ).items():
            surplus[number] = surplus.get(number, 0) + pieces
        for number, pieces in campaign_seats.pieces_of(change.selection).items():
            surplus[number] = surplus.get(number, 0) - pieces
        deltas = rewrite(pledge, change.selection, change.amount, change.shipping, at)
    await campaign_seats.free(
        session,
        {(pledge.campaign_id, number): max(0, pieces) for number, pieces in surplus.items()},
    )
    return deltas


async def _match(session: AsyncSession, capture: Capture, before: PledgeState) -> None:
    """Match calls add to a pledge that has come back, and to one that has become bigger."""
    pledge = capture.pledge
    terms = CampaignTerms.model_validate(capture.campaign.terms)
    now = await now_of(session, pledge.campaign_id, terms.goal)
    if before is not _S.FUNDED:
        await match_rows.reserve(session, facts_of(pledge), now)
        return
    without = pledge.amount - capture.payment.amount
    now = now.model_copy(update={"pledged": now.pledged - without})
    await match_rows.reprice(session, facts_of(pledge), now)


def _paid(pledge: Pledge, amount: int, at: datetime) -> Delta:
    return delta(pledge, at, paid=amount)


def _fund(payment: Payment, at: datetime, hold_days: int) -> JournalEntry:
    payment.status = PaymentState.CAPTURED
    payment.captured_at = at
    payment.hold_deadline = at + timedelta(days=hold_days)
    return postings.fund(
        f"{payment.id}/fund", payment.path_id, payment.provider, payment.amount, payment.currency
    )


def _settle(payment: Payment, fee: int, at: datetime) -> JournalEntry:
    payment.fee = fee
    payment.settled_at = at
    return postings.settle(
        f"{payment.id}/settle",
        payment.path_id,
        payment.provider,
        payment.amount,
        fee,
        payment.currency,
    )


@dataclass
class Sent:
    """Refunds that have been written down: the caller posts the entries, and somebody sends them."""

    refunds: list[Refund] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    cases: list[RefundCase] = field(default_factory=list)


async def send_back(
    session: AsyncSession,
    parts: Iterable[tuple[Pledge, int]],
    *,
    key: str,
    reason: str,
    terms: CampaignTerms,
    at: datetime,
    ends: bool = False,
) -> Sent:
    """Writes down that so much of each pledge, above 0, goes back through the payments that brought it, newest first.

    A pledge whose last money goes back is REFUNDING from now on, with `ends` also one that gets only a part of it.
    `key` names the occasion: each can send money of a pledge back once. Seats and matches are the caller's to free.
    Raises InsufficientFunds when a pledge's payments did not bring that much.
    """
    wanted = list(parts)
    payments = await _captured(session, [pledge.id for pledge, _ in wanted])
    gone = await _gone(session, payments)
    sent = Sent()
    for pledge, amount in wanted:
        left = amount
        for payment in payments.get(pledge.id, []):
            part = min(left, payment.amount - gone.get(payment.id, 0))
            if part > 0:
                left -= part
                _write(session, sent, pledge, payment, part, key, reason, terms)
        if left:
            raise InsufficientFunds(f"the payments of {pledge.id} do not cover its refund")
        pledge.refunded += amount
        sent.deltas.append(_paid(pledge, -amount, at))
        if (ends or pledge.refunded == pledge.paid) and pledge.state != _S.REFUNDING:
            if pledge.state in STANDING:
                sent.deltas.append(went(pledge, at))
            move(pledge, _S.REFUNDING)
    return sent


def _write(
    session: AsyncSession,
    sent: Sent,
    pledge: Pledge,
    payment: Payment,
    amount: int,
    key: str,
    reason: str,
    terms: CampaignTerms,
) -> None:
    refund = Refund(
        id=new_id("ref"),
        path_id=pledge.campaign_id,
        pledge_id=pledge.id,
        payment_id=payment.id,
        payer_id=pledge.backer_id,
        provider=payment.provider,
        operation_id=f"{pledge.id}/{key}/{payment.id}",
        amount=amount,
        currency=payment.currency,
        reason=reason,
        status=RefundState.REQUESTED,
    )
    session.add(refund)
    sent.refunds.append(refund)
    sent.entries.append(
        postings.refund(
            f"{refund.id}/refund", pledge.campaign_id, refund.id, amount, payment.currency
        )
    )
    sent.cases.append(
        RefundCase(
            refund_id=refund.id,
            path_id=pledge.campaign_id,
            amount=amount,
            currency=payment.currency,
            policy=terms.rules.refund_policy,
        )
    )


async def _captured(session: AsyncSession, pledge_ids: Sequence[str]) -> dict[str, list[Payment]]:
    """The captured payments of each pledge, newest first, locked."""
    rows = await session.scalars(
        select(Payment)
        .where(among(Payment.pledge_id, pledge_ids), Payment.status == PaymentState.CAPTURED)
        .order_by(Payment.id.desc())
        .with_for_update()
    )
    found: dict[str, list[Payment]] = {}
    for row in rows:
        assert row.pledge_id is not None
        found.setdefault(row.pledge_id, []).append(row)
    return found


async def _gone(session: AsyncSession, payments: Mapping[str, Sequence[Payment]]) -> dict[str, int]:
    """What of each pledge's payments has been sent back already, or taken back by the payer's bank for good."""
    payment_ids = [each.id for rows in payments.values() for each in rows]
    sent = (
        select(Refund.payment_id, func.sum(Refund.amount))
        # By pledge: that is what refunds are found by.
        .where(among(Refund.pledge_id, sorted(payments)))
        .group_by(Refund.payment_id)
    )
    taken = (
        select(Chargeback.payment_id, func.sum(Chargeback.amount))
        .where(among(Chargeback.payment_id, payment_ids), Chargeback.status == ChargebackState.LOST)
        .group_by(Chargeback.payment_id)
    )
    found: dict[str, int] = {}
    for query in (sent, taken):
        for payment_id, amount in await session.execute(query):
            found[payment_id] = found.get(payment_id, 0) + int(amount)
    return found


async def count(session: AsyncSession, campaign_id: str, states: Iterable[PledgeState]) -> int:
    """How many pledges of the campaign are in one of these states."""
    found = await session.scalar(
        select(func.count()).where(
            Pledge.campaign_id == campaign_id, Pledge.state.in_(sorted(states))
        )
    )
    return int(found or 0)
