"""A front end that got no answer asks again with the same key, and acts once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from tests.chaos.clients import StubbornTransport

_KEY = {"Idempotency-Key": "k1"}


@contextmanager
def answering(*answers: int) -> Iterator[tuple[str, list[str | None]]]:
    """A server that gives these answers one after the other, 0 for hanging up; and the keys it was asked with."""
    left, keys = list(answers), []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers["Idempotency-Key"])
            status = left.pop(0)
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Answers)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", keys
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.mark.parametrize("lost", [503, 429, 0])
def test_what_was_not_answered_is_asked_again(lost: int) -> None:
    with answering(lost, lost, 201) as (url, keys):
        transport = StubbornTransport(url)
        answer = httpx.Client(transport=transport).post(f"{url}/v1/sales", headers=_KEY)
    assert (answer.status_code, keys) == (201, ["k1", "k1", "k1"])
    assert (transport.acts, transport.repeated.total(), transport.broken) == (1, 2, [])


def test_an_error_of_the_platform_is_noted_and_one_of_the_provider_repeated() -> None:
    with answering(500, 500, 200) as (url, _):
        transport = StubbornTransport(url)
        assert httpx.Client(transport=transport).post(f"{url}/v1/sales").status_code == 500
        [broken] = transport.broken
        assert broken.startswith("POST /v1/sales answered 500")
        elsewhere = StubbornTransport("http://127.0.0.1:1")
        assert httpx.Client(transport=elsewhere).post(f"{url}/pay/1").status_code == 200
        assert elsewhere.broken == []
