"""The codec server: plain words for operators in the Temporal UI, nothing for anybody else."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload

from api.codec_server import create_codec_server
from runtime.codec import EncryptionCodec
from runtime.settings import Settings
from tests.api.client import Api, Json, assert_problem

KEYS = {"new": SecretStr("n" * 40), "old": SecretStr("o" * 40)}
UI = "http://127.0.0.1:8233"
ELSEWHERE = "https://elsewhere.example"
LETTER: Json = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "IkxpbiI="}
"""`"Lin"`, as the protocol has it."""


@asynccontextmanager
async def codec_server(
    settings: Settings, host: str = "127.0.0.1:8234"
) -> AsyncIterator[httpx.AsyncClient]:
    """The running server, called under this name."""
    app = create_codec_server(
        settings.model_copy(update={"payload_keys": KEYS, "temporal_ui_url": UI})
    )
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
            yield http


async def encrypted(**keys: SecretStr) -> Json:
    """The letter as Temporal stores it, in the form of the protocol."""
    clear = Payload(metadata={"encoding": b"json/plain"}, data=b'"Lin"')
    [stored] = await EncryptionCodec(keys).encode([clear])
    return {
        "metadata": {
            name: base64.b64encode(value).decode() for name, value in stored.metadata.items()
        },
        "data": base64.b64encode(stored.data).decode(),
    }


async def test_operators_read_and_nobody_else(api: Api, api_settings: Settings) -> None:
    body = {"payloads": [await encrypted(old=KEYS["old"]), LETTER]}
    operator = await api.user_id("codec-operator")
    api.grant(operator, "operator")
    async with codec_server(api_settings) as http:

        async def decode(by: str | None) -> httpx.Response:
            headers = {"Origin": UI, "X-Namespace": "default"}
            if by:
                headers["Authorization"] = f"Bearer {api.issuer.token(by)}"
            return await http.post("/decode", json=body, headers=headers)

        assert_problem(await decode(None), 401, "unauthenticated")
        assert_problem(await decode("codec-stranger"), 403, "forbidden")
        for by in ("codec-operator", "root"):
            answer = await decode(by)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"payloads": [LETTER, LETTER]}
            assert answer.headers["access-control-allow-origin"] == UI
            assert answer.headers["cache-control"] == "no-store"


async def test_browsers_of_other_origins_read_nothing(api_settings: Settings) -> None:
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
    }
    async with codec_server(api_settings) as http:
        for origin in (UI, "http://localhost:8233"):
            asked = await http.options("/decode", headers={"Origin": origin, **asks})
            assert asked.status_code == 200, asked.text
            assert asked.headers["access-control-allow-origin"] == origin
        refused = await http.options("/decode", headers={"Origin": ELSEWHERE, **asks})
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers


async def test_on_the_own_machine_the_ui_needs_no_sign_in(api_settings: Settings) -> None:
    local = api_settings.model_copy(update={"issuer": None})
    body = {"payloads": [await encrypted(new=KEYS["new"])]}
    async with codec_server(local) as http:
        answer = await http.post("/decode", json=body, headers={"Origin": UI})
        assert answer.json() == {"payloads": [LETTER]}
        page = await http.post("/decode", json=body, headers={"Origin": ELSEWHERE})
        assert_problem(page, 403, "forbidden")
    async with codec_server(local, "rebound.example:8234") as http:
        assert (await http.post("/decode", json=body)).status_code == 400
    async with codec_server(local.model_copy(update={"host": "0.0.0.0"})) as http:
        assert_problem(await http.post("/decode", json=body), 401, "unauthenticated")


async def test_what_cannot_be_read_says_why_in_its_place(api_settings: Settings) -> None:
    lost = await encrypted(lost=SecretStr("l" * 40))
    broken = {**await encrypted(old=KEYS["old"]), "data": "AAAA"}
    body = {"payloads": [lost, await encrypted(old=KEYS["old"]), broken]}
    async with codec_server(api_settings.model_copy(update={"issuer": None})) as http:
        found = (await http.post("/decode", json=body)).json()["payloads"]
    texts = [json.loads(base64.b64decode(each["data"])) for each in found]
    assert "'lost', which is not in BAIGONG_PAYLOAD_KEYS" in texts[0]
    assert texts[1] == "Lin"
    assert "is not what was encrypted under the key 'old'" in texts[2]


async def test_what_the_ui_sends_is_encrypted(api_settings: Settings) -> None:
    async with codec_server(api_settings.model_copy(update={"issuer": None})) as http:
        answer = await http.post("/encode", json={"payloads": [LETTER]})
        [stored] = answer.json()["payloads"]
        assert base64.b64decode(stored["metadata"]["encryption-key-id"]) == b"new"
        assert (await http.post("/decode", json={"payloads": [stored]})).json() == {
            "payloads": [LETTER]
        }


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b'{"payloads": 1}', b"[" * 9_999, b"\xff"])
async def test_what_is_no_list_of_payloads_is_refused(api_settings: Settings, body: bytes) -> None:
    async with codec_server(api_settings.model_copy(update={"issuer": None})) as http:
        assert_problem(await http.post("/decode", content=body), 400, "malformed_request")
