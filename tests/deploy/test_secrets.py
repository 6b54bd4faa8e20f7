"""Secrets nobody knows: made once for one platform, overruled by the person's own, and never well-known."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from api.app import create_app
from deploy.local.profile import Profile
from deploy.local.secrets import shared_secrets
from domain.time import utc_now
from providers.sandbox_server.app import create_app as create_sandbox
from providers.sandbox_server.config import SandboxOptions, config_from
from providers.sandbox_server.events import signed_headers
from runtime.settings import Settings
from tests.api.client import assert_problem
from tests.api.issuer import running_issuer
from tests.providers.harness import CARRIER_SECRET, address_of, listening_socket, served
from tests.servers import Databases
from tests.stories.deals import Deal
from tests.stories.house import House, running_house

KEY = "BAIGONG_SANDBOX_API_KEY"
WEBHOOKS = "BAIGONG_SANDBOX_WEBHOOK_SECRET"
CARRIERS = "BAIGONG_CARRIER_WEBHOOK_SECRETS"
IDENTITIES = "BAIGONG_IDENTITY_KEY"
TAPS = "BAIGONG_TAP_KEY"
TAX = "BAIGONG_TAX_KEY"
PAYLOADS = "BAIGONG_PAYLOAD_KEYS"
ALL = {KEY, WEBHOOKS, CARRIERS, IDENTITIES, TAPS, TAX, PAYLOADS}
ONCE_WELL_KNOWN = "sandbox-api-key"
OLD_CARRIER_SECRET = "whsec_YmFpZ29uZy1zYW5kYm94LWNhcnJpZXIta2V5"
SCAN = (
    '{"type": "parcel.delivered", "timestamp": "2026-01-01T00:00:00Z", "data": {"tracking_number":'
    ' "SF123456", "kind": "delivered", "label_paid_by": "seller",'
    ' "occurred_at": "2026-01-01T00:00:00Z"}}'
)


def test_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    before = os.umask(0)
    try:
        made = shared_secrets(folder)
    finally:
        os.umask(before)
    assert set(made) == ALL
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shared_secrets(folder) == made
    another = shared_secrets(tmp_path / "another")
    assert all(another[name] != made[name] for name in made)


def test_a_start_that_was_interrupted_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(made: dict[str, str], file: IO[str]) -> None:
        file.write(json.dumps(made)[:40])
        raise OSError("no space left on device")

    with monkeypatch.context() as full, pytest.raises(OSError, match="no space"):
        full.setattr(json, "dump", half)
        shared_secrets(tmp_path)
    made = shared_secrets(tmp_path)
    assert set(made) == ALL
    assert shared_secrets(tmp_path) == made


def test_a_file_of_an_older_version_gets_what_it_lacks_and_keeps_the_rest(tmp_path: Path) -> None:
    made = shared_secrets(tmp_path)
    [file] = tmp_path.iterdir()
    old = {name: text for name, text in made.items() if name != IDENTITIES}
    file.write_text(json.dumps(old))
    grown = shared_secrets(tmp_path)
    assert {name: grown[name] for name in old} == old
    assert grown[IDENTITIES] not in ("", made[IDENTITIES])
    assert shared_secrets(tmp_path) == grown
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def settings_of_children(
    monkeypatch: pytest.MonkeyPatch, folder: Path, given: dict[str, str]
) -> Settings:
    """The settings that our processes read from the environment `make up` gives them."""
    for name in [name for name in os.environ if name.upper().startswith("BAIGONG_")]:
        monkeypatch.delenv(name)
    profile = Profile(Settings(data_dir=folder), given, postgres=None, temporal=None)
    for name, text in profile.child_environment().items():
        monkeypatch.setenv(name, text)
    return Settings()


def test_all_processes_get_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shared_secrets(tmp_path)
    first = settings_of_children(monkeypatch, tmp_path, {})
    assert first.sandbox_api_key == SecretStr(made[KEY])
    assert first.sandbox_webhook_secret == SecretStr(made[WEBHOOKS])
    assert first.identity_key == SecretStr(made[IDENTITIES])
    assert first.tap_key == SecretStr(made[TAPS])
    assert first.tax_key == SecretStr(made[TAX])
    assert first.payload_keys == {"local": SecretStr(json.loads(made[PAYLOADS])["local"])}
    assert set(first.carrier_webhook_secrets) == {"sandbox"}
    assert settings_of_children(monkeypatch, tmp_path, {}) == first


@pytest.mark.parametrize("name", [KEY, KEY.lower()])
def test_what_the_person_sets_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = shared_secrets(tmp_path)
    read = settings_of_children(monkeypatch, tmp_path, {name: "mine"})
    assert read.sandbox_api_key.get_secret_value() == "mine"
    assert read.sandbox_webhook_secret == SecretStr(made[WEBHOOKS])


def test_a_carrier_of_the_persons_own_joins_the_sandboxs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {f"{CARRIERS}__SF": CARRIER_SECRET}
    read = settings_of_children(monkeypatch, tmp_path, given)
    assert set(read.carrier_webhook_secrets) == {"sandbox", "sf"}
    assert read.carrier_webhook_secrets["sf"].get_secret_value() == CARRIER_SECRET


@pytest.mark.parametrize("made", [True, False], ids=["by make up", "by each process"])
async def test_the_sandbox_refuses_the_key_everybody_knew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    settings = settings_of_children(monkeypatch, tmp_path, {})
    if not made:
        monkeypatch.delenv(KEY)
        settings = Settings()
        assert Settings().sandbox_api_key != settings.sandbox_api_key
    listener = listening_socket()
    config = config_from(settings, SandboxOptions())
    async with (
        served(create_sandbox(config), listener),
        httpx.AsyncClient(base_url=address_of(listener), trust_env=False) as http,
    ):

        async def status(key: str) -> int:
            headers = {"Authorization": f"Bearer {key}".strip()}
            return (await http.get("/v1/balance", headers=headers)).status_code

        assert await status(ONCE_WELL_KNOWN) == 401
        assert await status("") == 401
        assert await status(settings.sandbox_api_key.get_secret_value()) == 200


def test_a_sandbox_without_a_carriers_secret_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(CARRIERS, raising=False)
    with pytest.raises(ValueError, match=CARRIERS):
        config_from(Settings(), SandboxOptions())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(
    dev_server: str, postgres_server: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """A platform that knows a carrier."""
    folder = tmp_path_factory.mktemp("secrets")
    with running_issuer() as issuer, postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, folder) as running:
            yield running


async def test_without_secrets_no_carrier_is_known(house: House) -> None:
    deal = await Deal.accepted(house)
    listener = listening_socket()
    url = address_of(listener)
    unset = house.settings.model_copy(update={"carrier_webhook_secrets": {}, "public_url": url})
    app = create_app(unset, database=house.database, temporal=house.temporal)
    async with (
        served(app, listener),
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
    ):
        bare = House(**{**vars(house), "settings": unset, "http": http})
        for secret in (OLD_CARRIER_SECRET, CARRIER_SECRET):
            headers = signed_headers(secret, "evt_1", SCAN, utc_now())
            answer = await http.post("/v1/webhooks/carriers/sandbox", content=SCAN, headers=headers)
            assert_problem(answer, 404, "not_found")
        assert house.sql("SELECT 1 FROM webhook_inbox WHERE source LIKE 'carrier:%%'") == []
        ship = {"carrier": "sandbox", "tracking_number": "SF123456"}
        path = f"/v1/sales/{deal.id}/ship"
        refused = await bare.call("POST", path, by=deal.seller, json=ship)
        assert assert_problem(refused, 422, "invalid_input")["field"] == "carrier"
    assert (await deal.until("accepted"))["parcel"] is None

    # The same house where the carrier is known: its old secret opens nothing, another carrier ships nothing.
    headers = signed_headers(OLD_CARRIER_SECRET, "evt_1", SCAN, utc_now())
    forged = await house.http.post("/v1/webhooks/carriers/sandbox", content=SCAN, headers=headers)
    assert_problem(forged, 401, "webhook_refused")
    unknown = await deal.try_to("ship", deal.seller, carrier="pigeon", tracking_number="SF123456")
    problem = assert_problem(unknown, 422, "invalid_input")
    assert (problem["field"], problem["accepted"]) == ("carrier", "sandbox")
    await deal.act("cancel", deal.seller)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)
