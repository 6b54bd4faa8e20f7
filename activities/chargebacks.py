"""Chargebacks: read from the provider and posted; the path stands still until the bank has decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.chargebacks_returned import bearers, returned
from activities.funding import HOOKS
from activities.transitions import advance, close_when_empty, happened, lock_path, timers
from db import inbox
from db.case_rows import end_case, open_case
from db.engine import Database
from db.queries import evidence
from db.tables import Chargeback, Path, PathEvent, Payment
from domain import postings
from domain.chargebacks import (
    UNDECIDED,
    ChargebackNews,
    ChargebacksSeen,
    ChargebackState,
    FollowChargebacks,
    Lost,
    OpenChargeback,
    PathSignal,
)
from domain.deadlines import postponed
from domain.errors import NotFound, ProviderMismatch
from domain.evidence import PackOf
from domain.ids import new_id
from domain.money import Money, format_money
from domain.operator_cases import CaseKind
from domain.operator_policy import OperatorPolicy
from domain.path import Standing
from domain.payments import PaymentState
from ledger import journal
from providers.base import DisputeStatus, ProviderDispute
from providers.registry import ProviderRegistry

_LOST = "chargeback_lost"
_STATES = {
    DisputeStatus.NEEDS_RESPONSE: ChargebackState.OPEN,
    DisputeStatus.UNDER_REVIEW: ChargebackState.UNDER_REVIEW,
    DisputeStatus.WON: ChargebackState.WON,
    DisputeStatus.LOST: ChargebackState.LOST,
}
_FAR = (ChargebackState.OPEN, ChargebackState.UNDER_REVIEW)
"""How far an answer has got; news that comes late does not lead back."""


class Chargebacks:
    """Activities of chargebacks."""

    def __init__(
        self, database: Database, providers: ProviderRegistry, operators: OperatorPolicy
    ) -> None:
        self.database = database
        self.providers = providers
        self.operators = operators

    @activity.defn(name="follow_chargebacks")
    async def follow(self, request: FollowChargebacks) -> ChargebacksSeen:
        """Reads all chargebacks of the payment at the provider and posts what has happened, each step by itself."""
        async with self.database.transaction() as session:
            payment = await session.get(Payment, request.payment_id)
            if payment is None:
                raise NotFound(f"there is no payment {request.payment_id}")
            seen = await inbox.newest(session, payment.id, disputes=True)
            known = await _chargebacks_of(session, payment.id)
        if payment.status != PaymentState.CAPTURED or payment.reference is None:
            return ChargebacksSeen()
        for theirs in await self._read(payment, payment.reference, known):
            await self._take_note(payment, theirs, request)
        async with self.database.transaction() as session:
            await inbox.consume(session, payment.id, up_to=seen, disputes=True)
            return await _seen(session, payment, request.story)

    async def _read(
        self, payment: Payment, reference: str, known: Sequence[Chargeback]
    ) -> list[ProviderDispute]:
        provider = self.providers.get(payment.provider)
        listed = await provider.list_disputes(reference)
        left_out = {row.reference for row in known} - {each.reference for each in listed}
        return [*[await provider.get_dispute(each) for each in sorted(left_out)], *listed]

    async def _take_note(
        self, payment: Payment, theirs: ProviderDispute, request: FollowChargebacks
    ) -> None:
        """Opens and ends one chargeback as far as the provider has got, in a transaction each."""
        async with self.database.transaction() as session:
            path = await lock_path(session, payment.path_id)
            row = await _chargeback(session, payment, theirs)
            if row is None:
                row = await _open(session, path, payment, theirs, request)
                await self._call(session, row, CaseKind.CHARGEBACK, "answer it in time")
            _require_agreement(row, payment, theirs)
            await self._take_note_anew(session, path, payment, row, theirs, request)
            decided = row.status in UNDECIDED and row.status != _STATES[theirs.status]
        if not decided:
            return
        async with self.database.transaction() as session:
            path = await lock_path(session, payment.path_id)
            row = await session.get_one(Chargeback, row.id)
            payment = await session.get_one(Payment, payment.id)
            if row.status not in UNDECIDED:
                return
            if _STATES[theirs.status] in UNDECIDED:
                row.status = max(
                    ChargebackState(row.status), _STATES[theirs.status], key=_FAR.index
                )
                return
            row.status = _STATES[theirs.status]
            row.ended_at = request.at
            await end_case(session, CaseKind.CHARGEBACK, row.id, row.status)
            end = _won if row.status == ChargebackState.WON else _lost
            await end(session, path, payment, row, request)

    async def _take_note_anew(
        self,
        session: AsyncSession,
        path: Path,
        payment: Payment,
        row: Chargeback,
        theirs: ProviderDispute,
        request: FollowChargebacks,
    ) -> None:
        """What a bank does that had decided: it takes the money a second time, or gives back what was lost."""
        is_won = theirs.status is DisputeStatus.WON
        if row.status == ChargebackState.WON and not is_won:
            row.status, row.ended_at = ChargebackState.OPEN, None
            row.rounds += 1
            await _taken(session, path, payment, row, 0, request)
            await self._call(session, row, CaseKind.CHARGEBACK, "it has decided anew")
        elif row.status == ChargebackState.LOST and is_won != (row.returned_at is not None):
            row.rounds += 1
            row.returned_at = request.at if is_won else None
            await returned(session, path, row, _key(row, "returned"), back=is_won)
            if is_won:
                facts = f"it stands on suspense:{row.provider}; the loss was borne by {await bearers(session, row)}"
                await self._call(session, row, CaseKind.DIFFERENCE, facts)
            else:
                await end_case(session, CaseKind.DIFFERENCE, row.id, "taken_again")

    async def _call(
        self, session: AsyncSession, row: Chargeback, kind: CaseKind, words: str
    ) -> None:
        moved = "given back, lost before," if row.returned_at else "taken back"
        await open_case(
            session,
            kind,
            row.id,
            summary=f"The payer's bank has {moved} {_amount(row)}: {words}",
            within_seconds=self.operators.sla_seconds,
            path_id=row.path_id,
            user_id=row.payer_id,
            money=Money(amount=row.amount, currency=row.currency),
        )


async def _open(
    session: AsyncSession,
    path: Path,
    payment: Payment,
    theirs: ProviderDispute,
    request: FollowChargebacks,
) -> Chargeback:
    """CHARGEBACK opened: the money has left, and a path that has not ended stands still."""
    row = Chargeback(
        id=new_id("cbk"),
        payment_id=payment.id,
        path_id=path.id,
        payer_id=payment.payer_id,
        provider=payment.provider,
        reference=theirs.reference,
        amount=theirs.amount,
        fee=theirs.fee,
        currency=theirs.currency,
        status=ChargebackState.OPEN,
        due_by=theirs.due_by,
        opened_at=request.at,
    )
    session.add(row)
    await _taken(session, path, payment, row, row.fee, request)
    return row


async def _taken(
    session: AsyncSession,
    path: Path,
    payment: Payment,
    row: Chargeback,
    fee: int,
    request: FollowChargebacks,
) -> None:
    """CHARGEBACK opened, or opened anew without another fee: the money has left."""
    pauses = HOOKS[path.kind].pauses and not _has_ended(path)
    if pauses:
        path.paused_at = path.paused_at or request.at
    await journal.post(
        session,
        postings.chargeback_open(
            _key(row, "open"), path.id, row.id, row.provider, row.amount, fee, row.currency
        ),
    )
    due = f"; evidence counts until {row.due_by:%Y-%m-%d %H:%M} UTC" if row.due_by else ""
    news = ChargebackNews(
        key=_key(row, "opened"),
        workflow_id=path.workflow_id,
        signal=PathSignal.PAUSE if pauses else PathSignal.NONE,
    )
    await HOOKS[path.kind].opened(session, path, payment, request.at)
    _happens(
        session,
        path,
        "chargeback_opened",
        f"The payer's bank has taken {_amount(row)} back{due}",
        news,
        request,
    )


async def _won(
    session: AsyncSession,
    path: Path,
    payment: Payment,
    row: Chargeback,
    request: FollowChargebacks,
) -> None:
    """CHARGEBACK won: the money is there again, and the path goes on with the time it had left."""
    await journal.post(
        session,
        postings.chargeback_won(
            _key(row, "won"), path.id, row.id, row.provider, row.amount, row.currency
        ),
    )
    # A path that went on meanwhile may have been refused its end and wait. One with payments of thousands waits for none
    # of them, and its story must not grow with each.
    news = ChargebackNews(
        key=_key(row, "decided"),
        workflow_id=path.workflow_id,
        signal=PathSignal.NONE if payment.pledge_id else PathSignal.WAKE,
    )
    if HOOKS[path.kind].pauses:
        resumed = await _resume(session, path, row, request.at)
        standing = Standing(path_id=path.id, phase=path.phase, deadlines=timers(path))
        news = news.model_copy(
            update={"signal": PathSignal.RESUME, "standing": standing}
            if resumed
            else {"signal": PathSignal.NONE}
        )
    await HOOKS[path.kind].won(session, path, payment, request.at)
    words = f"The payer's bank has given {_amount(row)} back"
    _happens(session, path, "chargeback_won", words, news, request)
    if _has_ended(path):
        await close_when_empty(session, path, request.at)


async def _lost(
    session: AsyncSession,
    path: Path,
    payment: Payment,
    row: Chargeback,
    request: FollowChargebacks,
) -> None:
    """CHARGEBACK lost: the path says who bears it and where it stands now."""
    hooks = HOOKS[path.kind]
    had_ended = _has_ended(path)
    await _resume(session, path, row, request.at)
    news = ChargebackNews(
        key=_key(row, "decided"), workflow_id=path.workflow_id, signal=PathSignal.NONE
    )
    words = f"The payer's bank keeps {_amount(row)}"
    _happens(session, path, _LOST, words, news, request)
    lost = Lost(
        key=_key(row, "lost"),
        at=request.at,
        chargeback_id=row.id,
        amount=row.amount,
        currency=row.currency,
    )
    known = (path.phase, _alarms(path))
    standing = await hooks.lost(session, path, payment, lost)
    if _has_ended(path):
        path.paused_at = None
        await close_when_empty(session, path, request.at)
    elif standing is None and hooks.pauses:
        path.paused_at = path.paused_at or request.at
    if standing is not None:
        signal = PathSignal.TOLD if path.paused_at else PathSignal.RESUME
        unchanged = known == (path.phase, _alarms(path)) and not standing.refunds
        if not hooks.pauses and unchanged:
            signal = PathSignal.NONE
        news = news.model_copy(update={"signal": signal, "standing": standing})
    elif not had_ended:
        news = news.model_copy(update={"stuck": f"{words}; {path.id} cannot go on by itself"})
    event = await happened(session, news.key)
    assert event is not None
    event.data = _data(news, request)


def _alarms(path: Path) -> set[tuple[str, str, datetime]]:
    """All that a story has of its timers but words and amounts: what fires, about what, and when."""
    return {(each.event, each.subject, each.passes_at) for each in timers(path)}


async def _resume(session: AsyncSession, path: Path, row: Chargeback, at: datetime) -> bool:
    """Ends the pause of a path, unless something else holds it up: its timers get the time they had left."""
    if path.paused_at is None or await _held_up(session, path, row):
        return False
    timers_left = postponed(timers(path), max(at - path.paused_at, timedelta()))
    path.deadlines = [each.model_dump(mode="json") for each in timers_left]
    path.paused_at = None
    return True


async def _held_up(session: AsyncSession, path: Path, row: Chargeback) -> bool:
    """Whether another chargeback of the path is open, or was lost and left it stuck."""
    others = await session.scalar(
        select(Chargeback.id)
        .where(
            Chargeback.path_id == path.id,
            Chargeback.status.in_(UNDECIDED),
            Chargeback.id != row.id,
        )
        .limit(1)
    )
    stuck = await session.scalar(
        select(PathEvent.id)
        .where(
            PathEvent.path_id == path.id,
            PathEvent.kind == _LOST,
            PathEvent.data["news"]["stuck"].astext != "",
        )
        .limit(1)
    )
    return others is not None or stuck is not None


def _has_ended(path: Path) -> bool:
    """Whether the path is in a final phase; money may still be on its way."""
    return path.phase in HOOKS[path.kind].final


def _happens(
    session: AsyncSession,
    path: Path,
    kind: str,
    summary: str,
    news: ChargebackNews,
    request: FollowChargebacks,
) -> None:
    """Writes the event; a path that had closed is open again until `close_when_empty` finds nothing held."""
    advance(
        session,
        path,
        key=news.key,
        kind=kind,
        phase=path.phase,
        actor="provider",
        summary=summary,
        deadlines=timers(path),
        data=_data(news, request),
    )


def _data(news: ChargebackNews, request: FollowChargebacks) -> dict[str, JsonValue]:
    return {"story": request.story, "news": news.model_dump(mode="json")}


async def _seen(session: AsyncSession, payment: Payment, story: str) -> ChargebacksSeen:
    """What is open, and all that this story has brought about: an earlier answer may have been lost."""
    path = await session.get_one(Path, payment.path_id)
    rows = await _chargebacks_of(session, payment.id)
    keys = [
        _key(row, step, number)
        for row in rows
        for number in range(row.rounds + 1)
        for step in ("opened", "decided")
    ]
    events = (
        await session.scalars(
            select(PathEvent).where(PathEvent.key.in_(keys)).order_by(PathEvent.id)
        )
    ).all()
    news = [(event, ChargebackNews.model_validate(event.data["news"])) for event in events]
    return ChargebacksSeen(
        open=tuple([await _as_open(session, row) for row in rows if row.status in UNDECIDED]),
        stuck=() if _has_ended(path) else tuple(each.stuck for _, each in news if each.stuck),
        news=tuple(each for event, each in news if event.data["story"] == story),
    )


async def _as_open(session: AsyncSession, row: Chargeback) -> OpenChargeback:
    pack = await evidence.newest(session, PackOf.CHARGEBACK, row.id)
    answered = pack is not None and (pack.submitted_at is not None or pack.refused is not None)
    return OpenChargeback(
        chargeback_id=row.id,
        reference=row.reference,
        amount=row.amount,
        currency=row.currency,
        due_by=row.due_by,
        answered=answered
        or row.accepted_at is not None
        or row.status == ChargebackState.UNDER_REVIEW,
    )


async def _chargebacks_of(session: AsyncSession, payment_id: str) -> Sequence[Chargeback]:
    rows = await session.scalars(
        select(Chargeback).where(Chargeback.payment_id == payment_id).order_by(Chargeback.id)
    )
    return rows.all()


async def _chargeback(
    session: AsyncSession, payment: Payment, theirs: ProviderDispute
) -> Chargeback | None:
    return await session.scalar(
        select(Chargeback).where(
            Chargeback.provider == payment.provider, Chargeback.reference == theirs.reference
        )
    )


def _require_agreement(row: Chargeback, payment: Payment, theirs: ProviderDispute) -> None:
    """Raises ProviderMismatch when the dispute is not about this payment, or has changed."""
    ours = (row.payment_id, payment.id, payment.reference, row.currency, row.amount, row.fee)
    if ours != (
        payment.id,
        theirs.subject,
        theirs.payment_reference,
        theirs.currency,
        theirs.amount,
        theirs.fee,
    ):
        raise ProviderMismatch(
            f"{theirs.reference} is {theirs.amount} {theirs.currency} for {theirs.subject}; "
            f"expected {row.amount} {payment.currency} for {payment.id}"
        )


def _key(row: Chargeback, step: str, number: int | None = None) -> str:
    """Names a step; what a bank decides anew is another step."""
    number = row.rounds if number is None else number
    return f"{row.id}/{step}/{number}" if number else f"{row.id}/{step}"


def _amount(row: Chargeback) -> str:
    return format_money(row.amount, row.currency)
