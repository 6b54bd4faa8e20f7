"""Webhooks that reach us, from payment companies and carriers: Standard Webhooks on the raw bytes.

Whether an event was seen before is not decided here: the inbox keeps every `event_id` for ever.
Source of the format: https://www.standardwebhooks.com (headers webhook-id, webhook-timestamp, webhook-signature).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, StringConstraints, ValidationError
from pydantic_core import from_json
from standardwebhooks import Webhook

from domain.errors import NotFound, WebhookRefused
from domain.model import Instant, Message
from providers.base import ProviderEvent

MAX_BODY_BYTES = 262_144
"""Largest webhook body that is looked at."""
MAX_SIGNATURES = 16
"""Most signatures in one header that are tried; more than one appears while a sender rotates its key."""

_EVENT_ID = re.compile(r"[\x21-\x7e]{1,255}")
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,10}")
_Token = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]


class Verified(NamedTuple):
    """What the signed headers of a webhook say."""

    event_id: str
    timestamp: datetime
    """When this attempt was sent, in UTC."""


class ParcelEvent(StrEnum):
    """What a carrier reports about a parcel."""

    REGISTERED = "registered"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    LOST = "lost"


class LabelPayer(StrEnum):
    """Who paid the shipping label, and so who bears a loss."""

    SELLER = "seller"
    PLATFORM = "platform"


class CarrierEvent(Message):
    """A verified scan of a parcel."""

    event_id: str
    carrier: str
    tracking_number: str
    kind: ParcelEvent
    label_paid_by: LabelPayer
    occurred_at: Instant


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class _EventData(_Strict):
    subject: _Token


class _Event(_Strict):
    type: _Token
    timestamp: Instant
    data: _EventData


class _ScanData(_Strict):
    tracking_number: _Token
    kind: ParcelEvent
    label_paid_by: LabelPayer
    occurred_at: Instant


class _Scan(_Strict):
    type: _Token
    timestamp: Instant
    data: _ScanData


_Model = TypeVar("_Model", bound=_Strict)


def webhook_key(secret: str) -> Webhook:
    """The key of a `whsec_…` secret. Raises ValueError, without showing it, when it is malformed."""
    try:
        return Webhook(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except Exception as error:
        raise ValueError("a webhook secret must be whsec_ followed by base64") from error


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, now: datetime, tolerance_seconds: int
) -> Verified:
    """Checks signature and time of a webhook on its raw bytes.

    `now` (with a zone) decides, not the machine's clock: the timestamp may lie at most `tolerance_seconds` before
    or after it. Raises WebhookRefused for anything the sender did wrong, ValueError for a malformed secret.
    """
    key = webhook_key(secret)
    given = {name.lower(): value for name, value in headers.items()}
    event_id = _header(given, "webhook-id", _EVENT_ID)
    timestamp = datetime.fromtimestamp(int(_header(given, "webhook-timestamp", _TIMESTAMP)), UTC)
    if abs((now - timestamp).total_seconds()) > tolerance_seconds:
        raise WebhookRefused(
            "the timestamp is too far from now",
            field="webhook-timestamp",
            accepted=f"a time within {tolerance_seconds} s of now",
        )
    # The library's own verify() asks the wall clock, so only its signing half is used.
    expected = key.sign(event_id, timestamp, _text(body))
    if not any(_same(expected, each) for each in _signatures(given)):
        raise WebhookRefused("no signature fits", field="webhook-signature")
    return Verified(event_id, timestamp)


def _header(given: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = given.get(name, "")
    if not form.fullmatch(value):
        raise WebhookRefused(f"{name} is missing or malformed", field=name)
    return value


def _text(body: bytes) -> str:
    if len(body) > MAX_BODY_BYTES:
        raise WebhookRefused(f"a webhook has at most {MAX_BODY_BYTES} bytes", field="body")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise WebhookRefused("the body is not UTF-8", field="body") from None


def _signatures(given: Mapping[str, str]) -> list[bytes]:
    """The well-formed version-1 signatures of the header."""
    found = []
    for each in given.get("webhook-signature", "").split(" ", MAX_SIGNATURES)[:MAX_SIGNATURES]:
        version, _, encoded = each.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found


def _same(expected: str, signature: bytes) -> bool:
    return hmac.compare_digest(base64.b64decode(expected.partition(",")[2]), signature)


def _parse(model: type[_Model], body: bytes) -> _Model:
    text = _text(body)
    if "\\u0000" in text or "\0" in text:
        # PostgreSQL cannot store this character, so the inbox could not keep the event.
        raise WebhookRefused("the body holds a NUL character", field="body")
    try:
        from_json(text, allow_inf_nan=False)
        return model.model_validate_json(text)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise WebhookRefused(
            f"the body has no acceptable {where or 'JSON'}", field=where or "body"
        ) from None
    except (ValueError, RecursionError):
        raise WebhookRefused("the body is not acceptable JSON", field="body") from None


def parse_event(event_id: str, body: bytes) -> ProviderEvent:
    """The event in the body of a webhook that `verify` accepted. Raises WebhookRefused."""
    event = _parse(_Event, body)
    return ProviderEvent(
        event_id=event_id,
        kind=event.type,
        subject=event.data.subject,
        occurred_at=event.timestamp,
    )


def verify_carrier_webhook(
    carrier: str,
    secrets: Mapping[str, SecretStr],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance_seconds: int,
) -> CarrierEvent:
    """A carrier's scan, checked like `verify` with that carrier's secret.

    Raises NotFound for a carrier we have no secret of, WebhookRefused for everything else that is wrong.
    """
    if carrier not in secrets:
        raise NotFound("no such carrier")
    secret = secrets[carrier].get_secret_value()
    event_id, _timestamp = verify(secret, headers, body, now, tolerance_seconds)
    scan = _parse(_Scan, body).data
    return CarrierEvent(
        event_id=event_id,
        carrier=carrier,
        tracking_number=scan.tracking_number,
        kind=scan.kind,
        label_paid_by=scan.label_paid_by,
        occurred_at=scan.occurred_at,
    )
