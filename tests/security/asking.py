"""Sends an operation of the OpenAPI document to a running platform, as somebody and about something."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import httpx
import pytest

from tests.security.bodies import Sampler, body_of
from tests.security.rights import Row, document, operations
from tests.security.world import PARAMETER, World
from tests.stories.house import Json

_QUERY = {"currency": "CNY", "to_payer": "100"}
"""What operations cannot do without, besides their path and body."""
_FIXED = {
    "number": "1",
    "capability": "bid",
    "role": "operator",
    "currency": "CNY",
    "year": "2026",
    "quarter": "4",
    "provider": "sandbox",
    "carrier": "sandbox",
    "code": "not_found",
}
"""Path parameters that name nothing of anybody's."""


def url_of(row: Row, world: World, changes: Mapping[str, str] | None = None) -> str:
    """The address of the operation about its thing; `changes` put other values in its path."""
    ids = {**_FIXED, **world.things[row.of].ids, **(changes or {})}
    return PARAMETER.sub(lambda found: ids[found[1]], row.path)


async def ask(
    world: World,
    row: Row,
    role: str,
    changes: Mapping[str, str] | None = None,
    body: Json | None = None,
) -> httpx.Response:
    """The answer to somebody in this role, to a request that is well formed; `body` changes what it carries."""
    operation = operations()[row.method, row.path]
    headers = {"Idempotency-Key": uuid.uuid4().hex} if row.method == "POST" else {}
    subject = world.subject(role, world.things[row.of])
    if subject is not None:
        headers["Authorization"] = f"Bearer {world.token(subject)}"
    needed = {
        parameter["name"]: _QUERY[parameter["name"]]
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and parameter.get("required")
    }
    sent = body_of(Sampler(document()), operation, world)
    return await world.http.request(
        row.method,
        url_of(row, world, changes),
        headers=headers,
        params=needed,
        json=None if sent is None else {**sent, **(body or {})},
    )


def expect_none(found: list[str]) -> None:
    """Fails with every finding in a line of its own."""
    if found:
        pytest.fail("\n".join(found), pytrace=False)
