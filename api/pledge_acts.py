"""What backers do with a pledge they have made: change it, take it back, mend a charge that failed."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.pledge_pages import page_of_charge, present
from api.pledges import PRICE_REFUSALS, ThisPledge, seen_pledge
from api.policy import require_active, unknown
from api.schemas.pledges import PledgeView, SelectionIn
from api.schemas.sales import Note
from api.services import ServicesDep
from api.temporal import answered_within
from db import pledge_changes, pledge_rows, pledge_states
from db.queries import pledges
from db.queries.pledges import PledgeRows
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    Forbidden,
    LimitReached,
    NotFound,
    ProviderMismatch,
    ProviderRefused,
    TooLate,
    Unavailable,
    WrongPhase,
)
from domain.pledge import PledgeState
from workflows.names import pledge_workflow_id
from workflows.pledge import Pledge

router = APIRouter(prefix="/v1/pledges/{pledge_id}", tags=["pledges"])
_ACT = (Forbidden, NotFound, WrongPhase)


@router.post(
    "/change",
    operation_id="changePledge",
    summary="Choose something else, or give more or less",
    response_model=PledgeView,
    responses=problems(
        *_ACT, *PRICE_REFUSALS, AccountFrozen, ProviderRefused, TooLate, Unavailable
    ),
)
async def change_pledge(
    pledge_id: ThisPledge,
    body: SelectionIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """Free until the deadline of its round; afterwards, while pledges are taken, only for more.

    A saved pledge changes at once. So does a paid one, and what it costs less goes back; what it costs more is paid on
    the page of `to_do`, and until then the former choice stands and the seats of both are reserved.
    """
    require_active(user)
    seen = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)

    async def change(act_id: str) -> PledgeView:
        key = f"{pledge_id}/change/{act_id}"
        async with services.database.transaction() as session:
            known = await pledge_states.happened(session, key)
            if not known:
                ground = await pledge_rows.ground(session, seen.pledge.campaign_id, arrival)
                row = await pledge_rows.locked(session, pledge_id)
                await pledge_changes.change(
                    session,
                    ground,
                    row,
                    body.wish(),
                    key=key,
                    provider=services.settings.provider,
                )
            rows = await _again(session, pledge_id)
        if rows.pending is not None and rows.pending.operation_id == key:
            rows.pending.checkout_url = await present(
                services,
                pledge_rows.Page.of(rows.pending),
                title=rows.title,
                return_url=str(
                    body.return_url or f"{services.settings.api_url}/v1/pledges/{pledge_id}"
                ),
                asked_before=known,
            )
        return PledgeView.of(rows, own=True)

    return await once.resumable("act", body, change, status=200)


@router.post(
    "/cancel",
    operation_id="cancelPledge",
    summary="Take the pledge back",
    response_model=PledgeView,
    responses=problems(*_ACT, TooLate),
)
async def cancel_pledge(
    pledge_id: ThisPledge,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """Until the deadline of the round in which it was made: the card is forgotten, or the money goes back.

    Its seats are free at once.
    """
    seen = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)

    async def cancel(session: AsyncSession, act_id: str) -> PledgeView:
        ground = await pledge_rows.ground(session, seen.pledge.campaign_id, arrival)
        row = await pledge_rows.locked(session, pledge_id)
        await pledge_changes.cancel(
            session, ground, row, key=f"{pledge_id}/cancel/{act_id}", note=body.note
        )
        return PledgeView.of(await _again(session, pledge_id), own=True)

    return await once.in_transaction("act", body, cancel, status=200)


@router.post(
    "/mend",
    operation_id="mendPledge",
    summary="Where a charge that failed can be paid with another card",
    response_model=PledgeView,
    responses=problems(*_ACT, ProviderMismatch, Unavailable),
)
async def mend_pledge(
    pledge_id: ThisPledge, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Until the time in `to_do`; then the card is tried a last time, and the pledge dropped if that fails."""
    rows = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)

    async def mend(_: str) -> PledgeView:
        _require_errored(rows)
        if rows.payment is None:
            raise WrongPhase("there is no charge to pay", field="state")
        rows.payment.checkout_url = await page_of_charge(
            services, pledge_rows.Page.of(rows.payment)
        )
        return PledgeView.of(rows, own=True)

    return await once.resumable("act", "", mend, status=200)


@router.post(
    "/retry",
    operation_id="retryPledge",
    summary="Try the saved card once more, now",
    response_model=PledgeView,
    responses=problems(*_ACT, LimitReached, TooLate, Unavailable),
)
async def retry_pledge(
    pledge_id: ThisPledge, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """For a card that has money again. A few times a day, until the time in `to_do`."""
    rows = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)

    async def retry(act_id: str) -> PledgeView:
        _require_errored(rows)
        handle = services.temporal.get_workflow_handle(pledge_workflow_id(pledge_id))
        async with answered_within(services.settings.request_timeout_seconds):
            await handle.execute_update(Pledge.retry, id=act_id)
        return PledgeView.of(await seen_pledge(services, user, pledge_id), own=True)

    return await once.resumable("act", "", retry, status=200)


def _require_errored(rows: PledgeRows) -> None:
    if rows.pledge.state != PledgeState.ERRORED:
        raise WrongPhase(
            f"the pledge is {rows.pledge.state}", field="state", accepted=PledgeState.ERRORED
        )


async def _again(session: AsyncSession, pledge_id: str) -> PledgeRows:
    rows = await pledges.pledge(session, pledge_id)
    if rows is None:
        raise unknown("pledge")
    return rows
