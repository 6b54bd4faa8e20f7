"""The start page and its forms: switches, the payee's bank, the carrier, the webhook log. No API key."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from providers.sandbox_server import behaviours, disputes, events, hosted, parcels, payouts
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import (
    AdvancePayout,
    Body,
    CloseDispute,
    NewBehaviour,
    NewParcel,
    NewScan,
)
from providers.sandbox_server.startpage import evidence_page, start_page
from providers.sandbox_server.web import Running

Model = TypeVar("Model", bound=Body)

router = APIRouter(include_in_schema=False, dependencies=[Depends(hosted.refuse_other_sites)])


@router.get("/")
async def show_start(box: Running) -> Response:
    """What this is, what it holds, and its switches."""
    with box.store.reading() as tx:
        return start_page(box, tx)


def _back() -> Response:
    return RedirectResponse("/", status_code=303)


async def _fields(request: Request) -> dict[str, str]:
    """The filled-in fields of a form; empty ones count as left out."""
    sent = await request.form()
    return {name: value for name, value in sent.items() if isinstance(value, str) and value}


Fields = Annotated[dict[str, str], Depends(_fields)]


def _read(kind: type[Model], fields: dict[str, str]) -> Model:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(422, "invalid_request", f"{where}: {first['msg']}") from error


@router.post("/ui/behaviours")
async def switch_on(fields: Fields, box: Running) -> Response:
    """Switches a misbehaviour on; the drop-down sends operation and effect as one value."""
    operation, _, effect = fields.pop("what", "").partition(":")
    wish = _read(NewBehaviour, {**fields, "operation": operation, "effect": effect})
    with box.store.transaction() as tx:
        behaviours.add(tx, wish)
    return _back()


@router.post("/ui/behaviours/{behaviour_id}/off")
async def switch_off(behaviour_id: int, box: Running) -> Response:
    """Switches a misbehaviour off."""
    with box.store.transaction() as tx:
        behaviours.remove(tx, behaviour_id)
    return _back()


@router.post("/ui/payouts/{reference}")
async def move_payout(reference: str, fields: Fields, box: Running) -> Response:
    """Plays the payee's bank."""
    step = _read(AdvancePayout, fields)
    with box.store.transaction() as tx:
        payouts.advance(tx, reference, step)
    return _back()


@router.post("/ui/disputes/{reference}")
async def decide_dispute(reference: str, fields: Fields, box: Running) -> Response:
    """Plays the payer's bank, also when it decides anew."""
    verdict = _read(CloseDispute, {**fields, "anew": "true"})
    with box.store.transaction() as tx:
        disputes.close(tx, reference, verdict)
    return _back()


@router.get("/ui/disputes/{reference}")
async def show_evidence(reference: str, box: Running) -> Response:
    """What was handed in to a dispute."""
    with box.store.reading() as tx:
        return evidence_page(disputes.evidence(tx, reference))


@router.post("/ui/deliveries/{delivery_id}")
async def send_again(delivery_id: int, box: Running) -> Response:
    """Sends a webhook again."""
    with box.store.transaction() as tx:
        events.redeliver(tx, delivery_id)
    return _back()


@router.post("/ui/parcels")
async def hand_over(fields: Fields, box: Running) -> Response:
    """Registers a parcel."""
    wish = _read(NewParcel, fields)
    with box.store.transaction() as tx:
        parcels.register(tx, wish)
    return _back()


@router.post("/ui/parcels/{tracking_number}")
async def scan_by_hand(tracking_number: str, fields: Fields, box: Running) -> Response:
    """Scans a parcel."""
    wish = _read(NewScan, fields)
    with box.store.transaction() as tx:
        parcels.scan(tx, tracking_number, wish)
    return _back()
