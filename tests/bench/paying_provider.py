"""A payment company of which every process has a copy: it keeps nothing, what it made is written in its references."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from providers.base import (
    ChargeRequest,
    PaymentRequest,
    PaymentStatus,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    RefundStatus,
)
from providers.webhooks import parse_event, verify
from tests.bench.instant_provider import InstantProvider

SECRET = "whsec_" + base64.b64encode(b"a secret of the benchmarks").decode()


class PayingProvider(InstantProvider):
    """Pages are paid as soon as they are looked at, cards have money, refunds arrive; its webhooks are signed."""

    async def create_payment(self, request: PaymentRequest) -> ProviderPayment:
        """A page; the reference holds all there is to know."""
        return _payment(request, PaymentStatus.OPEN)

    async def get_payments(self, references: Sequence[str]) -> list[ProviderPayment]:
        """All paid."""
        return [_payment(_request(each), PaymentStatus.CAPTURED) for each in references]

    async def charge(self, request: ChargeRequest) -> ProviderPayment:
        """Paid at once."""
        asked = PaymentRequest.model_validate(request.model_dump())
        return _payment(asked, PaymentStatus.CAPTURED)

    async def create_refund(self, request: RefundRequest) -> ProviderRefund:
        """Sent at once."""
        return ProviderRefund(
            reference=f"iref_{request.subject}",
            operation_id=request.operation_id,
            subject=request.subject,
            status=RefundStatus.SUCCEEDED,
            amount=request.amount,
            currency=request.currency,
        )

    def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderEvent:
        """Checked as a real one is."""
        event_id, _ = verify(SECRET, headers, body, now, 300)
        return parse_event(event_id, body)


def signed(event_id: str, kind: str, subject: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a webhook as this payment company sends it."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    body = json.dumps({"type": kind, "timestamp": stamp, "data": {"subject": subject}}).encode()
    seconds, key = str(int(now)), base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, b".".join((event_id.encode(), seconds.encode(), body)), hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(digest.digest()).decode()}",
    }
    return headers, body


def _payment(request: PaymentRequest, status: PaymentStatus) -> ProviderPayment:
    reference = base64.urlsafe_b64encode(request.model_dump_json().encode()).decode()
    return ProviderPayment(
        reference=reference,
        operation_id=request.operation_id,
        subject=request.subject,
        status=status,
        amount=request.amount,
        currency=request.currency,
        checkout_url=f"http://127.0.0.1/{request.subject}",
        settled=status is PaymentStatus.CAPTURED,
    )


def _request(reference: str) -> PaymentRequest:
    return PaymentRequest.model_validate_json(base64.urlsafe_b64decode(reference))
