"""Which webhooks are accepted, and that nothing a stranger sends gets another answer than a refusal."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from domain.errors import NotFound, WebhookRefused
from providers.base import PaymentProvider
from providers.registry import ProviderRegistry, build_providers
from providers.webhooks import (
    MAX_BODY_BYTES,
    LabelPayer,
    ParcelEvent,
    parse_event,
    verify,
    verify_carrier_webhook,
)
from runtime.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0"
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
EVENT = {
    "type": "payment.captured",
    "timestamp": "2026-05-04T11:59:59.5+00:00",
    "data": {"subject": "pay_1", "reference": "spay_1", "amount": 5},
}
BODY = json.dumps(EVENT).encode()
SCAN = {
    "type": "parcel.delivered",
    "timestamp": "2026-05-04T11:59:59Z",
    "data": {
        "tracking_number": "SF1234567890",
        "kind": "delivered",
        "label_paid_by": "seller",
        "occurred_at": "2026-05-04T19:59:59+08:00",
    },
}


def signed(
    body: bytes = BODY,
    *,
    secret: str = SECRET,
    event_id: str = "evt_1",
    timestamp: str | None = None,
) -> dict[str, str]:
    """Headers made by hand from the specification, not by the library under test."""
    stamp = timestamp if timestamp is not None else str(int(NOW.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{event_id}.{stamp}.".encode() + body
    digest = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{digest}",
    }


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in signed().items() if key != name}


def at(moment: datetime) -> str:
    return str(int(moment.timestamp()))


def test_the_published_example_verifies() -> None:
    """The worked example of the Standard Webhooks reference implementations."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    then = datetime.fromtimestamp(1614265330, UTC)
    assert verify(SECRET, headers, b'{"test": 2432232314}', then, 300).timestamp == then


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_within_the_tolerance(seconds: int) -> None:
    moment = NOW + timedelta(seconds=seconds)
    event_id, timestamp = verify(SECRET, signed(timestamp=at(moment)), BODY, NOW, 300)
    assert (event_id, timestamp) == ("evt_1", moment)


def test_now_may_be_in_another_zone_and_headers_in_capitals() -> None:
    shanghai = NOW.astimezone(tz=None)
    headers = {name.title(): value for name, value in signed().items()}
    assert verify(SECRET, headers, BODY, shanghai, 300).event_id == "evt_1"


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1a,abc v1,!!! v1 {headers['webhook-signature']}"
    assert verify(SECRET, headers, BODY, NOW, 300).event_id == "evt_1"


REFUSED = {
    "forged": signed(BODY + b" "),
    "signed with another key": signed(secret=OTHER_SECRET),
    "id of another event": {**signed(), "webhook-id": "evt_2"},
    "moved in time": {**signed(), "webhook-timestamp": at(NOW + timedelta(seconds=1))},
    "stale": signed(timestamp=at(NOW - timedelta(seconds=301))),
    "from the future": signed(timestamp=at(NOW + timedelta(seconds=301))),
    "an hour ahead": signed(timestamp=at(NOW + timedelta(hours=1))),
    "no headers": {},
    "no id": without("webhook-id"),
    "no timestamp": without("webhook-timestamp"),
    "no signature": without("webhook-signature"),
    "empty id": signed(event_id=""),
    "id with a line break": signed(event_id="evt\n1"),
    "id beyond the inbox": signed(event_id="e" * 256),
    "id not ASCII": signed(event_id="事件"),
    "timestamp a word": signed(timestamp="now"),
    "timestamp with a fraction": signed(timestamp=f"{at(NOW)}.5"),
    "timestamp not a number": signed(timestamp="nan"),
    "timestamp endless": signed(timestamp="inf"),
    "timestamp beyond dates": signed(timestamp="9" * 12),
    "timestamp huge": signed(timestamp="9" * 5_000),
    "timestamp negative": signed(timestamp="-1"),
    "timestamp padded": signed(timestamp=f"0{at(NOW)}"),
    "timestamp in other digits": signed(timestamp="١٧٧٧٨٩٦٠٠٠"),
    "signature of another version": {
        **signed(),
        "webhook-signature": signed()["webhook-signature"].replace("v1", "v2"),
    },
    "signature without version": {
        **signed(),
        "webhook-signature": signed()["webhook-signature"][3:],
    },
    "signature not base64": {**signed(), "webhook-signature": "v1,不"},
    "signature empty": {**signed(), "webhook-signature": "v1,"},
    "signature cut": {**signed(), "webhook-signature": signed()["webhook-signature"][:-6]},
    "signature after too many": {
        **signed(),
        "webhook-signature": "v1,AA== " * 20 + signed()["webhook-signature"],
    },
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
def test_refused_headers(headers: dict[str, str]) -> None:
    with pytest.raises(WebhookRefused):
        verify(SECRET, headers, BODY, NOW, 300)


BAD_BODIES = {
    "empty": b"",
    "not UTF-8": b'{"type": "\xff"}',
    "UTF-16": BODY.decode().encode("utf-16"),
    "not JSON": b"type=payment",
    "cut": BODY[:-1],
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "too deep": b"[" * 100_000,
    "too deep inside": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "NaN": BODY.replace(b'"amount": 5', b'"amount": NaN'),
    "Infinity": BODY.replace(b'"amount": 5', b'"amount": -Infinity'),
    "number of many digits": BODY.replace(b'"amount": 5', b'"amount": ' + b"9" * 10_000),
    "subject a huge number": BODY.replace(b'"pay_1"', b"9" * 400),
    "subject missing": BODY.replace(b'"subject"', b'"object"'),
    "subject null": BODY.replace(b'"pay_1"', b"null"),
    "subject empty": BODY.replace(b'"pay_1"', b'""'),
    "subject with spaces": BODY.replace(b"pay_1", b"pay 1"),
    "subject too long": BODY.replace(b"pay_1", b"p" * 256),
    "NUL": BODY.replace(b"pay_1", b"pay\\u0000"),
    "NUL elsewhere": BODY.replace(b"spay_1", b"spay\\u0000"),
    "half a character": BODY.replace(b"spay_1", b"\\ud800"),
    "type a list": BODY.replace(b'"payment.captured"', b'["payment.captured"]'),
    "data a list": BODY.replace(b'{"subject"', b'[{"subject"').replace(b"5}}", b"5}]}"),
    "time without zone": BODY.replace(b"+00:00", b""),
    "time a number": BODY.replace(b'"2026-05-04T11:59:59.5+00:00"', b"1777896000"),
    "time beyond dates": BODY.replace(b"2026-05-04T", b"99999-05-04T"),
    "too long": BODY[:-1] + b" " * MAX_BODY_BYTES + b"}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_refused_bodies_although_signed(body: bytes, provider: PaymentProvider) -> None:
    with pytest.raises(WebhookRefused):
        provider.verify_webhook(signed(body), body, NOW)


@pytest.fixture(scope="module")
def provider() -> PaymentProvider:
    chosen = Settings(sandbox_webhook_secret=SecretStr(SECRET))
    return build_providers(chosen).get("sandbox")


def test_an_event_is_read(provider: PaymentProvider) -> None:
    event = provider.verify_webhook(signed(), BODY, NOW)
    assert (event.event_id, event.kind, event.subject) == ("evt_1", "payment.captured", "pay_1")
    assert event.occurred_at == NOW - timedelta(seconds=0.5)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(body: bytes) -> None:
    verify_then_refuse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "timestamp", "data", "subject", "x"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_any_json_is_an_event_or_refused(value: object) -> None:
    verify_then_refuse(json.dumps(value).encode())


def verify_then_refuse(body: bytes) -> None:
    """Nothing but an event or a refusal may come of it."""
    try:
        verify(SECRET, signed(body), body, NOW, 300)
        parse_event("evt_1", body)
    except WebhookRefused:
        pass


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x"]), st.text()
    )
)
def test_any_headers_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(WebhookRefused):
        verify(SECRET, headers, BODY, NOW, 300)


def scan_of(body: bytes, carrier: str = "sandbox", secret: str = SECRET) -> ParcelEvent:
    secrets = {"sandbox": SecretStr(SECRET)}
    headers = signed(body, secret=secret)
    return verify_carrier_webhook(carrier, secrets, headers, body, NOW, 300).kind


def test_a_scan_is_read() -> None:
    body = json.dumps(SCAN).encode()
    secrets = {"sandbox": SecretStr(SECRET)}
    event = verify_carrier_webhook("sandbox", secrets, signed(body), body, NOW, 300)
    assert (event.carrier, event.event_id) == ("sandbox", "evt_1")
    assert event.tracking_number == "SF1234567890"
    assert (event.kind, event.label_paid_by) == (ParcelEvent.DELIVERED, LabelPayer.SELLER)
    assert event.occurred_at == NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"delivered"', '"vanished"'),
        ('"seller"', '"buyer"'),
        ("SF1234567890", ""),
        ("+08:00", ""),
        ("tracking_number", "tracking"),
    ],
)
def test_a_malformed_scan_is_refused(old: str, new: str) -> None:
    with pytest.raises(WebhookRefused):
        scan_of(json.dumps(SCAN).replace(old, new).encode())


def test_a_forged_scan_and_an_unknown_carrier() -> None:
    body = json.dumps(SCAN).encode()
    with pytest.raises(WebhookRefused):
        scan_of(body, secret=OTHER_SECRET)
    with pytest.raises(NotFound):
        scan_of(body, carrier="pigeon")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "whsec_秘密", "whsec_YQ"])
def test_a_malformed_secret_is_our_mistake_and_stays_secret(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^a webhook secret must be whsec_ followed by base64$"):
        verify(secret, signed(), BODY, NOW, 300)


def test_the_registry_knows_its_codes() -> None:
    registry = build_providers(Settings())
    assert registry.codes == ["sandbox"]
    assert registry.get("sandbox").max_hold_days == 180
    with pytest.raises(NotFound):
        registry.get("bank-of-nowhere")
    with pytest.raises(NotFound):
        build_providers(Settings(provider="bank-of-nowhere"))


async def test_the_registry_closes_its_connections() -> None:
    async with build_providers(Settings()) as registry:
        assert isinstance(registry, ProviderRegistry)
        provider = registry.get("sandbox")
    with pytest.raises(RuntimeError):
        await provider.get_payment("spay_1")
