"""Driving the sandbox: misbehaviours, commands, the webhook log and the carrier face."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from providers.sandbox_server import (
    behaviours,
    disputes,
    events,
    parcels,
    payees,
    payments,
    payouts,
    refunds,
)
from providers.sandbox_server.records import (
    AdvancePayee,
    AdvancePayout,
    AdvanceRefund,
    Behaviour,
    CloseDispute,
    Delivery,
    Dispute,
    Endpoint,
    Evidence,
    NewBehaviour,
    NewDispute,
    NewParcel,
    NewScan,
    Parcel,
    Payee,
    PaymentView,
    Payout,
    Refund,
)
from providers.sandbox_server.web import Running, require_api_key

router = APIRouter(prefix="/v1", dependencies=[Depends(require_api_key)])
carrier = APIRouter(prefix="/carrier")
"""No API key: a person or the demo plays the carrier."""

Limit = Annotated[int, Query(ge=1, le=100)]


class Behaviours(BaseModel):
    data: list[Behaviour]


class Deliveries(BaseModel):
    data: list[Delivery]


class Disputes(BaseModel):
    data: list[Dispute]


@router.post("/behaviours", status_code=201)
async def add_behaviour(wish: NewBehaviour, box: Running) -> Behaviour:
    """Switches a misbehaviour on."""
    with box.store.transaction() as tx:
        return behaviours.add(tx, wish)


@router.get("/behaviours")
async def list_behaviours(box: Running) -> Behaviours:
    """The misbehaviours that are still on."""
    with box.store.reading() as tx:
        return Behaviours(data=behaviours.listed(tx))


@router.delete("/behaviours", status_code=204)
async def clear_behaviours(box: Running) -> None:
    """Switches all misbehaviours off."""
    with box.store.transaction() as tx:
        behaviours.clear(tx)


@router.delete("/behaviours/{behaviour_id}", status_code=204)
async def remove_behaviour(behaviour_id: int, box: Running) -> None:
    """Switches one misbehaviour off."""
    with box.store.transaction() as tx:
        behaviours.remove(tx, behaviour_id)


@router.post("/payments/{reference}/advance")
async def advance_payment(reference: str, box: Running) -> PaymentView:
    """Settles a captured payment that was told to settle later."""
    with box.store.transaction() as tx:
        return box.view(payments.advance(tx, reference))


@router.post("/payments/{reference}/dispute", status_code=201)
async def dispute_payment(
    reference: str, box: Running, wish: Annotated[NewDispute | None, Body()] = None
) -> Dispute:
    """The payer's bank takes the money back."""
    with box.store.transaction() as tx:
        return disputes.open_dispute(tx, reference, wish or NewDispute())


@router.get("/disputes")
async def list_disputes(
    box: Running, payment_reference: str | None = None, limit: Limit = 20
) -> Disputes:
    """Disputes, newest first."""
    with box.store.reading() as tx:
        return Disputes(data=disputes.listed(tx, payment_reference, limit))


@router.get("/disputes/{reference}")
async def get_dispute(reference: str, box: Running) -> Dispute:
    """One dispute."""
    with box.store.reading() as tx:
        return disputes.get(tx, reference)


@router.get("/disputes/{reference}/evidence")
async def get_evidence(reference: str, box: Running) -> Evidence:
    """What was handed in to a dispute."""
    with box.store.reading() as tx:
        return disputes.evidence(tx, reference)


@router.post("/disputes/{reference}/close")
async def close_dispute(reference: str, verdict: CloseDispute, box: Running) -> Dispute:
    """The bank decides for or against us."""
    with box.store.transaction() as tx:
        return disputes.close(tx, reference, verdict)


@router.post("/refunds/{reference}/advance")
async def advance_refund(
    reference: str, box: Running, step: Annotated[AdvanceRefund | None, Body()] = None
) -> Refund:
    """Ends a pending refund; succeeded when nothing is said."""
    with box.store.transaction() as tx:
        return refunds.advance(tx, reference, step or AdvanceRefund())


@router.post("/payouts/{reference}/advance")
async def advance_payout(reference: str, step: AdvancePayout, box: Running) -> Payout:
    """Pays, fails or returns a payout."""
    with box.store.transaction() as tx:
        return payouts.advance(tx, reference, step)


@router.post("/payees/{reference}/advance")
async def advance_payee(reference: str, step: AdvancePayee, box: Running) -> Payee:
    """Verifies, restricts or rejects a payee."""
    with box.store.transaction() as tx:
        return payees.advance(tx, reference, step)


@router.get("/deliveries")
async def list_deliveries(
    box: Running, subject: str | None = None, limit: Limit = 50
) -> Deliveries:
    """The webhook log, newest first."""
    with box.store.reading() as tx:
        return Deliveries(data=events.listed(tx, limit, subject))


@router.post("/deliveries/{delivery_id}/redeliver")
async def redeliver(delivery_id: int, box: Running) -> Delivery:
    """Sends a webhook again."""
    with box.store.transaction() as tx:
        return events.redeliver(tx, delivery_id)


@router.get("/webhook-endpoint")
async def get_endpoint(box: Running) -> Endpoint:
    """Where webhooks go."""
    with box.store.reading() as tx:
        return events.endpoint(tx)


@router.put("/webhook-endpoint")
async def set_endpoint(wish: Endpoint, box: Running) -> Endpoint:
    """Sends webhooks elsewhere from the next attempt on, also those already queued."""
    with box.store.transaction() as tx:
        return events.set_endpoint(tx, wish)


@router.delete("/webhook-endpoint")
async def reset_endpoint(box: Running) -> Endpoint:
    """Back to the configured addresses."""
    with box.store.transaction() as tx:
        return events.reset_endpoint(tx)


@carrier.post("/parcels", response_model=Parcel)
async def register_parcel(wish: NewParcel, box: Running) -> Response:
    """A parcel is handed over with its label."""
    with box.store.transaction() as tx:
        parcel, new = parcels.register(tx, wish)
    return JSONResponse(parcel.model_dump(mode="json"), status_code=201 if new else 200)


@carrier.get("/parcels/{tracking_number}")
async def get_parcel(tracking_number: str, box: Running) -> Parcel:
    """Where a parcel is."""
    with box.store.reading() as tx:
        return parcels.get(tx, tracking_number)


@carrier.post("/parcels/{tracking_number}/scans", status_code=201)
async def scan_parcel(tracking_number: str, wish: NewScan, box: Running) -> Parcel:
    """The carrier scans a parcel and reports it to the platform."""
    with box.store.transaction() as tx:
        return parcels.scan(tx, tracking_number, wish)
