"""The sandbox's own manners: key, bad input, webhook address, carrier face, and as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import CoroutineType, FrameType

import httpx
import pytest
from pydantic import SecretStr

from providers.sandbox_server.app import create_app
from providers.sandbox_server.config import SandboxOptions, config_from
from providers.sandbox_server.dispatcher import Dispatcher
from providers.sandbox_server.store import Store
from providers.webhooks import ParcelEvent, verify_carrier_webhook
from runtime.settings import Settings
from tests.providers.harness import (
    CARRIER_SECRET,
    Box,
    address_of,
    listening_socket,
    payment_request,
    served,
)
from tests.waiting import eventually

PROJECT = Path(__file__).parents[2]


async def test_every_v1_route_needs_the_key(box: Box) -> None:
    paths = (await box.person.get("/openapi.json")).json()["paths"]
    checked = 0
    for path, methods in paths.items():
        for method in methods:
            if path.startswith("/v1"):
                for key in ("", "Bearer wrong", "Bearer \u00e9"):
                    headers = [(b"authorization", key.encode("latin-1"))]
                    answer = await box.person.request(method, path, headers=headers, json={})
                    assert answer.status_code == 401, (method, path)
                    checked += 1
    assert checked > 60


GOOD = payment_request().model_dump()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 0),
        ("amount", -1),
        ("amount", 1.5),
        ("amount", "5"),
        ("amount", True),
        ("amount", 10**30),
        ("currency", "cny"),
        ("currency", "YUAN"),
        ("return_url", "javascript:alert(1)"),
        ("return_url", "/orders"),
        ("description", ""),
        ("description", "\ud800"),
        ("description", "x" * 1_001),
        ("subject", "pay 1"),
        ("subject", None),
        ("operation_id", "x" * 256),
        ("unknown", 1),
    ],
)
async def test_bad_payments_are_refused(box: Box, field: str, value: str | int | None) -> None:
    answer = await box.control.post(
        "/v1/payments",
        content=json.dumps({**GOOD, field: value}),
        headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.json()["detail"]
    assert (await box.control.get("/v1/payments")).json() == {"data": []}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 50_000, b'{"amount": ' + b"9" * 9_000])
async def test_unreadable_bodies_are_refused(box: Box, body: bytes) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await box.control.post("/v1/payments", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_missing_key_or_a_strange_one_is_refused(box: Box) -> None:
    assert (await box.control.post("/v1/payments", json=GOOD)).status_code == 422
    spaced = {"Idempotency-Key": "a b"}
    assert (await box.control.post("/v1/payments", json=GOOD, headers=spaced)).status_code == 422
    assert (await box.control.get("/v1/statements/yesterday")).status_code == 422
    assert (await box.control.get("/v1/payments?limit=0")).status_code == 422
    assert (await box.control.get("/nowhere")).status_code == 404
    assert (await box.control.delete("/v1/payments")).status_code == 405


async def test_webhooks_can_be_sent_elsewhere(box: Box) -> None:
    elsewhere = f"{box.platform.url}/elsewhere"
    answer = await box.control.put("/v1/webhook-endpoint", json={"url": elsewhere})
    assert answer.json() == {"url": elsewhere, "carrier_url": box.config.carrier_url}
    payment = await box.paid()
    await box.platform.expect(payment.subject, "payment.captured")
    assert box.platform.received[0].path == "elsewhere"
    answer = await box.control.delete("/v1/webhook-endpoint")
    assert answer.json()["url"] == box.config.webhook_url
    bad = await box.control.put("/v1/webhook-endpoint", json={"url": "file:///etc/passwd"})
    assert bad.status_code == 422


async def test_the_carrier_reports_every_scan(box: Box) -> None:
    parcel = {"tracking_number": "SF-1", "label_paid_by": "platform"}
    assert (await box.person.post("/carrier/parcels", json=parcel)).status_code == 201
    assert (await box.person.post("/carrier/parcels", json=parcel)).status_code == 200
    other = {**parcel, "label_paid_by": "seller"}
    assert (await box.person.post("/carrier/parcels", json=other)).status_code == 409
    for kind in ("in_transit", "delivered", "lost"):
        await eventually(lambda: box.platform.received)
        seen = len(box.platform.received)
        answer = await box.person.post("/carrier/parcels/SF-1/scans", json={"kind": kind})
        assert (answer.status_code, answer.json()["kind"]) == (201, kind)
        await eventually(partial(box.platform.has_more_than, seen))
    secrets = {"sandbox": SecretStr(CARRIER_SECRET)}
    events = [
        verify_carrier_webhook("sandbox", secrets, each.headers, each.body, datetime.now(UTC), 300)
        for each in box.platform.received
    ]
    assert [event.kind for event in events] == [
        ParcelEvent.REGISTERED,
        ParcelEvent.IN_TRANSIT,
        ParcelEvent.DELIVERED,
        ParcelEvent.LOST,
    ]
    assert {event.tracking_number for event in events} == {"SF-1"}
    assert {event.label_paid_by for event in events} == {"platform"}
    assert {each.path for each in box.platform.received} == {"v1/webhooks/carriers/sandbox"}


async def test_carrier_webhooks_misbehave_too(box: Box) -> None:
    await box.misbehave("webhook", "drop", subject="SF-2", event="parcel.delivered")
    await box.person.post("/carrier/parcels", json={"tracking_number": "SF-2"})
    await box.person.post("/carrier/parcels/SF-2/scans", json={"kind": "delivered"})
    states = [(each["event_type"], each["state"]) for each in await box.deliveries("SF-2")]
    assert states[1] == ("parcel.delivered", "dropped")


async def test_unknown_parcels_and_scans_are_refused(box: Box) -> None:
    scan = {"kind": "delivered"}
    assert (await box.person.post("/carrier/parcels/none/scans", json=scan)).status_code == 404
    assert (await box.person.get("/carrier/parcels/none")).status_code == 404
    for number in ("", "a/b", "x" * 65, "<b>"):
        answer = await box.person.post("/carrier/parcels", json={"tracking_number": number})
        assert answer.status_code == 422
    await box.person.post("/carrier/parcels", json={"tracking_number": "SF-3"})
    bad = await box.person.post("/carrier/parcels/SF-3/scans", json={"kind": "registered"})
    assert bad.status_code == 422


async def test_the_settings_of_the_platform_are_enough(tmp_path: Path) -> None:
    listener = listening_socket()
    url = address_of(listener)
    settings = Settings(
        data_dir=tmp_path / "new" / "folder",
        sandbox_url=url,
        api_port=9,
        carrier_webhook_secrets={"sandbox": SecretStr(CARRIER_SECRET)},
    )
    config = config_from(settings, SandboxOptions())
    assert config.webhook_url == "http://127.0.0.1:9/v1/webhooks/sandbox"
    assert config.carrier_url == "http://127.0.0.1:9/v1/webhooks/carriers/sandbox"
    assert (config.fee_basis_points, config.payout_fee, config.payout_seconds) == (60, 0, 1)
    assert "key" not in repr(config).replace("api_key", "")
    async with served(create_app(config), listener), httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/healthz")).json() == {"status": "ok"}
    assert (tmp_path / "new" / "folder" / "sandbox.db").exists()


def test_a_store_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "sandbox.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RuntimeError, match="another version"):
        create_app(config_from(settings_in(tmp_path), SandboxOptions()))


def settings_in(folder: Path) -> Settings:
    """Settings of a platform whose data is in this folder."""
    secrets = {"sandbox": SecretStr(CARRIER_SECRET)}
    return Settings(data_dir=folder, carrier_webhook_secrets=secrets)


async def test_killed_as_a_process_it_forgets_nothing(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "BAIGONG_DATA_DIR": str(tmp_path),
        "BAIGONG_SANDBOX_PORT": str(port),
        "BAIGONG_SANDBOX_WEBHOOK_URL": "http://127.0.0.1:1/",
        "BAIGONG_SANDBOX_API_KEY": "process-key",
        "BAIGONG_CARRIER_WEBHOOK_SECRETS": json.dumps({"sandbox": CARRIER_SECRET}),
    }
    request = payment_request()
    headers = {"Authorization": "Bearer process-key", "Idempotency-Key": request.operation_id}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
    ) as http:

        async def healthy() -> bool:
            try:
                return (await http.get("/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        for end, code in ((signal.SIGKILL, -9), (signal.SIGTERM, -15)):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "providers.sandbox_server",
                cwd=PROJECT,
                env=environment,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await eventually(healthy, within_seconds=30, what="sandbox process")
                answer = await http.post("/v1/payments", json=request.model_dump())
                # The second process knows the payment the killed one has made.
                assert answer.status_code == (201 if end is signal.SIGKILL else 200)
                assert answer.json()["checkout_url"].startswith(f"http://127.0.0.1:{port}/pay/")
            finally:
                process.send_signal(end)
                assert await process.wait() in (code, 0)


@pytest.mark.parametrize("steps", range(4))
async def test_a_wake_up_at_the_end_does_not_keep_it_alive(tmp_path: Path, steps: int) -> None:
    """Whatever happens in the moment of stopping, the background task stops."""
    config = config_from(settings_in(tmp_path), SandboxOptions())
    wake = asyncio.Event()
    store = Store(config, on_commit=wake.set)
    task = asyncio.create_task(Dispatcher(store, config, wake).run())
    await eventually(lambda: resting(task))
    wake.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _pending = await asyncio.wait([task], timeout=5)
    assert task in done
    store.close()


def resting(task: asyncio.Task[None]) -> bool:
    """Whether the task waits for something to do."""
    return any(frame.f_code.co_name == "_rest" for frame in frames(task))


def frames(task: asyncio.Task[None]) -> list[FrameType]:
    """The frames of every coroutine the task is in."""
    found: list[FrameType] = []
    coroutine: object = task.get_coro()
    while isinstance(coroutine, CoroutineType):
        if coroutine.cr_frame is not None:
            found.append(coroutine.cr_frame)
        coroutine = coroutine.cr_await
    return found
