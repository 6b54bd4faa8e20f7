"""Which bearer tokens are accepted, and what happens when the issuer is down."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock  # type: ignore[import-untyped]
import pytest

from api.tokens import REFRESH_AT_MOST_EVERY_SECONDS, TokenVerifier
from domain.errors import Unauthenticated, Unavailable
from runtime.settings import Settings
from tests.api.client import Api, assert_problem, running_api
from tests.api.issuer import AUDIENCE, KEYS, STRANGE_KEY, Issuer, running_issuer, sign


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unsigned(issuer: Issuer) -> str:
    header = _b64(json.dumps({"alg": "none"}).encode())
    return f"{header}.{_b64(json.dumps(issuer.claims('eve')).encode())}."


def _signed_with_public_key(issuer: Issuer) -> str:
    """The classic confusion: the published key taken as a shared secret."""
    header = _b64(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
    payload = f"{header}.{_b64(json.dumps(issuer.claims('eve')).encode())}"
    public = KEYS["RS256"].as_pem(private=False)  # type: ignore[union-attr]
    return f"{payload}.{_b64(hmac.digest(public, payload.encode(), hashlib.sha256))}"


def _tampered(issuer: Issuer) -> str:
    header, _, signature = issuer.token("alice").split(".")
    return f"{header}.{_b64(json.dumps(issuer.claims('root')).encode())}.{signature}"


def _of(**changes: object) -> Callable[[Issuer], str]:
    def make(issuer: Issuer) -> str:
        return sign(issuer.claims("eve", **changes), KEYS["ES256"], "ES256", kid="ec")

    return make


REFUSED: dict[str, Callable[[Issuer], str]] = {
    "garbage": lambda _: "garbage",
    "three dots of garbage": lambda _: "a.b.c",
    "header is a list": lambda _: f"{_b64(b'[]')}.e30.e30",
    "very long": lambda _: "a" * 20_000 + ".b.c",
    "other audience": _of(aud="somebody-else"),
    "list without our audience": _of(aud=["a", "b"]),
    "audience is a number": _of(aud=7),
    "no audience": _of(aud=None),
    "other issuer": _of(iss="https://issuer.example"),
    "no issuer": _of(iss=None),
    "expired": _of(exp=int(time.time()) - 60),
    "no expiry": _of(exp=None),
    "expiry is text": _of(exp="tomorrow"),
    "not valid yet": _of(nbf=int(time.time()) + 600),
    "issued in the future": _of(iat=int(time.time()) + 600),
    "no subject": _of(sub=None),
    "subject with NUL": _of(sub="eve\x00"),
    "subject is a number": _of(sub=7),
    "empty subject": _of(sub=""),
    "endless subject": _of(sub="x" * 300),
    "algorithm none": _unsigned,
    "HS256 with the public key": _signed_with_public_key,
    "claims exchanged": _tampered,
    "unknown key id": lambda i: sign(i.claims("eve"), STRANGE_KEY, "ES256", kid="unknown"),
    "known key id, other key": lambda i: sign(i.claims("eve"), STRANGE_KEY, "ES256", kid="ec"),
    "no key id, other key": lambda i: sign(i.claims("eve"), STRANGE_KEY, "ES256"),
}


async def test_refused_tokens(api: Api) -> None:
    for name, make in REFUSED.items():
        headers = {"Authorization": f"Bearer {make(api.issuer)}"}
        answer = await api.call("GET", "/v1/me", headers=headers)
        assert answer.status_code == 401, f"{name}: {answer.text}"
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert api.execute("SELECT 1 FROM users WHERE subject LIKE 'eve%%'") == []


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "garbage"])
async def test_no_bearer_token(api: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert_problem(await api.call("GET", "/v1/me", headers=headers), 401, "unauthenticated")


async def test_accepted_tokens(api: Api) -> None:
    issuer = api.issuer
    tokens = [issuer.token("alice", algorithm=algorithm) for algorithm in KEYS]
    tokens += [
        issuer.token("alice", aud=["other", AUDIENCE]),
        issuer.token("alice", exp=int(time.time()) - 5),  # within the leeway
        issuer.token("alice", nbf=int(time.time()) + 5),
        sign(issuer.claims("alice"), KEYS["RS256"], "RS256"),  # names no key: all are tried
        sign(issuer.claims("alice"), KEYS["RS256"], "PS256", kid="rsa"),
    ]
    ids = set()
    for token in tokens:
        answer = await api.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        ids.add(answer.json()["id"])
    assert len(ids) == 1


async def test_first_requests_at_once_make_one_user(api: Api) -> None:
    answers = await asyncio.gather(*(api.get("/v1/me", by="newcomer") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert answers[0].json()["display_name"] == "Newcomer"


async def test_unusable_names_are_replaced(api: Api) -> None:
    for index, name in enumerate(["", " ", "x" * 200, "a\x00b", 7]):
        token = api.issuer.token(f"nameless-{index}", name=name)
        answer = await api.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["display_name"] == "Member"


async def test_new_key_is_fetched_but_not_at_every_made_up_key_id(issuer: Issuer) -> None:
    now = 1_000.0
    async with httpx.AsyncClient() as http:
        verifier = TokenVerifier(issuer.url, AUDIENCE, http, clock=lambda: now)
        await verifier.verify(issuer.token("alice"))
        asked = issuer.asked
        made_up = sign(issuer.claims("alice"), STRANGE_KEY, "ES256", kid="strange")
        now += REFRESH_AT_MOST_EVERY_SECONDS
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await verifier.verify(made_up)
        assert issuer.asked == asked + 1
        issuer.published.append(STRANGE_KEY)
        try:
            now += REFRESH_AT_MOST_EVERY_SECONDS
            assert (await verifier.verify(made_up)).subject == "alice"
        finally:
            issuer.published.remove(STRANGE_KEY)


async def test_withdrawn_key_stops_to_count(issuer: Issuer) -> None:
    now = 1_000.0
    async with httpx.AsyncClient() as http:
        verifier = TokenVerifier(issuer.url, AUDIENCE, http, clock=lambda: now)
        token = issuer.token("alice")
        await verifier.verify(token)
        issuer.published.remove(KEYS["ES256"])
        try:
            now += 3_600
            with pytest.raises(Unauthenticated):
                await verifier.verify(token)
        finally:
            issuer.published.append(KEYS["ES256"])


async def test_issuer_down(api_settings: Settings) -> None:
    with running_issuer() as gone:
        settings = api_settings.model_copy(update={"issuer": gone.url})
    async with running_api(settings, gone) as api:
        answer = await api.get("/v1/me", by="alice")
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "2"


async def test_known_keys_outlive_the_issuer() -> None:
    now = 1_000.0
    async with httpx.AsyncClient() as http:
        with running_issuer() as issuer:
            verifier = TokenVerifier(issuer.url, AUDIENCE, http, clock=lambda: now)
            await verifier.verify(issuer.token("alice"))
        now += 3_600
        assert (await verifier.verify(issuer.token("alice"))).subject == "alice"


async def test_issuer_that_comes_back_is_found(issuer: Issuer) -> None:
    now, asked, down = 1_000.0, 0, True

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if down:
            raise httpx.ConnectError("refused")
        found = issuer.key_set() if request.url.path == "/keys" else issuer.discovery()
        return httpx.Response(200, json=found)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        verifier = TokenVerifier(issuer.url, AUDIENCE, http, clock=lambda: now)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await verifier.verify(issuer.token("alice"))
        assert asked == 1
        down = False
        now += REFRESH_AT_MOST_EVERY_SECONDS
        assert (await verifier.verify(issuer.token("alice"))).subject == "alice"


@pytest.mark.parametrize(
    "discovery",
    [{"issuer": "https://issuer.example", "jwks_uri": "x"}, {}, [], {"issuer": 7, "jwks_uri": 7}],
)
async def test_discovery_document_of_somebody_else(issuer: Issuer, discovery: object) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=discovery))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(Unavailable):
            await TokenVerifier(issuer.url, AUDIENCE, http).verify(issuer.token("alice"))


async def test_tokens_of_a_foreign_issuer_implementation(api_settings: Settings) -> None:
    """oidc-provider-mock: RS256 tokens without a key id."""
    with oidc_provider_mock.run_server_in_thread() as server:
        url = f"http://localhost:{server.server_port}"
        settings = api_settings.model_copy(update={"issuer": url, "audience": "shop"})
        async with httpx.AsyncClient(base_url=url) as http:
            token = await _id_token(http)
        with running_issuer() as unused:
            async with running_api(settings, unused) as api:
                headers = {"Authorization": f"Bearer {token}"}
                answer = await api.call("GET", "/v1/me", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["subject"] == "foreign"


async def _id_token(http: httpx.AsyncClient) -> str:
    asked = {"client_id": "shop", "redirect_uri": "https://shop.example/back"}
    params = {**asked, "response_type": "code", "scope": "openid"}
    allowed = await http.post("/oauth2/authorize", params=params, data={"sub": "foreign"})
    code = parse_qs(urlsplit(allowed.headers["location"]).query)["code"][0]
    form = {**asked, "grant_type": "authorization_code", "code": code}
    granted = await http.post("/oauth2/token", data=form, auth=("shop", "secret"))
    token: str = granted.json()["id_token"]
    assert "kid" not in json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
    return token
