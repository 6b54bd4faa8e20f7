"""Offers in kind, asks and records, between rows and the rules of domain.in_kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import file_access
from db.tables import InKindAsk, InKindOffer, InKindRecord, Path, PathEvent
from domain.errors import InvalidInput, LimitReached, NotFound, WrongPhase
from domain.in_kind import Course, Event, InKindTerms, Phase

LIVE = "live"
WITHDRAWN = "withdrawn"
PICKED = "picked"
PASSED = "passed"
"""Was picked once, and is not any more."""


async def draft(session: AsyncSession, terms: InKindTerms, workflow_id: str) -> InKindOffer:
    """Writes a new draft down."""
    session.add(
        Path(
            id=terms.in_kind_id,
            kind="in_kind",
            workflow_id=workflow_id,
            initiator_id=terms.supporter_id,
            currency=terms.path_currency,
            phase=Phase.DRAFT,
        )
    )
    await session.flush()
    row = InKindOffer(id=terms.in_kind_id, terms=terms.model_dump(mode="json"))
    session.add(row)
    await session.flush()
    return row


async def redraft(session: AsyncSession, terms: InKindTerms) -> None:
    """Replaces the terms of a draft. Raises WrongPhase when it is none any more."""
    path = await _locked_draft(session, terms.in_kind_id)
    path.currency = terms.path_currency
    row = await session.get_one(InKindOffer, terms.in_kind_id)
    row.terms = terms.model_dump(mode="json")
    await session.flush()


async def discard(session: AsyncSession, in_kind_id: str) -> None:
    """Withdraws a draft, about which no story has begun. Raises WrongPhase when it is none any more."""
    path = await _locked_draft(session, in_kind_id)
    path.phase = Phase.WITHDRAWN
    path.closed_at = await session.scalar(select(func.now()))
    (await session.get_one(InKindOffer, in_kind_id)).end_reason = Event.WITHDRAWN
    session.add(
        PathEvent(
            path_id=in_kind_id,
            key=f"{in_kind_id}/discarded",
            kind=Event.WITHDRAWN,
            phase=Phase.WITHDRAWN,
            actor="initiator",
            summary="The draft was given up",
        )
    )
    await session.flush()


async def _locked_draft(session: AsyncSession, in_kind_id: str) -> Path:
    path = await session.get_one(Path, in_kind_id, with_for_update=True, populate_existing=True)
    if path.phase != Phase.DRAFT:
        raise WrongPhase(
            f"an offer that is {path.phase} is no draft any more",
            field="phase",
            accepted=Phase.DRAFT,
        )
    return path


def terms_of(row: InKindOffer) -> InKindTerms:
    """What is offered."""
    return InKindTerms.model_validate(row.terms)


def course_of(row: InKindOffer) -> Course | None:
    """What has become of the offer; None before it is published."""
    if row.offer_ends_at is None:
        return None
    return Course(**{name: getattr(row, name) for name in Course.model_fields})


def store_course(row: InKindOffer, course: Course) -> None:
    """Writes down what has become of the offer."""
    for name in Course.model_fields:
        setattr(row, name, getattr(course, name))


async def place_ask(
    session: AsyncSession,
    ask_id: str,
    in_kind_id: str,
    asker_id: str,
    *,
    message: str,
    for_path_id: str | None,
    file_ids: Sequence[str],
    at: datetime,
) -> InKindAsk:
    """A new ask, under db.admission.admit. Raises LimitReached while the asker has one, InvalidInput for others' paths."""
    await _require_own_path(session, for_path_id, asker_id)
    made = await session.execute(
        insert(InKindAsk)
        .values(
            id=ask_id,
            in_kind_id=in_kind_id,
            asker_id=asker_id,
            for_path_id=for_path_id,
            status=LIVE,
            message=message,
            file_ids=list(file_ids),
            created_at=at,
            updated_at=at,
        )
        .on_conflict_do_nothing(
            index_elements=[InKindAsk.in_kind_id, InKindAsk.asker_id],
            index_where=text("status IN ('live', 'picked')"),
        )
        .returning(InKindAsk.id)
    )
    if made.first() is None:
        raise LimitReached("you have asked for it already", accepted="one ask at a time")
    return await session.get_one(InKindAsk, ask_id)


async def _require_own_path(session: AsyncSession, for_path_id: str | None, asker_id: str) -> None:
    """Raises InvalidInput unless it is a path that the asker has started and that members can see."""
    if for_path_id is None:
        return
    own = await session.scalar(
        select(Path.id).where(
            Path.id == for_path_id,
            Path.initiator_id == asker_id,
            # A sale is for its two people only.
            Path.kind != "sale",
            Path.phase != Phase.DRAFT,
        )
    )
    if own is None:
        raise InvalidInput(
            "this is no path of yours that others can see",
            field="for_path_id",
            accepted="a campaign, contest or other path that you have published",
        )


async def withdraw_ask(
    session: AsyncSession, in_kind_id: str, ask_id: str, at: datetime
) -> InKindAsk:
    """The ask stands no more, and its files are the asker's alone. Raises NotFound, WrongPhase."""
    ask: InKindAsk | None = await session.scalar(
        select(InKindAsk)
        .where(InKindAsk.id == ask_id, InKindAsk.in_kind_id == in_kind_id)
        .with_for_update()
    )
    if ask is None:
        raise NotFound("there is no such ask")
    if ask.status != LIVE:
        raise WrongPhase(f"the ask is {ask.status}", field="status", accepted=LIVE)
    ask.status, ask.updated_at = WITHDRAWN, at
    await file_access.revoke(session, in_kind_id, ask.file_ids)
    await session.flush()
    return ask


async def live_ask(session: AsyncSession, in_kind_id: str, ask_id: str) -> InKindAsk | None:
    """The ask of this offer, if it stands; alone for this transaction."""
    found: InKindAsk | None = await session.scalar(
        select(InKindAsk)
        .where(InKindAsk.id == ask_id, InKindAsk.in_kind_id == in_kind_id, InKindAsk.status == LIVE)
        .with_for_update()
    )
    return found


async def pass_ask(session: AsyncSession, in_kind_id: str, asker_id: str, at: datetime) -> None:
    """Who was picked is not any more; they may ask again."""
    ask = await session.scalar(
        select(InKindAsk)
        .where(
            InKindAsk.in_kind_id == in_kind_id,
            InKindAsk.asker_id == asker_id,
            InKindAsk.status == PICKED,
        )
        .with_for_update()
    )
    if ask is not None:
        ask.status, ask.updated_at = PASSED, at


async def add_record(
    session: AsyncSession,
    row: InKindOffer,
    *,
    kind: str,
    made_by: str,
    note: str,
    amount: int | None,
    file_ids: Sequence[str],
    at: datetime,
) -> None:
    """Writes down what somebody said and showed. The path's row is locked alone."""
    count = await session.scalar(
        select(func.count()).select_from(InKindRecord).where(InKindRecord.in_kind_id == row.id)
    )
    session.add(
        InKindRecord(
            in_kind_id=row.id,
            number=int(count or 0) + 1,
            pick=row.picks,
            kind=kind,
            made_by=made_by,
            note=note,
            amount=amount,
            file_ids=list(file_ids),
            at=at,
        )
    )
