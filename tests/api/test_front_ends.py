"""What web front ends on other origins may do."""

from __future__ import annotations

from pydantic import SecretStr

from runtime.settings import Settings
from tests.api.client import Api, running_api
from tests.api.issuer import Issuer

SHOP = "https://shop.example"
ASKS = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


async def test_no_other_origin_by_default(api: Api) -> None:
    answer = await api.http.options("/v1/sales", headers=ASKS)
    assert "access-control-allow-origin" not in answer.headers


async def test_a_configured_shop_may_call_from_the_browser(
    api_settings: Settings, issuer: Issuer
) -> None:
    settings = api_settings.model_copy(update={"cors_origins": (SHOP,)})
    async with running_api(settings, issuer) as api:
        asked = await api.http.options("/v1/sales", headers=ASKS)
        assert asked.headers["access-control-allow-origin"] == SHOP
        refused = await api.http.get("/v1/me", headers={"Origin": SHOP})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == SHOP
        stranger = await api.http.get("/v1/me", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in stranger.headers


def test_origins_come_from_one_setting(database_url: str) -> None:
    settings = Settings(
        database_url=SecretStr(database_url),
        cors_origins=f"{SHOP}, https://m.example",
    )
    assert settings.cors_origins == (SHOP, "https://m.example")
