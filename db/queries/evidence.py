"""Packs of evidence, built from all that is on file about a path; and what people have handed in for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydantic import JsonValue
from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.file_access import MEMBERS
from db.tables import (
    Ballot,
    Campaign,
    Chargeback,
    Contest,
    EvidenceNote,
    EvidencePackRow,
    File,
    FileGrant,
    InboxRow,
    InKindOffer,
    LedgerAccount,
    LedgerEntry,
    LedgerPosting,
    Listing,
    Lot,
    MatchCall,
    Order,
    Path,
    PathEvent,
    PathMessage,
    Payment,
    PaymentPart,
    Pledge,
    ProductionOrder,
    Reservation,
    Sale,
    Tender,
)
from db.wakeups import CARRIER_PREFIX
from domain.accounts import Account, AccountKind, Side
from domain.chargebacks import ChargebackState
from domain.errors import EvidenceTooLate
from domain.evidence import (
    MOST_EACH,
    AgreedFact,
    EvidencePack,
    FileFact,
    MessageFact,
    MoneyFact,
    NoteFact,
    PackOf,
    ParcelFact,
    PathFacts,
    PaymentFact,
    ScanFact,
    TimelineFact,
    agreed_facts,
    without_addresses,
)
from domain.ids import new_id

_TERMS = {
    "sale": (Sale.id, Sale.terms),
    "order": (Order.id, Order.terms),
    "contest": (Contest.id, Contest.terms),
    "tender": (Tender.id, Tender.terms),
    "ballot": (Ballot.id, Ballot.terms),
    "campaign": (Campaign.id, Campaign.terms),
    "match_call": (MatchCall.id, MatchCall.terms),
    "in_kind": (InKindOffer.id, InKindOffer.terms),
    "production": (ProductionOrder.id, ProductionOrder.terms),
    "lot": (Lot.id, Lot.course),
}
"""By kind of path: where what was agreed is kept."""


async def build(
    session: AsyncSession,
    of: PackOf,
    of_id: str,
    path_id: str,
    *,
    about: Collection[str],
    payment: Payment | None = None,
) -> EvidencePack:
    """Everything that speaks, as it stands now: for `about`, the people whose messages and files belong to it.

    With a payment, the pack is about that payment: the paths whose escrow it has filled, and of a campaign only what
    concerns its pledge. Without one, all payments of the path are in it.
    """
    path_ids = [path_id]
    payments: Sequence[Payment]
    if payment is None:
        paid = select(Payment).where(Payment.path_id == path_id).order_by(Payment.id.desc())
        payments = (await session.scalars(paid.limit(MOST_EACH))).all()[::-1]
    else:
        payments = (payment,)
        parts = select(PaymentPart.path_id).where(PaymentPart.payment_id == payment.id)
        path_ids += sorted(set(await session.scalars(parts)) - {path_id})
    pledge = await session.get(Pledge, payment.pledge_id) if payment and payment.pledge_id else None
    said = (
        select(PathMessage)
        .where(
            PathMessage.path_id.in_(path_ids),
            or_(PathMessage.author_id.in_(about), PathMessage.to_id.in_(about)),
        )
        .order_by(PathMessage.id.desc())
    )
    messages = (await session.scalars(said.limit(MOST_EACH))).all()[::-1]
    notes = await notes_of(session, of, of_id)
    spoken = {file_id for each in messages for file_id in each.file_ids}
    spoken |= {file_id for each in notes for file_id in each.file_ids}
    return EvidencePack(
        of=of,
        of_id=of_id,
        paths=tuple([await _path_facts(session, each, pledge, payment) for each in path_ids]),
        payments=tuple(_payment_fact(each) for each in payments),
        messages=tuple(_message_fact(each) for each in messages),
        notes=tuple(_note_fact(each) for each in notes),
        files=await _files(session, path_ids, about, spoken),
    )


async def of_chargeback(session: AsyncSession, row: Chargeback) -> EvidencePack:
    """The pack of a chargeback, as it would go now."""
    payment = await session.get_one(Payment, row.payment_id)
    return await build(
        session, PackOf.CHARGEBACK, row.id, row.path_id, about=[row.payer_id], payment=payment
    )


async def require_takes_more(session: AsyncSession, row: Chargeback) -> None:
    """Raises EvidenceTooLate when the bank has been answered or evidence does not count any more, by the database's clock."""
    answered = row.status != ChargebackState.OPEN or row.accepted_at is not None
    if answered or await newest(session, PackOf.CHARGEBACK, row.id) is not None:
        raise EvidenceTooLate(
            "the bank has been answered", field="status", accepted="waiting for its decision"
        )
    if row.due_by is not None and await session.scalar(select(func.now() > row.due_by)):
        raise EvidenceTooLate(
            f"evidence was due by {row.due_by:%Y-%m-%d %H:%M} UTC",
            field="due_by",
            accepted="giving in",
        )


async def add_note(
    session: AsyncSession,
    of: PackOf,
    of_id: str,
    path_id: str,
    *,
    author_id: str,
    role: str,
    words: str,
    file_ids: Collection[str],
) -> None:
    """What somebody hands in for the pack."""
    session.add(
        EvidenceNote(
            id=new_id("evn"),
            of_kind=of,
            of_id=of_id,
            path_id=path_id,
            author_id=author_id,
            role=role,
            words=words,
            file_ids=list(file_ids),
        )
    )
    await session.flush()


async def notes_of(session: AsyncSession, of: PackOf, of_id: str) -> Sequence[EvidenceNote]:
    """What people have handed in, oldest first."""
    rows = await session.scalars(
        select(EvidenceNote)
        .where(EvidenceNote.of_kind == of, EvidenceNote.of_id == of_id)
        .order_by(EvidenceNote.id)
    )
    return rows.all()


async def newest(session: AsyncSession, of: PackOf, of_id: str) -> EvidencePackRow | None:
    """The pack that was put together last."""
    return await session.scalar(
        select(EvidencePackRow)
        .where(EvidencePackRow.of_kind == of, EvidencePackRow.of_id == of_id)
        .order_by(EvidencePackRow.id.desc())
        .limit(1)
    )


async def keep(
    session: AsyncSession, pack: EvidencePack, path_id: str, by: str | None
) -> EvidencePackRow:
    """Writes the pack down as it is; the same one again is the row that is there."""
    await session.execute(
        insert(EvidencePackRow)
        .values(
            id=new_id("evp"),
            of_kind=pack.of,
            of_id=pack.of_id,
            path_id=path_id,
            sha256=pack.sha256,
            content=pack.model_dump(mode="json"),
            built_by=by,
        )
        .on_conflict_do_nothing()
    )
    found = await newest(session, pack.of, pack.of_id)
    assert found is not None
    return found


async def _path_facts(
    session: AsyncSession, path_id: str, pledge: Pledge | None, payment: Payment | None
) -> PathFacts:
    path = await session.get_one(Path, path_id)
    agreed: tuple[AgreedFact, ...] = ()
    if path.kind in _TERMS:
        key, terms = _TERMS[path.kind]
        agreed = agreed_facts(await session.scalar(select(terms).where(key == path_id)) or {})
    if pledge is not None:
        chosen: dict[str, JsonValue] = {
            "pledge": {"amount": pledge.amount, "selection": pledge.selection}
        }
        agreed = (*agreed_facts(chosen), *agreed)
    return PathFacts(
        path_id=path.id,
        kind=path.kind,
        phase=path.phase,
        opened_at=path.opened_at,
        closed_at=path.closed_at,
        agreed=agreed[:MOST_EACH],
        timeline=await _timeline(session, path_id),
        parcels=await _parcels(session, path, pledge),
        money=await _money(session, path_id, payment if pledge else None),
    )


async def _timeline(session: AsyncSession, path_id: str) -> tuple[TimelineFact, ...]:
    query = select(PathEvent).where(PathEvent.path_id == path_id).order_by(PathEvent.id.desc())
    rows = (await session.scalars(query.limit(MOST_EACH))).all()
    return tuple(
        TimelineFact(
            at=row.at,
            kind=row.kind,
            actor=row.actor,
            summary=without_addresses(row.summary),
        )
        for row in reversed(rows)
    )


async def _parcels(
    session: AsyncSession, path: Path, pledge: Pledge | None
) -> tuple[ParcelFact, ...]:
    """The parcels of the path with what their carriers have said; of a campaign that of the pledge."""
    found: list[tuple[str, str | None, str | None]] = []
    if path.kind == "sale":
        sale = await session.get_one(Sale, path.id)
        found.append(("goods", sale.carrier, sale.tracking_number))
    elif path.kind == "lot":
        lot = await session.get_one(Lot, path.id)
        found.append(("kit", lot.kit_carrier, lot.kit_tracking))
        found.append(("goods", lot.goods_carrier, lot.goods_tracking))
    elif pledge is not None:
        found.append(("reward", pledge.carrier, pledge.tracking_number))
    return tuple(
        [
            ParcelFact(
                what=what,
                carrier=carrier,
                tracking_number=number,
                scans=await _scans(session, path.id, carrier, number),
            )
            for what, carrier, number in found
            if number is not None
        ]
    )


async def _scans(
    session: AsyncSession, path_id: str, carrier: str | None, number: str
) -> tuple[ScanFact, ...]:
    """What the carrier has reported. Scans that the path has taken note of stand under its id, others under the number."""
    query = (
        select(InboxRow.kind, InboxRow.received_at, InboxRow.body)
        .where(
            InboxRow.subject.in_((path_id, number)),
            InboxRow.source == f"{CARRIER_PREFIX}{carrier}",
            InboxRow.status != "rejected",
        )
        .order_by(InboxRow.id.desc())
        .limit(MOST_EACH)
    )
    rows = [row for row in await session.execute(query) if number.encode() in row.body]
    return tuple(ScanFact(at=row.received_at, kind=row.kind) for row in reversed(rows))


async def _money(
    session: AsyncSession, path_id: str, payment: Payment | None
) -> tuple[MoneyFact, ...]:
    """What the path's entries have posted; with a payment only the entries that are named after it."""
    query = (
        select(LedgerEntry, LedgerPosting, LedgerAccount)
        .join(LedgerPosting, LedgerPosting.entry_id == LedgerEntry.id)
        .join(LedgerAccount, LedgerAccount.id == LedgerPosting.account_id)
        .where(LedgerEntry.path_id == path_id, LedgerEntry.status == "posted")
        .order_by(LedgerPosting.id.desc())
        .limit(MOST_EACH)
    )
    if payment is not None:
        query = query.where(func.starts_with(LedgerEntry.key, f"{payment.id}/"))
    rows = (await session.execute(query)).all()
    return tuple(
        MoneyFact(
            at=entry.at,
            kind=entry.kind,
            account=Account(kind=AccountKind(account.kind), owner=account.owner),
            side=Side(posting.side),
            amount=posting.amount,
            currency=entry.currency,
        )
        for entry, posting, account in reversed(rows)
    )


async def _files(
    session: AsyncSession, path_ids: Collection[str], about: Collection[str], spoken: set[str]
) -> tuple[FileFact, ...]:
    """What came with the messages and notes, what the paths show to these people, and pictures of what was sold."""
    shown = await session.scalars(
        select(FileGrant.file_id).where(
            FileGrant.path_id.in_(path_ids), FileGrant.audience.in_((*about, MEMBERS))
        )
    )
    sold = await session.scalars(
        select(Listing.picture_ids)
        .join(Reservation, Reservation.listing_id == Listing.id)
        .where(Reservation.sale_id.in_(path_ids))
    )
    ids = spoken | set(shown) | {each for pictures in sold for each in pictures}
    query = select(File).where(File.id.in_(ids)).order_by(File.id.desc()).limit(MOST_EACH)
    return tuple(
        FileFact(
            file_id=row.id,
            owner_id=row.owner_id,
            name=without_addresses(row.name),
            media_type=row.media_type,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
        )
        for row in reversed((await session.scalars(query)).all())
    )


def _payment_fact(row: Payment) -> PaymentFact:
    return PaymentFact(
        payment_id=row.id,
        reference=row.reference,
        payer_id=row.payer_id,
        amount=row.amount,
        currency=row.currency,
        purpose=row.purpose,
        asked_at=row.created_at,
        captured_at=row.captured_at,
        settled_at=row.settled_at,
    )


def _message_fact(row: PathMessage) -> MessageFact:
    return MessageFact(
        at=row.at,
        author_id=row.author_id,
        role=row.role,
        to_id=row.to_id,
        subject=without_addresses(row.subject),
        body=without_addresses(row.body),
        file_ids=tuple(row.file_ids),
    )


def _note_fact(row: EvidenceNote) -> NoteFact:
    return NoteFact(
        at=row.at,
        author_id=row.author_id,
        role=row.role,
        words=without_addresses(row.words),
        file_ids=tuple(row.file_ids),
    )
