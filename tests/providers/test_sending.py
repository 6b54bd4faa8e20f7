"""How the sandbox gets its webhooks across: connections, strange receivers, bursts, and a stop in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from providers.sandbox_server.config import SandboxConfig
from providers.sandbox_server.events import emit
from providers.sandbox_server.sender import Sender, SendFailed
from providers.sandbox_server.store import Store
from tests.providers.conftest import MakeBox
from tests.waiting import eventually

BODY = '{"灯": 1}'.encode()


@dataclass
class Receiver:
    """A server that answers every request with the same bytes."""

    answer: bytes
    hangs_up: bool = False
    url: str = ""
    connections: int = 0
    ended: int = 0
    bodies: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                writer.write(self.answer)
                await writer.drain()
                if self.hangs_up:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            self.ended += 1


@asynccontextmanager
async def receiving(answer: bytes, *, hangs_up: bool = False) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver(answer, hangs_up)
    server = await asyncio.start_server(receiver.talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    receiver.url = f"http://{host}:{port}/hooks?a=1"
    try:
        yield receiver
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answer", "status", "connections"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 1),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", 503, 1),
        (b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", 302, 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, 1),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, 1),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 204, 3),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + b"x" * 100_000, 200, 3),
    ],
    ids=["empty", "body", "busy", "redirect", "chunked", "continue", "close", "long"],
)
async def test_answers_are_read_and_connections_kept(
    answer: bytes, status: int, connections: int
) -> None:
    sender = Sender(5)
    async with receiving(answer) as receiver:
        for _ in range(3):
            assert await sender.post(receiver.url, {"x-event": "1"}, BODY) == status
        assert receiver.bodies == [BODY] * 3
        assert receiver.connections == connections
    sender.close()


async def test_a_connection_closed_while_resting_is_not_used_again() -> None:
    sender = Sender(5)
    async with receiving(b"HTTP/1.1 204 No Content\r\n\r\n", hangs_up=True) as receiver:
        for sent in range(1, 4):
            assert await sender.post(receiver.url, {}, BODY) == 204
            await eventually(lambda: receiver.ended == receiver.connections)
            assert receiver.connections == sent
    sender.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 2", b"SSH-2.0-OpenSSH\r\n\r\n"], ids=range(3))
async def test_an_answer_that_is_none_has_failed(answer: bytes) -> None:
    sender = Sender(5)
    async with receiving(answer, hangs_up=True) as receiver:
        with pytest.raises(SendFailed):
            await sender.post(receiver.url, {}, BODY)
    sender.close()


async def test_silence_and_bad_addresses_have_failed() -> None:
    impatient = Sender(0.05)
    async with receiving(b"") as receiver:
        with pytest.raises(SendFailed, match="TimeoutError"):
            await impatient.post(receiver.url, {}, BODY)
    for url in (
        "http://127.0.0.1:1/",
        "http://127.0.0.1:99999/",
        "https://127.0.0.1:1/",
        "http://[",
    ):
        with pytest.raises(SendFailed):
            await impatient.post(url, {}, BODY)
    impatient.close()


def queue(config: SandboxConfig, count: int) -> None:
    """Puts webhooks into the file of a sandbox that does not run."""
    store = Store(config, on_commit=lambda: None)
    with store.transaction() as tx:
        for number in range(count):
            data = {"subject": f"pay_{number}", "reference": "r", "status": "captured"}
            emit(tx, "payments", "payment.captured", data, (f"pay_{number}",))
    store.close()


async def test_a_burst_arrives_whole_once_and_oldest_first(make_box: MakeBox) -> None:
    async with make_box() as box:
        config = box.config
    queue(config, 500)
    async with make_box() as box:
        await eventually(lambda: len(box.platform.received) >= 500, within_seconds=30)
        came = [int(each.subject.removeprefix("pay_")) for each in box.platform.received]
        assert sorted(came) == list(range(500))
        # Several are on their way at once, so neighbours may change places.
        assert all(abs(number - at) < 100 for at, number in enumerate(came))

        async def written_down() -> bool:
            [last] = await box.deliveries("pay_499")
            return last["state"] == "delivered"

        await eventually(written_down)


async def test_a_stop_in_the_middle_of_a_burst_loses_nothing(make_box: MakeBox) -> None:
    async with make_box() as box:
        config = box.config
    queue(config, 600)
    async with make_box() as box:
        await eventually(lambda: box.platform.has_more_than(50))
    before = len(box.platform.received)
    assert before < 600, "stopped too late to show anything"
    async with make_box() as box:
        seen = box.platform.received
        await eventually(lambda: len({each.event_id for each in seen}) == 600, within_seconds=30)
        assert len(seen) <= 600 + 100, "only what was on its way comes again"
