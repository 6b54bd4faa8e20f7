"""One-tap links: a maker says one thing about a lot without signing in. Whoever has the link can do what it does, once.

Looking never acts, since phones and messengers open links by themselves. The token is the idempotency key: a POST that
is repeated gets the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Response
from starlette.responses import JSONResponse
from temporalio.service import RPCError, RPCStatusCode

from api.acts import tell
from api.errors import problems
from api.lot_acts import LotUpdate
from api.schemas.notices import TapView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db import idempotency, notices
from db.notices import Tapped
from db.queries import paths
from db.queries.paths import Seen
from domain.errors import DomainError, Forbidden, InvalidInput, NotFound, TooLate, WrongPhase
from domain.lot import Parcel
from domain.notices import was_done, would_do
from domain.production_messages import LotAct
from domain.taps import Does, Tap, hand_in_of, outdated, read_token, tap_key
from runtime.logging import bind
from workflows.lot import Lot

router = APIRouter(prefix="/v1/taps", tags=["notices"])
Token = Annotated[
    str,
    Path(
        max_length=200,
        description="As the link carries it.",
        examples=["AaIJwiLCc_CldGQDJo1W_wEAAAAAAAAGaR9-gFv3zQy1n2lJ0Wv8V3x9Uxk"],
    ),
]
_UPDATES: Mapping[Does, LotUpdate] = {
    Does.KIT_RECEIVED: Lot.receive_kit,
    Does.WORKING: Lot.report,
    Does.ALL_SENT: Lot.send_goods,
    Does.AGREED: Lot.accept_decision,
}
_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@router.get(
    "/{token}",
    operation_id="lookAtTap",
    summary="What the link would do",
    response_model=TapView,
    responses=problems(Forbidden, NotFound, TooLate, WrongPhase),
)
async def look(token: Token, services: ServicesDep) -> Response:
    """In words, in the language of whom it was sent to. Nothing happens by looking, however often."""
    found = _read(services, token)
    async with services.database.reading() as session:
        met = _met(await notices.tapped(session, found))
        begun = await idempotency.kept(session, met.user_id, tap_key(token))
    if begun is not None and begun.answer is not None:
        return JSONResponse(begun.answer.body, headers=_NO_STORE)
    if refused := _refusal(found, met):
        raise refused
    view = _view(found, met, done=False)
    return JSONResponse(view.model_dump(mode="json"), headers=_NO_STORE)


@router.post(
    "/{token}",
    operation_id="tap",
    summary="Do what the link does",
    response_model=TapView,
    responses=problems(Forbidden, InvalidInput, NotFound, TooLate, WrongPhase),
)
async def tap(token: Token, services: ServicesDep) -> Response:
    """As the maker, exactly once: a repeated request gets the same answer, also after the link's end."""
    found, key = _read(services, token), tap_key(token)
    bind(path_id=found.lot_id)
    async with services.database.transaction() as session:
        met = _met(await notices.tapped(session, found))
        begun = await idempotency.kept(session, met.user_id, key)
        if begun is not None and begun.answer is not None:
            return JSONResponse(begun.answer.body, headers=_NO_STORE)
        refused = _refusal(found, met)
        if begun is None:
            if refused is not None:
                raise refused
            await idempotency.claim(session, met.user_id, key, key, key)
        seen = await paths.seen_by(session, found.lot_id, met.user_id)
    if seen is None:
        raise _no_lot()
    if refused is None:
        # A try that was cut off is gone on with: the story knows the update by the token and does it once.
        await _act(services, found, met, seen, key)
    else:
        await _hear(services, seen, key, refused)
    view = _view(found, met, done=True).model_dump(mode="json")
    async with services.database.transaction() as session:
        await idempotency.store(session, met.user_id, key, idempotency.Answer(200, view))
    return JSONResponse(view, headers=_NO_STORE)


async def _hear(services: Services, seen: Seen, key: str, refused: DomainError) -> None:
    """The story's answer to a former try that was cut off. Raises `refused` when no try has come as far as the story."""
    handle = services.temporal.get_workflow_handle(seen.workflow_id)
    async with answered_within(services.settings.request_timeout_seconds):
        try:
            await handle.get_update_handle(key).result()
        except RPCError as unknown:
            if unknown.status is RPCStatusCode.NOT_FOUND:
                raise refused from None
            raise


async def _act(services: Services, found: Tap, met: Tapped, seen: Seen, key: str) -> None:
    """Tells the lot's story, in the same way as the signed-in maker or broker would. Raises what it refuses."""
    sends = found.does is Does.ALL_SENT
    said = LotAct(
        actor="maker",
        user_id=met.lot.broker_id if found.by_broker else met.user_id,
        note="by a link",
        phase_seen=seen.phase,
        hand_in=hand_in_of(met.course) if sends else None,
        parcel=Parcel() if sends else None,
    )
    await tell(services, seen, _UPDATES[found.does], said, key)


def _read(services: Services, token: str) -> Tap:
    return read_token(services.settings.tap_key.get_secret_value().encode(), token)


def _met(met: Tapped | None) -> Tapped:
    if met is None:
        raise _no_lot()
    return met


def _no_lot() -> NotFound:
    return NotFound("there is no such lot")


def _refusal(found: Tap, met: Tapped) -> DomainError | None:
    """Why the link cannot be used: the broker acts no more, it has expired, or its lot has gone on. None when it can."""
    if not met.may_act:
        return Forbidden(
            "the worker has ended the consent to act for them",
            field="token",
            accepted="the worker's own link",
        )
    if met.now >= found.expires_at:
        return TooLate(
            f"the link has expired at {found.expires_at.isoformat()}",
            field="token",
            accepted="the link of a newer notice, or signing in",
        )
    return outdated(found, met.path.phase, met.course)


def _view(found: Tap, met: Tapped, *, done: bool) -> TapView:
    if done:
        words = was_done(met.title, met.lot.units, met.course, met.reader)
    else:
        words = would_do(found.does, met.title, met.lot.units, met.course, met.reader)
    return TapView(
        lot_id=found.lot_id,
        does=found.does,
        language=met.reader.language,
        words=words,
        done=done,
        expires_at=found.expires_at,
    )
