"""The local issuer: tokens any OIDC verifier accepts, for well-formed names only."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from deploy.local.errors import LocalError
from deploy.local.issuer import ALGORITHM, TOKEN_SECONDS, application, issue_token
from deploy.local.profile import PROJECT
from runtime.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", issuer=None, host="127.0.0.1", issuer_port=8091)


def client(settings: Settings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(settings))
    return httpx.AsyncClient(transport=transport, base_url=settings.issuer_url)


async def test_a_token_verifies_against_the_published_keys(settings: Settings) -> None:
    async with client(settings) as http:
        found = (await http.get("/.well-known/openid-configuration")).json()
        keys = (await http.get(found["jwks_uri"])).json()
        answer = await http.post(found["token_endpoint"], data={"username": "li-hua"})
    assert answer.status_code == 200
    assert all("d" not in key and key["kid"] for key in keys["keys"])
    token = jwt.decode(
        answer.json()["access_token"], KeySet.import_key_set(keys), algorithms=[ALGORITHM]
    )
    assert token.header["kid"] == keys["keys"][0]["kid"]
    claims = token.claims
    assert claims["iss"] == found["issuer"] == settings.issuer_url
    assert (claims["aud"], claims["sub"], claims["name"]) == ("baigong", "li-hua", "Li Hua")
    assert claims["exp"] - claims["iat"] == TOKEN_SECONDS
    assert claims["nbf"] <= time.time() <= claims["exp"]
    assert claims["auth_time"] == claims["iat"]


async def test_the_command_prints_a_token_of_the_same_key(settings: Settings) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "deploy.local", "token", "alice"],
        cwd=PROJECT,
        env={"BAIGONG_DATA_DIR": str(settings.data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    async with client(settings) as http:
        keys = KeySet.import_key_set((await http.get("/jwks.json")).json())
    token = jwt.decode(printed.stdout.strip(), keys, algorithms=[ALGORITHM])
    assert token.claims["sub"] == "alice"
    key_file = settings.data_dir / "issuer-key.json"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


async def test_another_installation_has_another_key(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"data_dir": tmp_path / "other"})
    async with client(other) as http:
        keys = KeySet.import_key_set((await http.get("/jwks.json")).json())
    with pytest.raises(InvalidKeyIdError):
        jwt.decode(issue_token("alice", settings), keys, algorithms=[ALGORITHM])


@pytest.mark.parametrize("name", ["", "Alice", "1a", "a b", "a" * 33, "a\n", "ä", "a/b", "-a"])
async def test_other_names_get_no_token(name: str, settings: Settings) -> None:
    with pytest.raises(LocalError, match="user name"):
        issue_token(name, settings)
    async with client(settings) as http:
        refused = await http.post("/token", data={"username": name})
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_request"


async def test_a_web_page_under_another_name_gets_no_token(settings: Settings) -> None:
    async with client(settings) as http:
        refused = await http.post(
            "/token", data={"username": "alice"}, headers={"Host": "attacker.example"}
        )
    assert refused.status_code == 400


def test_no_token_when_another_issuer_is_set(settings: Settings) -> None:
    external = settings.model_copy(update={"issuer": "https://id.example"})
    with pytest.raises(LocalError, match="BAIGONG_ISSUER"):
        issue_token("alice", external)
