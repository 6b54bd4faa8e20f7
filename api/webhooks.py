"""Webhooks of payment companies and carriers: verified, kept once in the inbox, handed on, answered at once.

A webhook only says "look": nothing is posted from its words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Request
from pydantic import Field

from api.errors import ContentTooLarge, problems
from api.schemas.base import View
from api.services import Services, ServicesDep
from db import inbox
from db.wakeups import CARRIER_PREFIX, wakeup_for
from domain.errors import NotFound, Unavailable, WebhookRefused
from domain.time import utc_now
from providers.webhooks import verify_carrier_webhook
from runtime.temporal import Tell, Wake, send
from runtime.temporal_errors import domain_error_of

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
log = structlog.get_logger()

_HAND_ON_SECONDS = 3
"""Payment companies want an answer within 5 seconds."""


class Received(View):
    """The webhook is safe in the inbox."""

    received: bool = True
    known: bool = Field(description="Whether this event had come before.")


class _Incoming(View):
    event_id: str
    kind: str
    subject: str


Code = Annotated[str, Path(max_length=32, pattern="^[a-z][a-z0-9_-]*$")]


@router.post(
    "/carriers/{carrier}",
    operation_id="receiveCarrierWebhook",
    summary="A carrier's scan",
    responses=problems(WebhookRefused, NotFound, ContentTooLarge),
)
async def carrier_webhook(carrier: Code, request: Request, services: ServicesDep) -> Received:
    """Signed per Standard Webhooks with the carrier's secret."""
    body = await request.body()

    def verify() -> _Incoming:
        scan = verify_carrier_webhook(
            carrier,
            services.settings.carrier_webhook_secrets,
            request.headers,
            body,
            utc_now(),
            services.settings.webhook_tolerance_seconds,
        )
        return _Incoming(event_id=scan.event_id, kind=scan.kind, subject=scan.tracking_number)

    return await _receive(services, f"{CARRIER_PREFIX}{carrier}", body, verify)


@router.post(
    "/{provider}",
    operation_id="receiveProviderWebhook",
    summary="A payment company's webhook",
    responses=problems(WebhookRefused, NotFound, ContentTooLarge),
)
async def provider_webhook(provider: Code, request: Request, services: ServicesDep) -> Received:
    """Signed the way the payment company signs."""
    body = await request.body()
    company = services.providers.get(provider)

    def verify() -> _Incoming:
        event = company.verify_webhook(request.headers, body, utc_now())
        return _Incoming(event_id=event.event_id, kind=event.kind, subject=event.subject)

    return await _receive(services, provider, body, verify)


async def _receive(
    services: Services, source: str, body: bytes, verify: Callable[[], _Incoming]
) -> Received:
    try:
        event = verify()
    except WebhookRefused as refused:
        async with services.database.transaction() as session:
            await inbox.keep_rejected(session, source=source, reason=refused.detail, body=body)
        raise
    async with services.database.transaction() as session:
        row = await inbox.keep(
            session,
            source=source,
            event_id=event.event_id,
            kind=event.kind,
            subject=event.subject,
            body=body,
        )
        wakeup = await wakeup_for(session, row, services.settings) if row else None
    if wakeup is not None:
        await _hand_on(services, wakeup)
    return Received(known=row is None)


async def _hand_on(services: Services, wakeup: Wake | Tell) -> None:
    """A workflow service that is down is no reason to refuse the webhook: the inbox delivers it again."""
    try:
        async with asyncio.timeout(_HAND_ON_SECONDS):
            await send(services.temporal, services.settings.temporal_task_queue, wakeup)
    except Exception as missed:
        if not isinstance(missed, TimeoutError | Unavailable) and domain_error_of(missed) is None:
            raise
        log.warning("webhook kept, workflow not woken yet", reason=str(missed))
