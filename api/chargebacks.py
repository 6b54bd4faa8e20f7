"""Chargebacks: what the payer's bank has taken back, the evidence against it, and what operators decide about it."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require, require_active, require_visible, role_of, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.chargebacks import ChargebackView, EvidenceIn, PackView, Reason
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import chargebacks, evidence, files, kinship
from db.tables import Chargeback, EvidencePackRow
from domain.access import Action, Relation
from domain.chargebacks import ChargebackState, GiveIn, HandInWish
from domain.errors import (
    AccountFrozen,
    EvidenceTooLate,
    Forbidden,
    NotFound,
    OwnRequest,
    ProviderRefused,
    Unavailable,
    UnknownFile,
    WrongPhase,
)
from domain.evidence import EvidencePack, PackOf
from domain.ids import ChargebackId, PathId
from workflows.chargeback import Chargeback as ChargebackStory
from workflows.names import chargeback_workflow_id

WishT = TypeVar("WishT", HandInWish, GiveIn)
router = APIRouter(prefix="/v1/chargebacks", tags=["chargebacks"])
ThisChargeback = Annotated[
    ChargebackId, Path(alias="chargeback_id", description="Id of the chargeback.")
]
Before = Annotated[ChargebackId | None, Query(description="`next` of the page before.")]
_RULES = (
    AccountFrozen,
    EvidenceTooLate,
    Forbidden,
    NotFound,
    OwnRequest,
    ProviderRefused,
    Unavailable,
    WrongPhase,
)


@router.get("", operation_id="listChargebacks", summary="Chargebacks, newest first")
async def list_chargebacks(
    user: CurrentUser,
    services: ServicesDep,
    status: ChargebackState | None = None,
    path_id: PathId | None = None,
    after: Before = None,
    limit: Limit = 50,
) -> Page[ChargebackView]:
    """For operators all; for others those of what they paid for, began or sold."""
    reader = None if Relation.OPERATOR in user.relations() else user.id
    async with services.database.reading() as session:
        rows = await chargebacks.page(
            session, reader=reader, status=status, path_id=path_id, before=after, limit=limit + 1
        )
        packs = {each.id: await _pack(session, each) for each in rows}

    def view(row: Chargeback) -> ChargebackView:
        return _view(services, row, packs[row.id])

    return page_of(rows, limit, view, lambda row: row.id)


@router.get(
    "/{chargeback_id}",
    operation_id="getChargeback",
    summary="A chargeback",
    responses=problems(NotFound),
)
async def get_chargeback(
    chargeback_id: ThisChargeback, user: CurrentUser, services: ServicesDep
) -> ChargebackView:
    """For operators, its payer, and those with a part in what was paid for."""
    async with services.database.reading() as session:
        row, _ = await _seen(session, user, chargeback_id)
        return _view(services, row, await _pack(session, row))


@router.get(
    "/{chargeback_id}/evidence",
    operation_id="getEvidence",
    summary="The pack of evidence",
    responses=problems(NotFound),
)
async def get_evidence(
    chargeback_id: ThisChargeback, user: CurrentUser, services: ServicesDep
) -> PackView:
    """As it went to the bank, or as it would go now. Operators see all of it, others what concerns themselves."""
    async with services.database.reading() as session:
        row, _ = await _seen(session, user, chargeback_id)
        reader = None if Relation.OPERATOR in user.relations() else user.id
        kept = await _pack(session, row)
        if kept is not None:
            pack = EvidencePack.model_validate(kept.content)
        else:
            pack = await evidence.of_chargeback(session, row)
        return PackView.of(pack, final=kept is not None, reader=reader)


@router.post(
    "/{chargeback_id}/evidence",
    operation_id="handInEvidence",
    summary="Add words and files to the pack",
    status_code=201,
    response_model=PackView,
    responses=problems(EvidenceTooLate, Forbidden, NotFound, UnknownFile),
)
async def hand_in_evidence(
    chargeback_id: ThisChargeback,
    body: EvidenceIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By those with a part in it and operators, until the pack goes. What was handed in stays as it is."""
    async with services.database.transaction() as session:
        await _seen(session, user, chargeback_id)

    async def add(session: AsyncSession, _: str) -> PackView:
        row, relations = await _seen(session, user, chargeback_id, lock=True)
        require(Action.EVIDENCE_HAND_IN, relations)
        await evidence.require_takes_more(session, row)
        await files.attachable(session, user.id, body.file_ids)
        await evidence.add_note(
            session,
            PackOf.CHARGEBACK,
            row.id,
            row.path_id,
            author_id=user.id,
            role=role_of(relations),
            words=body.words,
            file_ids=body.file_ids,
        )
        reader = None if Relation.OPERATOR in relations else user.id
        return PackView.of(await evidence.of_chargeback(session, row), final=False, reader=reader)

    return await once.in_transaction("evn", body, add, status=201)


@router.post(
    "/{chargeback_id}/submission",
    operation_id="submitEvidence",
    summary="Hand the evidence in now",
    response_model=ChargebackView,
    responses=problems(*_RULES),
)
async def submit_evidence(
    chargeback_id: ThisChargeback, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By operators, once; nothing can be added afterwards. Without it the pack goes by itself before its last moment."""
    await _require_ruling(services, user, chargeback_id)

    async def submit(update_id: str) -> ChargebackView:
        wish = HandInWish(chargeback_id=chargeback_id, by=user.id)
        return await _tell(services, chargeback_id, ChargebackStory.hand_in_now, wish, update_id)

    return await once.resumable("act", "", submit, status=200)


@router.post(
    "/{chargeback_id}/acceptance",
    operation_id="acceptChargeback",
    summary="Give in to the payer's bank",
    response_model=ChargebackView,
    responses=problems(*_RULES),
)
async def accept_chargeback(
    chargeback_id: ThisChargeback,
    body: Reason,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By operators, with the reason: the chargeback is lost. There is no way back."""
    await _require_ruling(services, user, chargeback_id)

    async def accept(update_id: str) -> ChargebackView:
        wish = GiveIn(chargeback_id=chargeback_id, by=user.id, reason=body.reason)
        return await _tell(services, chargeback_id, ChargebackStory.give_in, wish, update_id)

    return await once.resumable("act", body, accept, status=200)


@router.post(
    "/{chargeback_id}/clearance",
    operation_id="clearPayer",
    summary="Let the payer pay for new things again",
    response_model=ChargebackView,
    responses=problems(AccountFrozen, Forbidden, NotFound, OwnRequest, WrongPhase),
)
async def clear_payer(
    chargeback_id: ThisChargeback,
    body: Reason,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By operators, with the reason. A chargeback that is won clears its payer by itself."""
    await _require_ruling(services, user, chargeback_id)

    async def clear(session: AsyncSession, _: str) -> ChargebackView:
        row, _relations = await _seen(session, user, chargeback_id, lock=True)
        if row.cleared_at is not None or row.status == ChargebackState.WON:
            raise WrongPhase(
                "this chargeback does not lock its payer", field="status", accepted="lost, or open"
            )
        row.cleared_at, row.cleared_by, row.cleared_reason = func.now(), user.id, body.reason
        await session.flush()
        await session.refresh(row)
        return _view(services, row, await _pack(session, row))

    return await once.in_transaction("act", body, clear, status=200)


async def _require_ruling(services: Services, user: Caller, chargeback_id: str) -> None:
    """Raises NotFound, Forbidden, and OwnRequest for an operator with a part in it themselves."""
    async with services.database.transaction() as session:
        row, _ = await _seen(session, user, chargeback_id)
        require(Action.CHARGEBACK_RULE, user.relations())
        parts = await chargebacks.relations(session, row, user.id)
        if parts or await kinship.tie(session, user.id, [row.payer_id]) is not None:
            raise OwnRequest("nobody decides about what is their own", accepted="another operator")
    require_active(user)


async def _tell(
    services: Services,
    chargeback_id: str,
    update: UpdateMethodMultiParam[[ChargebackStory, WishT], None],
    wish: WishT,
    update_id: str,
) -> ChargebackView:
    async with services.database.transaction() as session:
        row = await session.get_one(Chargeback, chargeback_id)
    if row.ended_at is not None:
        raise EvidenceTooLate(
            "the bank has decided", field="status", accepted="nothing: it is decided"
        )
    handle = services.temporal.get_workflow_handle(chargeback_workflow_id(row.payment_id))
    async with answered_within(services.settings.request_timeout_seconds):
        await handle.execute_update(update, wish, id=update_id)
    async with services.database.transaction() as session:
        row = await session.get_one(Chargeback, chargeback_id)
        return _view(services, row, await _pack(session, row))


async def _seen(
    session: AsyncSession, user: Caller, chargeback_id: str, *, lock: bool = False
) -> tuple[Chargeback, frozenset[Relation]]:
    """The chargeback and what the caller is to it. Raises NotFound."""
    row = await chargebacks.get(session, chargeback_id, lock=lock)
    if row is None:
        raise unknown("chargeback")
    relations = user.relations(buyer=row.payer_id)
    relations |= await chargebacks.relations(session, row, user.id)
    require_visible(Action.CHARGEBACK_SEE, relations, "chargeback")
    return row, relations


async def _pack(session: AsyncSession, row: Chargeback) -> EvidencePackRow | None:
    return await evidence.newest(session, PackOf.CHARGEBACK, row.id)


def _view(services: Services, row: Chargeback, pack: EvidencePackRow | None) -> ChargebackView:
    policy = services.settings.chargeback_policy
    waits = pack is None and row.status == ChargebackState.OPEN and row.accepted_at is None
    goes_at = policy.hand_in_at(row.due_by) or row.opened_at
    return ChargebackView.of(row, pack, goes_at if waits else None)
