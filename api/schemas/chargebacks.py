"""Chargebacks and their evidence, as the API takes and shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import Body, MoneyView, Remark, Utc, View
from api.schemas.contests import Files
from api.schemas.messages import Words
from db.tables import Chargeback, EvidencePackRow
from domain.chargebacks import ChargebackState
from domain.evidence import EvidencePack


class EvidenceIn(Body):
    """What somebody hands in for the pack of evidence."""

    words: Words = Field(examples=["The buyer wrote on 3 March that the lamp has arrived"])
    file_ids: Files = ()


class Reason(Body):
    """Why an operator does it."""

    reason: Remark = Field(min_length=10, examples=["The card was stolen; the buyer is right"])


class AnswerView(View):
    """The pack of evidence that goes, or went, to the payer's bank."""

    id: str
    sha256: str = Field(description="Of the pack's canonical JSON.")
    built_at: Utc
    submitted_at: Utc | None
    refused: str | None = Field(description="Why the provider did not take it.")

    @classmethod
    def of(cls, row: EvidencePackRow) -> Self:
        """The view of a pack."""
        return cls(
            id=row.id,
            sha256=row.sha256,
            built_at=row.built_at,
            submitted_at=row.submitted_at,
            refused=row.refused,
        )


class ChargebackView(View):
    """A payment, or part of it, that the payer's bank has taken back."""

    id: str
    path_id: str
    payment_id: str
    payer_id: str
    provider: str
    reference: str = Field(description="The provider's name of it.")
    amount: MoneyView
    fee: MoneyView = Field(description="What the provider keeps for it, whoever wins.")
    status: ChargebackState
    due_by: Utc | None = Field(description="Until when evidence counts.")
    goes_at: Utc | None = Field(description="When the evidence goes by itself; null: it has gone.")
    opened_at: Utc
    ended_at: Utc | None
    answer: AnswerView | None
    accepted_at: Utc | None = Field(description="When operators gave in.")
    returned_at: Utc | None = Field(
        description="When the bank gave back after all what was lost; operators say to whom it goes."
    )
    locks_payer: bool = Field(description="Whether its payer may pay for nothing new.")
    cleared_at: Utc | None

    @classmethod
    def of(cls, row: Chargeback, pack: EvidencePackRow | None, goes_at: Utc | None) -> Self:
        """The view of a chargeback with its pack, if there is one."""
        return cls(
            id=row.id,
            path_id=row.path_id,
            payment_id=row.payment_id,
            payer_id=row.payer_id,
            provider=row.provider,
            reference=row.reference,
            amount=MoneyView.of(row.amount, row.currency),
            fee=MoneyView.of(row.fee, row.currency),
            status=ChargebackState(row.status),
            due_by=row.due_by,
            goes_at=goes_at,
            opened_at=row.opened_at,
            ended_at=row.ended_at,
            answer=AnswerView.of(pack) if pack else None,
            accepted_at=row.accepted_at,
            returned_at=row.returned_at,
            locks_payer=row.status != ChargebackState.WON
            and row.cleared_at is None
            and row.returned_at is None,
            cleared_at=row.cleared_at,
        )


class PackView(View):
    """The pack of evidence: as it went to the bank, or as it would go now."""

    sha256: str = Field(description="Of the canonical JSON of the whole pack.")
    final: bool = Field(description="Whether nothing can be added any more.")
    whole: bool = Field(
        description="Whether all of it is shown; people see what concerns themselves, operators everything."
    )
    pack: EvidencePack

    @classmethod
    def of(cls, pack: EvidencePack, *, final: bool, reader: str | None) -> Self:
        """The view for a reader; all of it without one."""
        shown = pack if reader is None else pack.for_party(reader)
        return cls(sha256=pack.sha256, final=final, whole=reader is None, pack=shown)
