"""The id of a request is found again in the log lines of everything it caused."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from runtime.logging import configure
from tests.stories.house import House, Json
from tests.stories.money import people
from tests.waiting import eventually


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What this process logs, as JSON lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(log: io.StringIO, request_id: str) -> list[Json]:
    """The log lines of one request."""
    every = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in every if line.get("correlation_id") == request_id]


async def test_the_request_id_goes_through_api_workflow_and_activity(
    house: House, log: io.StringIO
) -> None:
    buyer, seller = people()
    listing = await house.listing(seller)
    answer = await house.http.post(
        "/v1/sales",
        json={"lines": [{"listing_id": listing["id"], "quantity": 1}]},
        headers={
            "Authorization": f"Bearer {house.issuer.token(buyer)}",
            "Idempotency-Key": f"key-{buyer}",
            "X-Request-ID": f"request-{buyer}",
        },
    )
    assert answer.status_code == 201
    assert answer.headers["X-Request-ID"] == f"request-{buyer}"
    sale = answer.json()

    def told() -> bool:
        mine = lines(log, f"request-{buyer}")
        loggers = {str(line.get("logger")) for line in mine}
        events = " ".join(str(line["event"]) for line in mine)
        assert {"api.requests", "temporalio.workflow", "temporalio.activity"} <= loggers
        for what in ("workflow Sale", "update place", "activity open_sale", "workflow Payment"):
            assert what in events
        return True

    await eventually(told)

    cancelled = await house.http.post(
        f"/v1/sales/{sale['id']}/cancel",
        json={},
        headers={
            "Authorization": f"Bearer {house.issuer.token(buyer)}",
            "Idempotency-Key": f"cancel-{buyer}",
            "X-Request-ID": f"cancel-{buyer}",
        },
    )
    assert cancelled.status_code == 200
    assert "update cancel" in " ".join(str(line["event"]) for line in lines(log, f"cancel-{buyer}"))
    await house.assert_at_zero(sale)
