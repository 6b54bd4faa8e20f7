"""Secrets stay where they belong: after whole stories they are in no log, no history of a workflow, no error, no metric."""

from __future__ import annotations

import base64
import io
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
from google.protobuf.message import Message
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload

from runtime.logging import configure
from tests.api.issuer import Issuer
from tests.security.world import TAX_PROFILE
from tests.servers import Databases
from tests.stories.house import House, running_house
from tests.stories.money import called_off, destination, earned, payout_at, take_out
from tests.stories.polls import user_id
from tests.stories.test_notices import token_for
from tests.stories.workshop import Workshop
from tests.waiting import eventually

ACCOUNT, TAX_NUMBER, DOCUMENT = "6222777788889999", "330106199907077777", "CN:110101199003077777"


def _secret(name: str) -> str:
    return f"whsec_{base64.b64encode(f'{name}-{uuid.uuid4().hex}'.encode()).decode()}"


@dataclass
class Watched:
    """A platform of its own whose secrets are known here, and all that leaves it."""

    house: House
    log: io.StringIO
    secrets: dict[str, str]
    """What each is -> the text that must not be found."""
    errors: list[str] = field(default_factory=list)
    """Every answer that was a refusal, with its headers."""


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, in full detail."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    written = io.StringIO()
    configure("DEBUG", written)
    yield written
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
async def watched(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
    log: io.StringIO,
) -> AsyncIterator[Watched]:
    """A platform with secrets made for this test."""
    names = ("sandbox_api_key", "sandbox_webhook_secret", "identity_key", "tap_key", "tax_key")
    known = {name: _secret(name) for name in (*names, "carrier_webhook_secret")}
    changes: dict[str, object] = {name: SecretStr(known[name]) for name in names}
    changes["carrier_webhook_secrets"] = {"sandbox": SecretStr(known["carrier_webhook_secret"])}
    with postgres_server.fresh() as url:
        folder = tmp_path_factory.mktemp("secrets")
        password = urlsplit(url).password
        assert password
        known |= {
            "database password": password,
            "bank account": ACCOUNT,
            "tax number": TAX_NUMBER,
            "identity document": DOCUMENT.partition(":")[2],
        }
        async with running_house(dev_server, url, issuer, folder, **changes) as house:
            seen = Watched(house, log, known)

            async def noted(answer: httpx.Response) -> None:
                token = answer.request.headers.get("Authorization", "").removeprefix("Bearer ")
                if token:
                    seen.secrets[f"token {token[-6:]}"] = token.rpartition(".")[2]
                if answer.status_code >= 400:
                    seen.errors.append(f"{answer.headers} {(await answer.aread()).decode()}")

            house.http.event_hooks["response"].append(noted)
            yield seen


async def _stories(watched: Watched) -> None:
    """A sale that is paid out, one that is refunded, taxes and identity told, a lot worked on by a link."""
    house, seller = watched.house, f"seller-{uuid.uuid4().hex[:8]}"
    vase = await house.listing("treasurer", price=1_000_000)
    await house.paid(vase, by="patron")
    await earned(house, seller)
    await destination(house, seller, account=ACCOUNT)
    payout = await take_out(house, seller)
    await payout_at(house, payout, "paid", by=seller)
    await called_off(house)
    profile = {**TAX_PROFILE, "tax_number": TAX_NUMBER}
    await house.call("PUT", "/v1/me/tax-profile", by=seller, json=profile)
    identity = f"/v1/users/{await user_id(house, seller)}/identity"
    await house.call("PUT", identity, by="admin", json={"document": DOCUMENT})
    shop = await Workshop.published(house)
    lot = await shop.making()
    link = token_for(house, lot)
    watched.secrets["one-tap link"] = link.removeprefix("taps/")
    assert (await house.http.get(f"/v1/{link}")).status_code == 200
    assert (await house.http.post(f"/v1/{link}")).status_code == 200


async def _mistakes(watched: Watched) -> None:
    """Requests with secrets in the wrong places, each of which is refused."""
    house, secrets = watched.house, watched.secrets
    me = await user_id(house, "admin")
    wrong: tuple[tuple[str, str, object], ...] = (
        ("PUT", "/v1/me/tax-profile", {**TAX_PROFILE, "tax_number": [TAX_NUMBER]}),
        ("PUT", "/v1/me/tax-profile", {**TAX_PROFILE, "tax_number": TAX_NUMBER + "\x00" * 9}),
        ("POST", "/v1/payout-destinations", {"holder": "Mei", "account": ACCOUNT * 20}),
        ("POST", "/v1/payout-destinations", {"holder": "Mei", "account": [ACCOUNT]}),
        ("PUT", f"/v1/users/{me}/identity", {"document": DOCUMENT + "\x00"}),
        ("PUT", f"/v1/users/{me}/identity", {"document": [DOCUMENT]}),
    )
    for method, path, body in wrong:
        answer = await house.call(method, path, by="admin", json=body)
        assert answer.status_code == 422, (path, answer.text)
    link = secrets["one-tap link"]
    assert (await house.http.get(f"/v1/taps/{link}A")).status_code == 404
    token = house.issuer.token("mallory", exp=1)
    stale = {"Authorization": f"Bearer {token}"}
    assert (await house.http.get("/v1/me", headers=stale)).status_code == 401
    forged = {
        "webhook-id": "evt_1",
        "webhook-timestamp": "1",
        "webhook-signature": f"v1,{secrets['sandbox_webhook_secret']}",
    }
    for path in ("/v1/webhooks/sandbox", "/v1/webhooks/carriers/sandbox"):
        refused = await house.http.post(path, headers=forged, content=b"{}")
        assert refused.status_code == 401


def _payloads(message: Message) -> Iterator[Payload]:
    """Every payload in a message, however deep."""
    if isinstance(message, Payload):
        yield message
        return
    for described, value in message.ListFields():
        if described.message_type is None:
            continue
        if described.message_type.GetOptions().map_entry:
            parts = [each for each in value.values() if isinstance(each, Message)]
        else:
            parts = [value] if isinstance(value, Message) else list(value)
        for part in parts:
            yield from _payloads(part)


async def _histories(house: House) -> str:
    """All that the workflows of this platform have written down, as stored and, where it is encoded, decoded."""
    found = []
    client = house.temporal
    query = f"TaskQueue = '{house.settings.temporal_task_queue}'"
    async for execution in client.list_workflows(query):
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        for event in (await handle.fetch_history()).events:
            found.append(event.SerializeToString().decode(errors="replace"))
            payloads = list(_payloads(event))
            if client.data_converter.payload_codec is not None:
                payloads = await client.data_converter.payload_codec.decode(payloads)
            found += [payload.data.decode(errors="replace") for payload in payloads]
    return "\n".join(found)


async def test_secrets_are_in_no_log_history_error_or_metric(watched: Watched) -> None:
    house = watched.house
    await _stories(watched)
    await _mistakes(watched)

    async def listed() -> bool:
        return "payout-" in await _histories(house)

    await eventually(listed)
    places = {
        "log": watched.log.getvalue(),
        "histories": await _histories(house),
        "errors": "\n".join(watched.errors),
        "metrics": (await house.http.get("/metrics")).text,
    }
    for place, expected in (
        ("log", "sale"),
        ("histories", "usr_"),
        ("errors", "tax_number"),
        ("metrics", "http_request"),
    ):
        assert expected in places[place], f"{place}: nothing was looked at"
    found = {
        f"{name} in {place}"
        for place, text in places.items()
        for name, secret in watched.secrets.items()
        if secret in text
    }
    assert found == set()
