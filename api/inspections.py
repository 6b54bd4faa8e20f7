"""Inspections of lots: the plan, findings in tranches, the decision, a full look; and who looks again on an appeal.

Findings are rows, written in one short transaction. The decision is the inspection story's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.service import RPCError, RPCStatusCode

from api.acts import said_by, tell
from api.arrival import ArrivalDep
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.lot_acts import ThisLot, refuse_party
from api.policy import on_path, require, require_active, unknown
from api.schemas.base import Limit, Page, RowCursor, page_of
from api.schemas.inspections import (
    DecisionIn,
    FindingsIn,
    FindingView,
    InspectionCard,
    InspectionView,
    InspectorIn,
    JuryForOperators,
    JuryView,
    SeriesView,
)
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db import inspection_rows, inspection_series, juries, notices
from db.inspection_rows import Look
from db.inspection_series import Which
from db.queries import files, kinship, production
from db.queries.paths import Seen
from db.tables import InspectionSeries
from domain.access import Action, Relation
from domain.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    SelfDealing,
    TooLate,
    Unavailable,
    UnknownFile,
    WrongPhase,
)
from domain.ids import BallotId, InspectionId, UserId
from domain.production_messages import InspectionAct, LotAct
from workflows.inspection import Inspection
from workflows.lot import Lot
from workflows.names import inspection_workflow_id

router = APIRouter(tags=["inspections"])
ThisInspection = Annotated[
    InspectionId, Path(alias="inspection_id", description="Id of the inspection.")
]
JuryCursor = Annotated[BallotId | None, Query(description="`next` of the page before.")]
SeriesCursor = Annotated[UserId | None, Query(description="`next` of the page before.")]
_WHAT = "inspection"


@router.get(
    "/v1/lots/{lot_id}/inspections",
    operation_id="listInspections",
    summary="Inspections of a lot, oldest first",
    responses=problems(NotFound),
)
async def list_inspections(
    lot_id: ThisLot, user: CurrentUser, services: ServicesDep
) -> Page[InspectionCard]:
    """All of them on one page: one for each time the goods came, a full look, and the second look of an appeal."""
    async with services.database.reading() as session:
        await on_path(session, user, Action.INSPECTION_VIEW, lot_id, "lot")
        rows = await inspection_rows.of_lot(session, lot_id)
        cards = [InspectionCard.of(row, await inspection_rows.due_at(session, row)) for row in rows]
    return Page(items=cards, next=None)


@router.get(
    "/v1/inspections/{inspection_id}",
    operation_id="getInspection",
    summary="An inspection",
    responses=problems(NotFound),
)
async def get_inspection(
    inspection_id: ThisInspection, user: CurrentUser, services: ServicesDep
) -> InspectionView:
    """The frozen plan, the units that were drawn and from which seed, how far it is, and the decision."""
    return await _show(services, user, inspection_id)


@router.get(
    "/v1/inspections/{inspection_id}/findings",
    operation_id="listFindings",
    summary="What was found, by unit",
    responses=problems(NotFound),
)
async def list_findings(
    inspection_id: ThisInspection,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[FindingView]:
    """Every unit that was looked at, with the defects that were found."""
    async with services.database.reading() as session:
        await _see(session, user, inspection_id, Action.INSPECTION_VIEW)
        rows = await inspection_rows.page(session, inspection_id, after, limit + 1)
    return page_of(rows, limit, FindingView.of, lambda row: str(row.unit))


@router.post(
    "/v1/inspections/{inspection_id}/findings",
    operation_id="reportFindings",
    summary="What was seen on some of the units",
    response_model=InspectionView,
    responses=problems(Forbidden, InvalidInput, NotFound, TooLate, UnknownFile, WrongPhase),
)
async def report_findings(
    inspection_id: ThisInspection,
    body: FindingsIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the inspector, as many units at a time as they like. Each drawn unit is looked at once."""
    async with services.database.transaction() as session:
        await _see(session, user, inspection_id, Action.INSPECTION_DECIDE)
        named = dict.fromkeys(file_id for each in body.findings for file_id in each.file_ids)
        await files.attachable(session, user.id, list(named))

    async def report(session: AsyncSession, _: str) -> InspectionView:
        found = [each.finding for each in body.findings]
        await inspection_rows.report(session, inspection_id, user.id, found, arrival)
        return await _view(session, inspection_id)

    return await once.in_transaction("act", body, report, status=200)


@router.post(
    "/v1/inspections/{inspection_id}/look-at-all",
    operation_id="lookAtAllUnits",
    summary="After a failed sample: look at every unit",
    status_code=201,
    response_model=InspectionView,
    responses=problems(Forbidden, InvalidInput, NotFound, TooLate, WrongPhase),
)
async def look_at_all(
    inspection_id: ThisInspection,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the inspector: a new inspection within the same time, in which the findings of the sample count."""
    async with services.database.transaction() as session:
        await _see(session, user, inspection_id, Action.INSPECTION_DECIDE)

    async def look(session: AsyncSession, _: str) -> InspectionView:
        row = await inspection_rows.look_at_all(session, inspection_id, user.id, body.note, arrival)
        return await _view(session, row.id)

    return await once.in_transaction("act", body, look, status=201)


@router.post(
    "/v1/inspections/{inspection_id}/decide",
    operation_id="decideInspection",
    summary="Accept, send back to be mended, reject",
    response_model=InspectionView,
    responses=problems(Forbidden, InvalidInput, NotFound, TooLate, WrongPhase),
)
async def decide(
    inspection_id: ThisInspection,
    body: DecisionIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the inspector, once every drawn unit was looked at: what becomes of all units that were handed in.

    At most the units with defects are not accepted. If the sample has failed, all of them may be sent back or rejected
    as well; to accept them all the same is a concession. The second inspector of an appeal decides it herewith.
    """
    async with services.database.transaction() as session:
        seen, found = await _see(session, user, inspection_id, Action.INSPECTION_DECIDE)

    async def act(update_id: str) -> InspectionView:
        async with services.database.transaction() as session:
            now = await inspection_rows.look(session, inspection_id)
            if now.row.decided_at is None:
                await inspection_rows.require_open(session, now, user.id)
        if found.row.appeal:
            await _rule(services, user, seen, found, body, update_id)
        else:
            await _tell(services, user, seen, found, body, update_id)
        return await _show(services, user, inspection_id)

    return await once.resumable("act", body, act, status=200)


@router.post(
    "/v1/lots/{lot_id}/name-inspector",
    operation_id="nameSecondInspector",
    summary="Name who looks at the rejected units once more",
    status_code=201,
    response_model=InspectionView,
    responses=problems(Forbidden, InvalidInput, NotFound, SelfDealing, TooLate, WrongPhase),
)
async def name_inspector(
    lot_id: ThisLot,
    body: InspectorIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By operators, on an appeal: somebody who has no part in the lot. What they decide is the ruling."""
    await refuse_party(services, user, lot_id)

    async def name(session: AsyncSession, _: str) -> InspectionView:
        await _require_outsider(session, lot_id, body.inspector_id)
        row = await inspection_rows.name_inspector(
            session, lot_id, body.inspector_id, body.note, arrival
        )
        await notices.ask_second_look(session, row)
        return await _view(session, row.id)

    return await once.in_transaction("act", body, name, status=201)


@router.get(
    "/v1/lots/{lot_id}/jury",
    operation_id="getJury",
    summary="The jury of an appeal",
    responses=problems(NotFound),
)
async def get_jury(
    lot_id: ThisLot, user: CurrentUser, services: ServicesDep
) -> JuryForOperators | JuryView:
    """How it was drawn. Who was drawn is for operators only: nobody is to talk to jurors."""
    async with services.database.reading() as session:
        seen = await on_path(session, user, Action.INSPECTION_VIEW, lot_id, "lot")
        row = await juries.of_lot(session, lot_id)
    if row is None:
        raise unknown("jury")
    return JuryForOperators.of(row) if Relation.OPERATOR in seen.relations else JuryView.of(row)


@router.get("/v1/me/juries", operation_id="listMyJuries", summary="Juries one was drawn for")
async def list_my_juries(
    user: CurrentUser, services: ServicesDep, after: JuryCursor = None, limit: Limit = 50
) -> Page[JuryView]:
    """Newest first. A juror reads the lot and its inspections, and votes on the ballot."""
    async with services.database.reading() as session:
        rows = await juries.of_juror(session, user.id, after, limit + 1)
    return page_of(rows, limit, JuryView.of, lambda row: row.ballot_id)


@router.get(
    "/v1/me/inspection-series",
    operation_id="listMyInspectionSeries",
    summary="How severely the next lots are inspected",
)
async def list_series(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "maker",
    after: SeriesCursor = None,
    limit: Limit = 50,
) -> Page[SeriesView]:
    """The own lots for each requester, or with `which=requester` the lots of each maker."""
    async with services.database.reading() as session:
        rows = await inspection_series.page(session, user.id, which, after, limit + 1)

    def other(row: InspectionSeries) -> str:
        return row.requester_id if which == "maker" else row.maker_id

    return page_of(rows, limit, SeriesView.of, other)


@router.post(
    "/v1/me/inspection-series/{maker_id}/resume",
    operation_id="resumeInspectionSeries",
    summary="Let a maker go on",
    response_model=SeriesView,
    responses=problems(NotFound, WrongPhase),
)
async def resume_series(
    maker_id: UserId, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester, when a maker has mended how they work: the next lots are inspected tightened."""
    require(Action.SERIES_RESUME, user.relations())
    require_active(user)

    async def resume(session: AsyncSession, _: str) -> SeriesView:
        return SeriesView.of(await inspection_series.resume(session, maker_id, user.id))

    return await once.in_transaction("act", body, resume, status=200)


async def _see(
    session: AsyncSession, user: Caller, inspection_id: str, action: Action
) -> tuple[Seen, Look]:
    """The lot of an inspection, and the inspection. Raises NotFound or Forbidden."""
    try:
        found = await inspection_rows.look(session, inspection_id)
    except NotFound:
        raise unknown(_WHAT) from None
    seen = await on_path(session, user, action, found.lot.id, _WHAT)
    return seen, found


async def _view(session: AsyncSession, inspection_id: str) -> InspectionView:
    found = await inspection_rows.look(session, inspection_id)
    looked_at, defective = await inspection_rows.counted(session, inspection_id)
    due_at = await inspection_rows.due_at(session, found.row)
    return InspectionView.seen(found.row, due_at, looked_at, defective)


async def _show(services: Services, user: Caller, inspection_id: str) -> InspectionView:
    """The inspection as the caller may see it. Raises NotFound."""
    async with services.database.reading() as session:
        await _see(session, user, inspection_id, Action.INSPECTION_VIEW)
        return await _view(session, inspection_id)


async def _tell(
    services: Services, user: Caller, seen: Seen, found: Look, body: DecisionIn, update_id: str
) -> None:
    """Tells the inspection's story of the decision. A full look belongs to the story of the first one."""
    first = found.lot.inspection_id
    assert first is not None
    said = said_by(user, seen, body.note).model_copy(update={"actor": Relation.INSPECTOR.value})
    act = InspectionAct(**said.model_dump(), inspection_id=found.row.id, decision=body.decision)
    handle = services.temporal.get_workflow_handle(inspection_workflow_id(first))
    async with answered_within(services.settings.request_timeout_seconds):
        try:
            await handle.execute_update(Inspection.decide, act, id=update_id)
        except RPCError as absent:
            if absent.status is not RPCStatusCode.NOT_FOUND:
                raise
            async with services.database.transaction() as session:
                now = await inspection_rows.look(session, found.row.id)
            if now.row.decided_at is not None:
                raise
            # The rows are there in the moment the goods are; the story is begun right after.
            raise Unavailable("the inspection is just being opened; repeat the request") from absent


async def _rule(
    services: Services, user: Caller, seen: Seen, found: Look, body: DecisionIn, update_id: str
) -> None:
    """The second inspector's decision is the ruling on the appeal."""
    if body.accepted + body.rejected != found.row.units or body.rework:
        raise InvalidInput(
            "an appeal accepts rejected units after all, or leaves them rejected",
            field="accepted",
            accepted=f"accepted and rejected: {found.row.units} in all, no rework",
        )
    said = said_by(user, seen, body.note).model_copy(update={"actor": Relation.INSPECTOR.value})
    act = LotAct(**said.model_dump(), granted=body.accepted, returned=body.returned)
    await tell(services, seen, Lot.rule, act, update_id)


async def _require_outsider(session: AsyncSession, lot_id: str, inspector_id: str) -> None:
    """Raises InvalidInput unless they may act and neither have a part in the lot nor count as somebody who has."""
    if not await production.may_inspect(session, inspector_id):
        raise InvalidInput(
            "nobody by this id can inspect",
            field="inspector_id",
            accepted="the id of a user whose account is not frozen",
        )
    found = await inspection_rows.newest(session, lot_id)
    if found is None:
        return
    sides = (
        found.lot.maker_id,
        found.lot.broker_id,
        found.terms.requester_id,
        found.terms.certifier_id,
    )
    if await kinship.tie(session, inspector_id, [each for each in sides if each]) is not None:
        raise InvalidInput(
            "this person has a part in the lot",
            field="inspector_id",
            accepted="somebody who has none",
        )
