"""The public record of production: what became of units, and when a requester is flagged."""

from __future__ import annotations

import pytest

from db.queries.production_record import RequesterRecord
from domain.ids import new_id
from domain.production_policy import ProductionPolicy
from tests.api.client import Api, Json, assert_problem
from tests.api.test_access import lot_of
from tests.stories.workshop import body_of


@pytest.mark.parametrize(
    ("accepted", "rejected", "flagged"),
    [
        (0, 0, False),
        (0, 19, False),
        (0, 20, True),
        (14, 6, False),
        (13, 7, True),
        (70, 30, False),
        (69, 31, True),
    ],
)
def test_more_than_three_tenths_of_enough_units_flag(
    accepted: int, rejected: int, flagged: bool
) -> None:
    record = RequesterRecord(accepted=accepted, rejected=rejected)
    assert record.is_flagged(ProductionPolicy()) is flagged


async def record(api: Api, user_id: str) -> Json:
    """What anybody reads, without a token."""
    answer = await api.get(f"/v1/users/{user_id}/production-record")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    assert found.pop("user_id") == user_id
    return found


async def test_units_of_all_orders_and_lots_count(api: Api) -> None:
    requester, maker = await api.user_id("orderer"), await api.user_id("weaver")
    nothing = {
        "requester": {
            "orders": 0,
            "accepted": 0,
            "rejected": 0,
            "rejected_basis_points": None,
            "flagged": False,
        },
        "maker": {"lots": 0, "accepted": 0, "abandoned": 0},
    }
    assert await record(api, requester) == nothing
    orders = []
    for _ in range(3):
        made = await api.call("POST", "/v1/production-orders", by="orderer", json=body_of())
        assert made.status_code == 201, made.text
        orders.append(made.json()["id"])
    assert await record(api, requester) == nothing
    for order, accepted, rejected in ((orders[0], 5, 8), (orders[1], 10, 0)):
        lot_of(api, order, maker, "settled", accepted)
        api.execute(
            "UPDATE production_orders SET open = 100 - %s - %s, accepted = %s, rejected = %s"
            " WHERE id = %s",
            accepted,
            rejected,
            accepted,
            rejected,
            order,
        )
    lot_of(api, orders[1], maker, "abandoned")
    assert (await record(api, requester))["requester"] == {
        "orders": 2,
        "accepted": 15,
        "rejected": 8,
        "rejected_basis_points": 3_478,
        "flagged": True,
    }
    shown = await api.call("GET", f"/v1/production-orders/{orders[0]}", by="orderer")
    assert shown.json()["requester_flagged"] is True
    assert (await record(api, maker))["maker"] == {"lots": 3, "accepted": 15, "abandoned": 1}
    missing = await api.get(f"/v1/users/{new_id('usr')}/production-record")
    assert_problem(missing, 404, "not_found")
