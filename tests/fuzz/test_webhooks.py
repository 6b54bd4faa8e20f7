"""Webhooks nobody would write: any bytes, true events bent out of shape. Never a 5xx, never a posting, only signed ones kept."""

from __future__ import annotations

import json
import os
import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from domain.time import utc_now
from providers.sandbox_server.events import signed_headers
from tests.fuzz.parsers import EVENT, SCAN, whatever_comes
from tests.providers.harness import CARRIER_SECRET
from tests.security.world import World
from tests.stories.house import House, Json

pytestmark = pytest.mark.xdist_group("fuzz")
EXAMPLES = int(os.environ.get("BAIGONG_FUZZ_EXAMPLES", "2")) * 10
SEED = int(os.environ.get("BAIGONG_FUZZ_SEED", "20261201"))
_ROUTES = {"sandbox": EVENT, "carriers/sandbox": SCAN}

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["", "\x00", "\ud800", "pay_1", "delivered", "9" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@st.composite
def bent(draw: st.DrawFn, whole: bytes) -> bytes:
    """A true body with a field changed, doubled, buried deeply or missing, or with its bytes damaged."""
    event: Json = json.loads(whole)
    where: Json = draw(st.sampled_from([event, event["data"]]))
    name = draw(st.sampled_from(sorted(where)))
    how = draw(st.sampled_from(["change", "miss", "double", "bury", "damage", "as it is"]))
    if how == "change":
        where[name] = draw(_values)
    elif how == "miss":
        del where[name]
    text = json.dumps(event).encode()
    if how == "double":
        text = b'{"type": "x", "data": {}, ' + text[1:]
    elif how == "bury":
        text = b'{"data": ' * 3_000 + text + b"}" * 3_000
    elif how == "damage":
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.binary(max_size=9)) + text[at + draw(st.integers(0, 9)) :]
    return text


def made(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many values of a strategy, the same for the same seed."""
    found: list[Any] = []

    @seed(SEED)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: object) -> None:
        found.append(value)

    collect()
    return found


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300) | bent(EVENT) | bent(SCAN))
def test_parsers_answer_or_refuse_whatever_comes(body: bytes) -> None:
    whatever_comes(body)


def _kept(house: House) -> int:
    """How many events the inbox has taken for true."""
    return int(house.sql("SELECT count(*) FROM webhook_inbox WHERE kind <> 'rejected'")[0][0])


@pytest.mark.parametrize("route", _ROUTES)
async def test_bodies_nobody_would_write_change_nothing(world: World, route: str) -> None:
    house = world.house
    sale = await house.order(await house.listing(f"seller-{route[:3]}"), by=f"buyer-{route[:3]}")
    carrier = route != "sandbox"
    secret = CARRIER_SECRET if carrier else house.settings.sandbox_webhook_secret.get_secret_value()
    whole = _ROUTES[route].replace(b"pay_1", sale["payment"]["id"].encode())
    before, taken = _kept(house), 0
    for body in made(bent(whole) | st.binary(max_size=200), EXAMPLES):
        event = f"evt_{uuid.uuid4().hex}"
        text, now = body.decode(errors="replace"), utc_now()
        true = signed_headers(secret, event, text, now)
        forged = {**true, "webhook-signature": "v1," + "A" * 43 + "="}
        for headers in (
            {},
            forged,
            signed_headers(secret, event, text, now - timedelta(days=1)),
            signed_headers(secret, event, text, now + timedelta(days=1)),
            signed_headers("whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0", event, text, now),
        ):
            answer = await world.http.post(
                f"/v1/webhooks/{route}", content=text.encode(), headers=headers
            )
            assert answer.status_code == 401, (body, answer.text)
        for known in (False, True):
            answer = await world.http.post(
                f"/v1/webhooks/{route}", content=text.encode(), headers=true
            )
            assert answer.status_code in (200, 401), (body, answer.text)
            if answer.status_code == 200:
                assert answer.json()["known"] is known, body
                taken += not known
    assert taken > 0
    assert _kept(house) - before == taken
    assert await house.postings(sale) == []
    now_is = await house.get(f"/v1/sales/{sale['id']}", by=f"buyer-{route[:3]}")
    assert now_is["phase"] == "pending_payment"
