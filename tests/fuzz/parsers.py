"""`python -m tests.fuzz.parsers [-runs=N] [-seed=S]`: coverage-guided fuzzing of what strangers send.

Webhook headers and bodies of payment companies and carriers, and one-tap links: whatever the bytes, the answer is an
event, or a refusal. atheris runs on Linux on x86_64 only; elsewhere this says so and ends.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from domain import taps
from domain.errors import DomainError
from domain.taps import read_token
from providers import webhooks
from providers.sandbox_server.events import signed_headers
from providers.webhooks import parse_event, verify, verify_carrier_webhook

SECRET = "whsec_dGVzdC13ZWJob29rLXNlY3JldA=="
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
TOLERANCE = 300
_TAP_KEY = b"k" * 32
EVENT = b'{"type": "payment.captured", "timestamp": "2026-05-04T11:59:59+00:00", "data": {"subject": "pay_1"}}'
SCAN = (
    b'{"type": "parcel.scanned", "timestamp": "2026-05-04T11:59:59+00:00", "data": {"tracking_number":'
    b' "SF1", "kind": "delivered", "label_paid_by": "seller", "occurred_at": "2026-05-04T11:00:00+00:00"}}'
)


def whatever_comes(data: bytes) -> None:
    """Gives the bytes to every parser. Raises what must not be raised: anything but a refusal."""
    text = data.decode("latin-1")
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    forged = dict(zip(names, (*text.split("\n", 2), "", "", "")[:3], strict=True))
    with contextlib.suppress(DomainError):
        verify(SECRET, forged, data, NOW, TOLERANCE)
        raise AssertionError("an unsigned webhook was taken for a signed one")
    with contextlib.suppress(DomainError):
        parse_event("evt_1", data)
    with contextlib.suppress(DomainError):
        read_token(_TAP_KEY, text)
        raise AssertionError("a made-up link was taken for one of ours")
    try:
        body = data.decode()
    except UnicodeDecodeError:
        return
    headers = signed_headers(SECRET, "evt_1", body, NOW)
    with contextlib.suppress(DomainError):
        verify_carrier_webhook(
            "sandbox", {"sandbox": SecretStr(SECRET)}, headers, data, NOW, TOLERANCE
        )


def main() -> None:
    """Runs until it finds something or has made its runs."""
    try:
        import atheris  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        print("atheris is not there: it runs on Linux on x86_64 only")
        return
    for module in (webhooks, taps):
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                atheris.instrument_func(function)
    with tempfile.TemporaryDirectory(prefix="baigong-fuzz-") as folder:
        for name, body in (("event", EVENT), ("scan", SCAN)):
            Path(folder, name).write_bytes(body)
        atheris.Setup([*sys.argv, folder], atheris.instrument_func(whatever_comes))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
