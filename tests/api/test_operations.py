"""What operators and integrators rely on: health, outages, logs, metrics, the OpenAPI document."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from temporalio.client import (
    RPCTimeoutOrCancelledError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import OutOfStock, all_errors
from runtime.logging import bind, configure, logger
from runtime.settings import Settings
from runtime.temporal import as_application_error, connect
from runtime.temporal_errors import domain_error_of
from tests.api.client import LISTING, Api, assert_problem, running_api
from tests.api.issuer import Issuer
from tests.servers import free_port

PROJECT = Path(__file__).resolve().parents[2]


class Link:
    """A TCP connection to the database that can be cut and restored."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = free_port()

    async def restore(self) -> None:
        """Lets connections through."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Refuses new connections and breaks those that are open."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, out = await asyncio.open_connection(*self._target)
        self._open |= {writer, out}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, out))
                both.create_task(_pump(upstream, writer))
        finally:
            self._open -= {writer, out}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def _linked_api(settings: Settings, issuer: Issuer) -> AsyncIterator[tuple[Api, Link]]:
    assert settings.database_url is not None
    url = make_url(settings.database_url.get_secret_value())
    link = Link(url.host or "127.0.0.1", url.port or 5432)
    await link.restore()
    through = url.set(host="127.0.0.1", port=link.port).render_as_string(hide_password=False)
    changed = settings.model_copy(update={"database_url": SecretStr(through)})
    async with running_api(changed, issuer) as api:
        yield api, link
        await link.cut()


async def test_database_down_and_back(api_settings: Settings, issuer: Issuer) -> None:
    async with _linked_api(api_settings, issuer) as (api, link):
        made = await api.call("POST", "/v1/listings", by="ann", key="before", json=LISTING)
        assert made.status_code == 201, made.text
        await link.cut()
        for method, path in (("GET", "/v1/listings"), ("GET", "/v1/me"), ("POST", "/v1/listings")):
            body = LISTING if method == "POST" else None
            answer = await api.call(method, path, by="ann", key="during", json=body)
            assert_problem(answer, 503, "unavailable")
            assert answer.headers["Retry-After"] == "2"
        ready = await api.get("/readyz")
        assert (ready.status_code, ready.json()["parts"]["database"]) == (503, "down")
        assert (await api.get("/healthz")).status_code == 200
        await link.restore()
        again = await api.call("POST", "/v1/listings", by="ann", key="during", json=LISTING)
        assert again.status_code == 201, again.text
        replay = await api.call("POST", "/v1/listings", by="ann", key="before", json=LISTING)
        assert replay.json() == made.json()


async def test_ready_with_temporal(api_settings: Settings, issuer: Issuer, dev_server: str) -> None:
    async with running_api(api_settings, issuer) as api:
        answer = await api.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"
        assert answer.json()["parts"] == {"database": "ok", "temporal": "down"}
    settings = api_settings.model_copy(update={"temporal_address": dev_server})
    async with running_api(settings, issuer) as api:
        answer = await api.get("/readyz")
        assert answer.json() == {
            "status": "ready",
            "parts": {"database": "ok", "temporal": "ok"},
        }


def _failing_route(app: FastAPI, raised: BaseException) -> str:
    """The address of a new route that fails in this way."""

    async def fail() -> None:
        raise raised

    path = f"/failing/{uuid.uuid4().hex}"
    app.add_api_route(path, fail, include_in_schema=False)
    return path


FAILURES: list[tuple[BaseException, int, str]] = [
    (RPCError("gone", RPCStatusCode.UNAVAILABLE, b""), 503, "unavailable"),
    (RPCError("slow", RPCStatusCode.DEADLINE_EXCEEDED, b""), 503, "unavailable"),
    (RPCError("cut", RPCStatusCode.CANCELLED, b""), 503, "unavailable"),
    (RPCError("bug", RPCStatusCode.INVALID_ARGUMENT, b""), 500, "internal_error"),
    (WorkflowUpdateRPCTimeoutOrCancelledError(), 503, "unavailable"),
    (RPCTimeoutOrCancelledError("x"), 503, "unavailable"),
    (TimeoutError(), 503, "unavailable"),
    (WorkflowUpdateFailedError(ApplicationError("x", type="wrong_phase")), 409, "wrong_phase"),
    (WorkflowUpdateFailedError(ApplicationError("x", type="Strange")), 500, "internal_error"),
    (RuntimeError("secret detail"), 500, "internal_error"),
]


@pytest.mark.parametrize(("raised", "status", "code"), FAILURES)
async def test_failures_become_problems(
    api: Api, raised: BaseException, status: int, code: str
) -> None:
    path = _failing_route(api.app, raised)
    answer = await api.call("GET", path, headers={"X-Request-ID": "trace-1"})
    problem = assert_problem(answer, status, code)
    assert "secret" not in answer.text
    assert problem["request_id"] == answer.headers["X-Request-ID"] == "trace-1"


def test_domain_errors_come_back_whole() -> None:
    for kind in all_errors().values():
        sent = as_application_error(kind("why", field="lines[0]", accepted="less"))
        found = domain_error_of(WorkflowUpdateFailedError(sent))
        assert type(found) is kind
        assert (found.detail, found.field, found.accepted) == ("why", "lines[0]", "less")
    bare = domain_error_of(ApplicationError("only words", type="out_of_stock"))
    assert isinstance(bare, OutOfStock)
    assert (bare.detail, bare.field) == ("only words", None)
    assert domain_error_of(ValueError("x")) is None


async def test_lazy_temporal_that_is_down_is_unavailable(api_settings: Settings) -> None:
    client = await connect(api_settings)
    with pytest.raises(Exception) as raised:
        await client.get_workflow_handle("sale-x").signal("wake")
    found = domain_error_of(raised.value)
    assert found is not None
    assert found.http_status == 503


@contextmanager
def _captured_logs() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("INFO", stream)
    try:
        yield stream
    finally:
        root.handlers[:] = before
        root.setLevel(level)


async def test_logs(api: Api) -> None:
    user_id = await api.user_id("logged")
    sale = api.sale(user_id, await api.user_id("other"))
    failing = _failing_route(api.app, RuntimeError("the reason"))
    with _captured_logs() as stream:
        headers = {"X-Request-ID": "trace-7"}
        await api.call("GET", f"/v1/sales/{sale}/timeline", by="logged", headers=headers)
        await api.call("GET", failing, headers=headers)
        theirs = logging.getLogger("uvicorn.error")
        theirs.setLevel(logging.WARNING)  # servers of other tests have silenced it
        theirs.warning("from uvicorn %s", "x")
        bind(user_id="usr_later")
        logger("test").info("later", amount=7)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    seen, error, failed, foreign, own = lines
    assert (seen["event"], seen["correlation_id"]) == ("request", "trace-7")
    assert (seen["user_id"], seen["path_id"], seen["status"]) == (user_id, sale, 200)
    assert "RuntimeError: the reason" in error["exception"]
    assert (failed["status"], "user_id" in failed) == (500, False)
    assert (foreign["event"], foreign["logger"]) == ("from uvicorn x", "uvicorn.error")
    assert (own["user_id"], own["amount"], own["level"]) == ("usr_later", 7, "info")


async def test_logs_keep_no_one_tap_link(api: Api) -> None:
    with _captured_logs() as stream:
        for method in ("GET", "POST"):
            answer = await api.call(method, "/v1/taps/AQIDsecret")
            assert_problem(answer, 404, "not_found")
    assert [json.loads(line)["path"] for line in stream.getvalue().splitlines()] == [
        "/v1/taps/…"
    ] * 2
    assert "AQIDsecret" not in stream.getvalue()


@pytest.mark.parametrize("sent", ["x" * 65, "a b", "<script>", "", "-x"])
async def test_unusable_request_ids_are_replaced(api: Api, sent: str) -> None:
    answer = await api.call("GET", "/healthz", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] not in {sent, ""}


async def test_metrics_name_routes_not_addresses(api: Api) -> None:
    await api.get("/v1/listings/lst_01h45ytscbebyvny4gc8cr8ma2")
    metrics = (await api.get("/metrics")).text
    assert 'handler="/v1/listings/{listing_id}"' in metrics
    assert "lst_01h45" not in metrics
    assert "process_resident_memory_bytes" in metrics


async def test_problem_pages(api: Api) -> None:
    kinds = (await api.get("/problems")).json()
    codes = {kind["code"] for kind in kinds}
    assert {"out_of_stock", "unavailable", "method_not_allowed"} <= codes
    for code in codes:
        page = (await api.get(f"/problems/{code}")).json()
        assert page["code"] == code
        assert page["title"]
        assert page["meaning"]
    assert_problem(await api.get("/problems/nonsense"), 404, "not_found")


async def test_openapi_document(api: Api) -> None:
    document = (await api.get("/openapi.json")).json()
    validate(document)
    ids = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            ids.append(operation["operationId"])
            assert operation["summary"], place
            assert operation["description"], place
            _check_problems(place, operation)
            if method == "post" and not {"webhooks", "taps"} & set(path.split("/")):
                keys = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
                assert keys, place
                assert keys[0]["required"], place
                assert {"400", "401", "422"} <= set(operation["responses"]), place
    assert len(ids) == len(set(ids))
    assert "HTTPValidationError" not in json.dumps(document)
    assert "x-problem-codes" not in json.dumps(document)


def _check_problems(place: str, operation: dict[str, object]) -> None:
    responses = operation["responses"]
    assert isinstance(responses, dict)
    assert {"500", "503"} <= set(responses), place
    for status, response in responses.items():
        if int(status) >= 400 and place != "get /readyz":
            content = response["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, place
            for code, example in content["examples"].items():
                assert example["value"]["code"] == code, place
                assert str(example["value"]["status"]) == status, place


def test_process_serves_and_stops(api_settings: Settings) -> None:
    """`python -m api` as a process: serves, logs JSON only, ends by SIGTERM with everything closed."""
    assert api_settings.database_url is not None
    port = free_port()
    environment = {
        **os.environ,
        "BAIGONG_DATABASE_URL": api_settings.database_url.get_secret_value(),
        "BAIGONG_API_PORT": str(port),
        "BAIGONG_DATA_DIR": str(api_settings.data_dir),
        "BAIGONG_TEMPORAL_ADDRESS": "127.0.0.1:1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if "Uvicorn running" in lines[-1]["event"]:
                break
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"http://127.0.0.1:{port}/v1/me").status_code == 401
        assert httpx.get(f"http://127.0.0.1:{port}/v1/listings").status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    events = [json.loads(line)["event"] for line in rest.splitlines()]
    assert "request" in events
    assert process.returncode in {0, -signal.SIGTERM}
