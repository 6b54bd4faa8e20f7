"""Answering the payer's bank: a pack of evidence is put together once and handed in once, or operators give in."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.transitions import happened, lock_path
from db.engine import Database
from db.queries import evidence
from db.tables import Chargeback, EvidencePackRow, Path, PathEvent
from domain.chargebacks import UNDECIDED, ChargebackState, GiveIn, HandIn
from domain.errors import EvidenceTooLate, NotFound, ProviderRefused
from domain.evidence import EvidencePack, FileFact, PackOf, sections, statement
from domain.money import format_money
from providers.base import (
    EVIDENCE_BYTES,
    EVIDENCE_TEXT,
    DisputeEvidence,
    DisputeStatus,
    EvidenceFile,
    EvidenceSection,
)
from providers.registry import ProviderRegistry
from runtime.storage import FileStore

_MOST_FILES = 100
_CUT = "\n[shortened; all of it is on file]"


class Answers:
    """Activities that answer a chargeback."""

    def __init__(self, database: Database, providers: ProviderRegistry, files: FileStore) -> None:
        self.database = database
        self.providers = providers
        self.files = files

    @activity.defn(name="hand_in_evidence")
    async def hand_in(self, request: HandIn) -> None:
        """Puts the pack together, hands it in, and writes down what the provider says; each once.

        What nobody has asked for and is no longer needed has no effect; for an operator it raises EvidenceTooLate.
        """
        async with self.database.transaction() as session:
            row = await _locked(session, request.chargeback_id)
            pack = await _pack_to_send(session, row, request)
        if pack is None:
            return
        provider = self.providers.get(row.provider)
        handed_in = await self._as_handed_in(EvidencePack.model_validate(pack.content))
        refused = None
        try:
            await provider.submit_evidence(row.reference, pack.id, handed_in)
        except ProviderRefused as no:
            theirs = await provider.get_dispute(row.reference)
            refused = None if theirs.status is DisputeStatus.UNDER_REVIEW else no.detail
        async with self.database.transaction() as session:
            row = await _locked(session, request.chargeback_id)
            await _answered(session, row, pack.id, request, refused)

    async def _as_handed_in(self, pack: EvidencePack) -> DisputeEvidence:
        """The pack as the provider takes it: words, and the files as long as there is room for them."""
        files, room = [], EVIDENCE_BYTES
        for each in pack.files[-_MOST_FILES:]:
            content = await self._content(each) if each.size_bytes <= room else None
            room -= len(content or b"")
            files.append(
                EvidenceFile(
                    name=each.name,
                    media_type=each.media_type,
                    size_bytes=each.size_bytes,
                    sha256=each.sha256,
                    content=content,
                )
            )
        return DisputeEvidence(
            statement=_shortened(statement(pack)),
            sections=tuple(
                EvidenceSection(name=name, text=_shortened(words)) for name, words in sections(pack)
            ),
            files=tuple(files),
        )

    async def _content(self, file: FileFact) -> bytes | None:
        """The bytes, or None when this worker's store has none of them: the digest still speaks."""
        try:
            return await self.files.get(file.sha256)
        except KeyError:
            return None

    @activity.defn(name="accept_chargeback")
    async def accept(self, request: GiveIn) -> None:
        """Operators give in: written down first, then told to the provider. Raises EvidenceTooLate once it is decided."""
        async with self.database.transaction() as session:
            row = await _locked(session, request.chargeback_id)
            if row.status not in UNDECIDED:
                raise _too_late("the bank has decided", "nothing: it is decided")
            if row.accepted_at is None:
                row.accepted_at = func.now()
                row.accepted_by, row.accepted_reason = request.by, request.reason
                words = f"Accepted: {_amount(row)} stays with the payer: {request.reason}"
                await _happens(session, row, "accepted", "operator", words)
        provider = self.providers.get(row.provider)
        try:
            await provider.accept_dispute(row.reference, f"{row.id}/accept")
        except ProviderRefused:
            # It may be decided there already: whoever looks next takes note of that.
            if (await provider.get_dispute(row.reference)).status in _PENDING:
                raise


_PENDING = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW)


async def _locked(session: AsyncSession, chargeback_id: str) -> Chargeback:
    """The chargeback, with its path's row locked. Raises NotFound."""
    path_id = await session.scalar(select(Chargeback.path_id).where(Chargeback.id == chargeback_id))
    if path_id is None:
        raise NotFound(f"there is no chargeback {chargeback_id}")
    await lock_path(session, path_id)
    return await session.get_one(Chargeback, chargeback_id)


async def _pack_to_send(
    session: AsyncSession, row: Chargeback, request: HandIn
) -> EvidencePackRow | None:
    """The one pack of the chargeback, made now if it is the first time; None when nothing is to be sent."""
    known = await evidence.newest(session, PackOf.CHARGEBACK, row.id)
    done = known is not None and (known.submitted_at is not None or known.refused is not None)
    if done or row.status != ChargebackState.OPEN or row.accepted_at is not None:
        if request.by is not None:
            raise _too_late("the bank has been answered", "waiting for its decision")
        return None
    if known is not None:
        return known
    if request.by is not None:
        await evidence.require_takes_more(session, row)
    pack = await evidence.of_chargeback(session, row)
    return await evidence.keep(session, pack, row.path_id, request.by)


def _too_late(why: str, accepted: str) -> EvidenceTooLate:
    return EvidenceTooLate(why, field="status", accepted=accepted)


async def _answered(
    session: AsyncSession, row: Chargeback, pack_id: str, request: HandIn, refused: str | None
) -> None:
    """Writes down whether the provider took the pack, once."""
    pack = await session.get_one(EvidencePackRow, pack_id)
    if pack.submitted_at is not None or pack.refused is not None:
        return
    actor = "operator" if request.by else "system"
    if refused is not None:
        pack.refused = refused
        words = f"The provider does not take the evidence: {refused}"
        await _happens(session, row, "evidence_refused", "provider", words)
        return
    pack.submitted_at = request.at
    if row.status == ChargebackState.OPEN:
        row.status = ChargebackState.UNDER_REVIEW
    words = f"Evidence handed in against the chargeback of {_amount(row)}, SHA-256 {pack.sha256}"
    await _happens(session, row, "evidence_submitted", actor, words)


async def _happens(
    session: AsyncSession, row: Chargeback, kind: str, actor: str, words: str
) -> None:
    """Tells it on the path's timeline, once; the path itself does not move."""
    key = f"{row.id}/{kind}"
    if await happened(session, key):
        return
    path = await session.get_one(Path, row.path_id)
    session.add(
        PathEvent(
            path_id=path.id,
            key=key,
            kind=f"chargeback_{kind}",
            phase=path.phase,
            actor=actor,
            summary=words,
        )
    )


def _shortened(text: str) -> str:
    return text if len(text) <= EVIDENCE_TEXT else text[: EVIDENCE_TEXT - len(_CUT)] + _CUT


def _amount(row: Chargeback) -> str:
    return format_money(row.amount, row.currency)
