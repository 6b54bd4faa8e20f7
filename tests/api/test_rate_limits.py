"""Nobody can ask so often that others are not answered, and everybody is told how often they may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import ValidationError

from api.rate_limits import MONEY
from runtime.rates import WINDOW_SECONDS, RateLimits
from runtime.settings import Settings
from tests.api.client import LISTING, Api, Json, assert_problem, picture, running_api
from tests.api.issuer import Issuer

NONE = RateLimits(guests=0, reads=0, writes=0, money=0, uploads=0, webhooks=0)
HEADERS = {"ratelimit", "ratelimit-policy", "retry-after"}


@asynccontextmanager
async def limited_api(settings: Settings, issuer: Issuer, **limits: int) -> AsyncIterator[Api]:
    """An API with these limits and no others."""
    rates = NONE.model_copy(update=limits)
    async with running_api(settings.model_copy(update={"rate_limits": rates}), issuer) as running:
        yield running


def assert_limited(answer: httpx.Response, kind: str, most: int) -> None:
    """A refusal that tells when to come again."""
    problem = assert_problem(answer, 429, "rate_limited")
    assert problem["accepted"] == f"{most} in {WINDOW_SECONDS} seconds"
    assert answer.headers["ratelimit-policy"] == f'"{kind}";q={most};w={WINDOW_SECONDS}'
    assert answer.headers["ratelimit"].startswith(f'"{kind}";r=0;t=')
    assert 1 <= int(answer.headers["retry-after"]) <= WINDOW_SECONDS


async def test_each_user_has_their_own_count(api_settings: Settings, issuer: Issuer) -> None:
    async with limited_api(api_settings, issuer, reads=3) as api:
        for left in (2, 1, 0):
            answer = await api.get("/v1/me", by="rate-one")
            assert answer.status_code == 200
            assert answer.headers["ratelimit"].startswith(f'"reads";r={left};t=')
            assert "retry-after" not in answer.headers
        assert_limited(await api.get("/v1/me/balances", by="rate-one"), "reads", 3)
        assert (await api.get("/v1/me", by="rate-other")).status_code == 200
        # What is written has a count of its own.
        await api.listing("rate-one")


async def test_reads_writes_money_and_uploads_are_counted_apart(
    api_settings: Settings, issuer: Issuer
) -> None:
    async with limited_api(api_settings, issuer, reads=1, writes=2, money=1, uploads=1) as api:
        destination: Json = {"currency": "CNY", "account": "6222020200112233445", "holder": "Mei"}
        for expected in (201, 429):
            asked = await api.call("POST", "/v1/payout-destinations", by="rates", json=destination)
            assert asked.status_code == expected, asked.text
        for expected in (201, 429):
            assert (await api.upload("rates", picture())).status_code == expected
        for _ in range(2):
            await api.listing("rates")
        assert_limited(await api.call("POST", "/v1/listings", by="rates", json={}), "writes", 2)
        assert (await api.get("/v1/me", by="rates")).status_code == 200


async def test_a_refused_act_has_done_nothing_and_its_key_is_still_good(
    api_settings: Settings, issuer: Issuer
) -> None:
    async with limited_api(api_settings, issuer, writes=1) as api:
        await api.listing("rate-busy")
        refused = await api.call("POST", "/v1/listings", by="rate-busy", key="vase", json=LISTING)
        assert_limited(refused, "writes", 1)
    async with limited_api(api_settings, issuer) as api:
        made = await api.call("POST", "/v1/listings", by="rate-busy", key="vase", json=LISTING)
        assert made.status_code == 201
        assert "idempotency-replayed" not in made.headers


async def test_guests_and_bad_tokens_are_counted_by_address(
    api_settings: Settings, issuer: Issuer
) -> None:
    async with limited_api(api_settings, issuer, guests=4) as api:
        bad = {"Authorization": "Bearer made-up"}
        assert (await api.get("/v1/listings")).status_code == 200
        assert (await api.http.get("/v1/me")).status_code == 401
        assert (await api.http.get("/v1/me", headers=bad)).status_code == 401
        # A made-up header helps as little where no token is asked for.
        assert (await api.http.get("/problems", headers=bad)).status_code == 200
        assert_limited(await api.get("/v1/listings"), "guests", 4)
        assert_limited(await api.http.get("/v1/me", headers=bad), "guests", 4)
        assert_limited(await api.http.get("/problems", headers=bad), "guests", 4)
        assert (await api.get("/v1/me", by="signed-in")).status_code == 200
        assert (await api.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("proxies", "first", "second", "same"),
    [
        (0, "10.0.0.1", "10.0.0.2", True),
        (1, "10.0.0.1", "10.0.0.2", False),
        (1, "6.6.6.6, 10.0.0.1", "7.7.7.7, 10.0.0.1", True),
        (2, "10.0.0.1, 10.9.9.9", "10.0.0.2, 10.9.9.9", False),
        (1, "2001:db8::1", "2001:db8::2", True),
        (1, "2001:db8:0:1::1", "2001:db8:0:2::1", False),
        (2, "10.0.0.1", "10.0.0.2", True),
    ],
)
async def test_only_trusted_proxies_say_who_asks(
    api_settings: Settings, issuer: Issuer, proxies: int, first: str, second: str, same: bool
) -> None:
    settings = api_settings.model_copy(update={"trusted_proxies": proxies})
    async with limited_api(settings, issuer, guests=1) as api:
        statuses = [
            (await api.http.get("/problems", headers={"X-Forwarded-For": each})).status_code
            for each in (first, second)
        ]
    assert statuses == [200, 429 if same else 200]


async def test_webhooks_are_counted_for_each_sender(api_settings: Settings, issuer: Issuer) -> None:
    async with limited_api(api_settings, issuer, webhooks=2, guests=1) as api:
        for _ in range(2):
            assert (await api.http.post("/v1/webhooks/sandbox", content=b"{}")).status_code == 401
        assert_limited(await api.http.post("/v1/webhooks/sandbox", content=b"{}"), "webhooks", 2)
        carrier = await api.http.post("/v1/webhooks/carriers/sandbox", content=b"{}")
        assert carrier.status_code != 429


async def test_a_second_of_a_thousand_webhooks_passes_by_default(
    api_settings: Settings, issuer: Issuer
) -> None:
    """And so it goes on for two minutes."""
    assert RateLimits().webhooks >= 2 * 60 * 1_000
    async with running_api(api_settings, issuer) as api:
        answers = [await api.http.post("/v1/webhooks/unknown", content=b"{}") for _ in range(1_000)]
    assert {each.status_code for each in answers} == {404}


async def test_a_storage_that_is_down_refuses_nobody(
    api_settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object, **__: object) -> bool:
        raise ConnectionError("no storage")

    async with limited_api(api_settings, issuer, guests=1) as api:
        monkeypatch.setattr("api.rate_limits._Memory.acquire_sliding_window_entry", down)
        for _ in range(3):
            answer = await api.http.get("/problems")
            assert answer.status_code == 200
            assert not HEADERS & answer.headers.keys()


async def test_every_operation_but_the_health_checks_documents_it(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    silent = {name for name, each in operations.items() if "429" not in each["responses"]}
    assert silent == {"health", "readiness"}
    assert {
        name.lower() for name in operations["placeSale"]["responses"]["429"]["headers"]
    } == HEADERS
    assert operations.keys() >= MONEY


def test_limits_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAIGONG_RATE_LIMITS__READS", "5")
    assert Settings().rate_limits == RateLimits(reads=5)
    monkeypatch.setenv("BAIGONG_RATE_LIMITS__READS", "-1")
    with pytest.raises(ValidationError, match="reads"):
        Settings()


def test_a_storage_that_would_block_every_request_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BAIGONG_RATE_LIMIT_STORAGE", "redis://127.0.0.1:6379")
    with pytest.raises(ValidationError, match=r"async\+"):
        Settings()
